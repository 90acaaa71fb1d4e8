/**
 * RMSNorm, with the residual sum before it fused in.
 *
 * @module
 */

import code from "../../kernels/rms_norm.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { rowReader } from "./prelude.ts";

/** The most chunks of rows that the weight's gradient is summed over: enough teams to fill a device of each kind. */
const NARROW_CHUNKS = 64;
const WIDE_CHUNKS = 512;

/** Partial sums of this many elements are kept to the end, so that all norms of a plan are summed in one dispatch. */
const MAX_SHARED_PARTIALS = 2 ** 22;

/** Options of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square. */
  eps: number;
  /** Added to `x` first, shape (T, C). */
  delta?: Tensor;
  /** Name of the outputs below the current scope. Default `"norm"`. */
  name?: string;
}

/**
 * Normalises rows to unit root mean square: `sum = x + delta`, `normed = sum / rms(sum) * weight`.
 *
 * Use `sum` in place of `x` and `delta` afterwards: it carries the residual stream on, and its gradient becomes that of
 * both without a copy.
 *
 * @param plan Where to record.
 * @param x (T, C), C a multiple of 4.
 * @param weight (C).
 * @param options `eps`, and `delta` (T, C) to add first.
 * @returns `normed` and `sum`, both (T, C).
 * @throws {RangeError} If the shapes do not fit.
 */
export function rmsNorm(
  plan: Plan,
  x: Tensor,
  weight: Tensor,
  options: RmsNormOptions,
): { normed: Tensor; sum: Tensor } {
  const { eps, delta, name = "norm" } = options;
  const rows: Size = x.shape[0]!;
  const width = sizeLimit(x.shape[1]!);
  if (x.shape.length !== 2 || width % 4 !== 0 || weight.capacity !== width) {
    throw new RangeError(
      `rmsNorm needs x (T, C) with C a multiple of 4 and weight (C): got ${
        formatShape(x.shape)
      } and ${formatShape(weight.shape)}`,
    );
  }
  if (delta && delta.capacity !== x.capacity) {
    throw new RangeError(
      `rmsNorm needs delta of x's shape ${formatShape(x.shape)}: got ${formatShape(delta.shape)}`,
    );
  }
  const { gpu } = plan;
  const reader = rowReader(gpu, width);
  const { columns } = reader;
  const blocks = Math.ceil(columns / gpu.traits.lanes);
  const kernel = (entryPoint: string) => reader.kernel({ name: "rms_norm", code, entryPoint });
  const slots = gpu.traits.narrow ? NARROW_CHUNKS : WIDE_CHUNKS;
  const chunkRows = () => Math.ceil(sizeNow(rows) / slots);
  const chunks = () => chunkRows() === 0 ? 0 : Math.ceil(sizeNow(rows) / chunkRows());
  const params = {
    rows,
    columns,
    eps,
    inverse_width: 1 / width,
    has_delta: delta ? 1 : 0,
    has_dsum: 0,
    chunk_rows: chunkRows,
    chunks,
    slots,
    norms: 1,
    norm_stride: 0,
    accumulate: 1,
  };

  const normed = plan.empty(x.shape, name);
  const rstd = plan.empty([rows], `${name}.rstd`);
  // Without delta the residual stream is x itself, under a name of its own so that its gradient can be told apart.
  const sum = delta ? plan.empty(x.shape, `${name}.sum`) : x.view(x.shape, { name: `${name}.sum` });
  plan.dispatch({
    kernel: kernel("forward"),
    label: `${name}.forward`,
    bindings: {
      x,
      delta: delta ?? x,
      weight,
      sum: delta ? sum : plan.empty([8], `${name}.unused`),
      normed,
      rstd,
    },
    params,
    workgroups: () => reader.workgroups(sizeNow(rows)),
    cost: { bytes: () => sizeNow(rows) * width * (delta ? 16 : 8) },
  });

  let partials: () => Tensor = () => plan.empty([slots, width], `${name}.dweight.partial`);
  let sumLater: (() => boolean) | undefined;
  plan.onBackward(delta ? [x, delta, weight] : [x, weight], [normed, sum], () => {
    const dnormed = plan.gradientOf(normed);
    if (!dnormed) throw new TypeError(`${plan.path(name)}: the normed output is not used`);
    const dsum = plan.gradientOf(sum);
    const dx = plan.empty(x.shape, `${name}.dsum`);
    const partial = partials();
    plan.dispatch({
      kernel: kernel("backward"),
      label: `${name}.backward`,
      bindings: {
        x: sum,
        dnormed,
        saved_rstd: rstd,
        weight,
        dsum: dsum ?? dnormed,
        dx,
        partial,
      },
      params: { ...params, has_dsum: dsum ? 1 : 0 },
      workgroups: () => reader.workgroups(chunks()),
      cost: { bytes: () => sizeNow(rows) * width * (dsum ? 16 : 12) },
    });
    plan.shareGradient(x, dx);
    if (delta) plan.shareGradient(delta, dx);
    plan.intoGradient(weight, (dweight, accumulate) => {
      if (accumulate && sumLater?.()) return;
      plan.dispatch({
        kernel: kernel("backward_weight"),
        label: `${name}.backward_weight`,
        bindings: { partials: partial, dweight },
        params: { ...params, accumulate: accumulate ? 1 : 0 },
        workgroups: blocks,
      });
    });
  });
  if (weight.grad && plan.isDifferentiable(normed)) {
    ({ partials, sumLater } = joinSiblings(plan, weight.grad, { rows, width, slots }, (norms) => {
      plan.dispatch({
        kernel: kernel("backward_weight"),
        label: "norms.backward_weight",
        bindings: { partials: norms.partials, dweight: norms.dweight },
        params: { ...params, norms: norms.count, norm_stride: norms.stride * columns / width },
        workgroups: norms.count * blocks,
      });
    }));
  }
  return { normed, sum };
}

