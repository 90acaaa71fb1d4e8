/**
 * Sums and maxima of stretches of a flat array.
 *
 * @module
 */

import code from "../../../../kernels/general/reduce/segments.wgsl" with { type: "text" };
import type { Plan } from "../../../gpu/plan.ts";
import { formatShape, type Tensor } from "../../../gpu/tensor.ts";
import { type FlatOptions, flatRanges, flatView } from "../../flat_ranges.ts";
import { flatReader } from "../../readers.ts";
import { combining, OWN, type Reduction } from "./reduction.ts";

/** Elements that one team reduces when everything is reduced; bounds the rounding error at any length. */
const SEGMENT = 65536;

/** Records the reduction of everything to one number. */
export function reduceAll(
  plan: Plan,
  x: Tensor,
  reduction: Reduction,
  name: string,
  options: FlatOptions,
): Tensor<"f32"> {
  if (x.capacity === 0) {
    throw new RangeError(`${name} needs at least one element: got ${formatShape(x.shape)}`);
  }
  const segmentsOf = (length: number) => Math.ceil(length / SEGMENT);
  const ranges = flatRanges(plan, x, options);
  const partial = plan.empty(
    [ranges.reduce((count, { length }) => count + segmentsOf(length), 0)],
    `${name}.partial`,
  );
  let first = 0;
  const used: (() => number)[] = [];
  for (const [i, range] of ranges.entries()) {
    const count = () => Math.max(0, Math.min(range.length, x.length - range.offset));
    segments(plan, {
      x: flatView(x, range),
      y: partial,
      reduction,
      label: `${name}.partial${ranges.length > 1 ? i : ""}`,
      width: SEGMENT,
      count,
      first,
      // A range begins at a multiple of eight, so only its length matters.
      multiple: fixedFactor(x),
    });
    used.push(() => segmentsOf(count()));
    first += segmentsOf(range.length);
  }
  const y = plan.empty([1], name);
  segments(plan, {
    x: partial,
    y,
    reduction,
    label: `${name}.total`,
    width: partial.capacity,
    count: () => used.reduce((n, segments) => n + segments(), 0),
    multiple: 1,
    workgroups: 1,
  });
  return y;
}

/** Records y[first + s] = combine of segment s of x. */
export function segments(
  plan: Plan,
  { x, y, reduction, label, width, count, first = 0, multiple = 0, workgroups }: {
    x: Tensor;
    y: Tensor;
    reduction: Reduction;
    label: string;
    /** Elements per segment. */
    width: number;
    /** Elements of x in use. */
    count: () => number;
    first?: number;
    /** What `count` is always a multiple of, besides `width`; by default of that. */
    multiple?: number;
    /** By default one per segment in use. */
    workgroups?: number;
  },
): void {
  const reader = flatReader(plan.gpu, commonDivisor(width, multiple), width);
  plan.dispatch({
    kernel: reader.kernel(combining(reduction, code, "segments"), {}, OWN),
    label,
    bindings: { x, totals: y },
    params: {
      count: () => count() / reader.pack,
      width: width / reader.pack,
      first,
      initial: reduction.initial,
    },
    turns: reader.turns,
    workgroups: workgroups ?? (() => Math.ceil(count() / width)),
    cost: { bytes: () => count() * 4, flops: count },
  });
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The product of the sizes that do not vary. */
function fixedFactor(x: Tensor): number {
  return x.shape.reduce<number>((n, size) => typeof size === "number" ? n * size : n, 1);
}
