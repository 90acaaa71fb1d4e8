/**
 * Element-wise sum of two tensors.
 *
 * @module
 */

import code from "../../../kernels/general/add.wgsl" with { type: "text" };
import { checkNames } from "../../input/names.ts";
import type { Plan } from "../../gpu/plan.ts";
import { formatShape, type Tensor } from "../../gpu/tensor.ts";
import { flatReader } from "../readers.ts";

/**
 * Computes `a + b`.
 *
 * Each summand gets a copy of the gradient, so both may be used elsewhere too, and may be the same tensor.
 *
 * @param a Any shape.
 * @param b The same shape.
 * @param options `name` of the output below the current scope, `"add"` by default.
 * @returns A tensor of that shape.
 * @throws {RangeError} If the shapes differ.
 */
export function add(
  plan: Plan,
  a: Tensor,
  b: Tensor,
  options: { name?: string } = {},
): Tensor<"f32"> {
  checkNames("add", options, ["name"]);
  const { name = "add" } = options;
  if (a.shape.length !== b.shape.length || a.shape.some((size, i) => size !== b.shape[i])) {
    throw new RangeError(
      `add needs equal shapes: got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
    );
  }
  // Whole packs whatever the dimensions that vary.
  const fixed = a.shape.reduce<number>((n, size) => typeof size === "number" ? n * size : n, 1);
  const reader = flatReader(plan.gpu, fixed);
  const kernel = (entryPoint: string) => reader.kernel({ name: "add", code, entryPoint });
  const { count, chunk, workgroups } = reader.share(() => a.length);
  const y = plan.empty(a.shape, name);
  plan.dispatch({
    kernel: kernel("add"),
    label: `${name}.forward`,
    bindings: { a, b, y },
    params: { count, chunk, accumulate: 0 },
    turns: reader.turns,
    workgroups,
    cost: { bytes: () => a.length * 12, flops: () => a.length },
  });

  plan.onBackward([a, b], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    for (const [summand, tensor] of [["a", a], ["b", b]] as const) {
      plan.intoGradient(tensor, (gradient, accumulate) => {
        plan.dispatch({
          kernel: kernel("pass_on"),
          label: `${name}.backward_${summand}`,
          bindings: { a: dy, y: gradient },
          params: { count, chunk, accumulate: accumulate ? 1 : 0 },
          turns: reader.turns,
          workgroups,
          cost: { bytes: () => a.length * (accumulate ? 12 : 8) },
        });
      });
    }
  });
  return y;
}
