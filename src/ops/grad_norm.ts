/**
 * The global gradient norm.
 *
 * @module
 */

import code from "../../kernels/grad_norm.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Tensor } from "../gpu/tensor.ts";
import { CUT_STEP, type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { flatReader } from "./readers.ts";

/** Elements that one team sums. Bounds the rounding error whatever the array's length. */
const CHUNK = CUT_STEP;

/** Options of {@linkcode gradNorm}. */
export interface GradNormOptions extends FlatOptions {
  /** Name of the output below the current scope. Default `"grad_norm"`. */
  name?: string;
}

const NAMES = namesOf<GradNormOptions>({ name: true, maxBindingBytes: true });

/**
 * Computes the Euclidean norm of all gradients together.
 *
 * The order of the sum is fixed for a device. The norm itself may be as large as an f32 can be (the squares do not
 * overflow); elements below 1e-19 count as zero. A NaN or infinite gradient makes it NaN or infinite.
 *
 * @param gradients Flat array (n), n a multiple of 4.
 * @param options `name`, and `maxBindingBytes` to bind less at once than the device could.
 * @returns [1].
 * @throws {RangeError} If the shape does not fit.
 */
export function gradNorm(
  plan: Plan,
  gradients: Tensor,
  options: GradNormOptions = {},
): Tensor<"f32"> {
  checkNames("gradNorm", options, NAMES);
  const { name = "grad_norm" } = options;
  const n = gradients.capacity;
  if (gradients.shape.length !== 1 || n === 0 || n % 4 !== 0) {
    throw new RangeError(
      `gradNorm needs a flat array (n) with n a multiple of 4: got ${formatShape(gradients.shape)}`,
    );
  }
  const reader = flatReader(plan.gpu, n);
  const chunksOf = (length: number) => Math.ceil(length / CHUNK);
  const ranges = flatRanges(plan, gradients, options, CHUNK);
  const partials = plan.empty(
    [ranges.reduce((count, { length }) => count + chunksOf(length), 0)],
    `${name}.partial`,
  );
  let firstPartial = 0;
  for (const [i, range] of ranges.entries()) {
    plan.dispatch({
      kernel: reader.kernel({ name: "grad_norm", code, entryPoint: "partial_norms" }),
      label: `${name}.partial${ranges.length > 1 ? i : ""}`,
      bindings: { x: flatView(gradients, range), partial: partials },
      params: {
        count: range.length / reader.pack,
        chunk: CHUNK / reader.pack,
        first_partial: firstPartial,
      },
      turns: 2 * Math.ceil(CHUNK / reader.pack / plan.gpu.traits.lanes),
      workgroups: chunksOf(range.length),
      cost: { bytes: () => range.length * 4, flops: () => range.length * 2 },
    });
    firstPartial += chunksOf(range.length);
  }
  const result = plan.empty([1], name);
  plan.dispatch({
    kernel: reader.kernel({ name: "grad_norm", code, entryPoint: "total_norm" }),
    label: `${name}.total`,
    bindings: { partials, result },
    params: { count: partials.capacity, chunk: 0, first_partial: 0 },
    turns: 2 * Math.ceil(partials.capacity / plan.gpu.traits.lanes),
    workgroups: 1,
  });
  return result;
}