/** Norms of a plan whose weight gradients lie at equal distances in one buffer, and so can be summed together. */
interface Siblings {
  readonly gradients: Tensor[];
  partials: Tensor | undefined;
}

const siblingsOfPlan = new WeakMap<Plan, Map<string, Siblings>>();

/**
 * Enters a norm into the group of those that are summed together after the tape.
 *
 * @returns Where this norm's partial sums go, and what to call when they are there: `false` means that the norm has to
 * sum them itself.
 */
function joinSiblings(
  plan: Plan,
  gradient: Tensor,
  size: { rows: Size; width: number; slots: number },
  sumAll: (norms: { partials: Tensor; dweight: Tensor; count: number; stride: number }) => void,
): { partials: () => Tensor; sumLater: () => boolean } {
  const { rows, width, slots } = size;
  const groups = siblingsOfPlan.get(plan) ?? new Map<string, Siblings>();
  siblingsOfPlan.set(plan, groups);
  const key = `${typeof rows === "number" ? rows : rows.name} ${width}`;
  const group = groups.get(key) ?? { gradients: [], partials: undefined };
  groups.set(key, group);
  const index = group.gradients.push(gradient) - 1;
  const stride = () => (group.gradients[1]!.rootOffset - group.gradients[0]!.rootOffset) / 4;
  const together = () =>
    group.gradients.length > 1 && stride() > 0 && stride() % 8 === 0 &&
    group.gradients.length * slots * width <= MAX_SHARED_PARTIALS &&
    group.gradients.every((g, i) =>
      g.root === group.gradients[0]!.root &&
      g.rootOffset === group.gradients[0]!.rootOffset + 4 * i * stride()
    );
  return {
    partials: () => {
      if (!together()) return plan.empty([slots, width], "norm.dweight.partial");
      group.partials ??= plan.empty([group.gradients.length, slots, width], "norms.partials");
      return group.partials.view([slots, width], { elementOffset: index * slots * width });
    },
    sumLater: () => {
      if (!together()) return false;
      // The tape runs backwards, so the first norm comes last.
      if (index > 0) return true;
      const count = group.gradients.length;
      const first = group.gradients[0]!;
      const dweight = first.root.view([(count - 1) * stride() + width], {
        elementOffset: first.rootOffset / 4,
        name: "norms.weight.grad",
      });
      sumAll({ partials: group.partials!, dweight, count, stride: stride() });
      return true;
    },
  };
}
