/**
 * Rotary position embedding (RoPE) with a gradient, in place.
 *
 * @module
 */

import { checkNames, namesOf } from "../../input/names.ts";
import type { Plan } from "../../gpu/plan.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { type RopeOptions, rotate } from "../rope.ts";

const NAMES = namesOf<RopeOptions>({
  heads: true,
  keyValueHeads: true,
  headDim: true,
  rotation: true,
  name: true,
});

/**
 * Rotates queries and keys by their positions, in place.
 *
 * Dimension d < D/2 of a head is paired with d + D/2 and turned by `position * theta^(-2d/D)`, or what a scaling makes of
 * that, as in Hugging Face's models. Angles are kept as fractions of a turn, so precision does not suffer at large positions.
 *
 * @param qkv (T, (H + 2J) D), overwritten; the values, its last J heads, stay as they are.
 * @param positions (T) u32.
 * @param options Heads and rotation.
 * @returns A view of `qkv` under a name of its own; use it in place of `qkv` afterwards.
 * @throws {RangeError} If the shapes do not fit.
 * @see {@link https://arxiv.org/abs/2104.09864}
 */
export function rope(plan: Plan, qkv: Tensor, positions: Tensor, options: RopeOptions): Tensor {
  checkNames("rope", options, NAMES);
  const { name = "rope" } = options;
  const rotated = qkv.view(qkv.shape, { name: plan.path(name) });
  rotate(plan, rotated, positions, options);
  plan.onBackward([qkv], [rotated], () => {
    const gradient = plan.gradientOf(rotated);
    if (!gradient) throw new TypeError(`${plan.path(name)}: the rotated output is not used`);
    // A rotation's transpose is its inverse; the gradient of the view becomes that of qkv, in place too.
    rotate(plan, gradient.view(qkv.shape), positions, { ...options, inverse: true });
    plan.shareGradient(qkv, gradient);
  });
  return rotated;
}
