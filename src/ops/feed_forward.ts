/**
 * The feed-forward of a decoder layer: two linear layers with SwiGLU between them.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { addLora, type LoraWeights } from "./lora.ts";
import { hasKernel } from "./matmul/choose.ts";
import { linear } from "./matmul/linear.ts";
import { requestOf } from "./matmul/operands.ts";
import { product } from "./matmul/product.ts";
import { swiglu } from "./swiglu.ts";

/** Low-rank adapters of a feed-forward's matrices. */
export interface FeedForwardAdapters {
  /** Of the gates and ups. */
  readonly gateUp?: LoraWeights | undefined;
  /** Of the second matrix. */
  readonly down?: LoraWeights | undefined;
}

/**
 * Computes `down(silu(gate(x)) * up(x))`.
 *
 * On software adapters SwiGLU is computed where gates and ups are, at the end of the first product, and its gradient at
 * the end of the product that makes it; gates and ups are kept side by side for it.
 *
 * @param x (T, C).
 * @param gateUpWeight (2F, C): the F rows of the gates, then those of the ups; f32, f16 or bf16. F is a multiple of 4.
 * @param downWeight (C, F).
 * @param adapters Low-rank adapters of either matrix; nothing is fused then.
 * @returns (T, C).
 * @throws {RangeError} If the shapes do not fit.
 */
export function feedForward(
  plan: Plan,
  x: Tensor,
  gateUpWeight: Tensor,
  downWeight: Tensor,
  adapters: FeedForwardAdapters = {},
): Tensor<"f32"> {
  checkNames("feedForward", adapters, ["gateUp", "down"]);
  const rows = x.shape[0]!;
  const inner = sizeLimit(x.shape[1] ?? 0);
  const width = sizeLimit(downWeight.shape[1] ?? 0);
  const act = plan.empty([rows, width], "swiglu");
  const pairs = plan.empty([rows, width, 2], "gate_up_proj");
  const out = plan.empty([rows, downWeight.shape[0] ?? 0], "down_proj");
  const straight = { transposeA: false, transposeB: false, accumulate: false };
  const transposed = { transposeA: false, transposeB: true, accumulate: false };
  const overTokens = { transposeA: true, transposeB: false };
  const first = { ...transposed, a: x, b: gateUpWeight, out: act };
  const fits = x.shape.length === 2 && `${gateUpWeight.shape}` === `${[2 * width, inner]}` &&
    [
      requestOf({ ...first, epilogue: { kind: "swiglu", pairs } }),
      requestOf({
        ...straight,
        a: out,
        b: downWeight,
        out: act,
        epilogue: { kind: "swiglu_gradient", pairs },
      }),
    ].every((request) => hasKernel(plan.gpu.traits, request));
  if (!fits || adapters.gateUp || adapters.down) {
    const gateUp = linear(plan, x, gateUpWeight, { name: "gate_up_proj" });
    if (adapters.gateUp) addLora(plan, x, gateUp, adapters.gateUp, "gate_up_proj");
    const gated = swiglu(plan, gateUp);
    const down = linear(plan, gated, downWeight, { name: "down_proj" });
    if (adapters.down) addLora(plan, gated, down, adapters.down, "down_proj");
    return down;
  }

  plan.onBackward([x, gateUpWeight, downWeight], [out], () => {
    const gradient = plan.gradientOf(out);
    if (!gradient) throw new TypeError(`${plan.path("down_proj")}: the output is not used`);
    const dout = gradient.view(out.shape);
    const dgateUp = plan.empty([rows, 2 * width], "gate_up_proj.grad");
    product(plan, "down_proj.backward_a", {
      ...straight,
      a: dout,
      b: downWeight,
      out: dgateUp,
      epilogue: { kind: "swiglu_gradient", pairs },
    });
    plan.intoGradient(downWeight, (dweight, accumulate) => {
      const parameter = downWeight.grad !== undefined;
      const operands = { ...overTokens, a: dout, b: act, out: dweight };
      product(plan, "down_proj.backward_b", { ...operands, accumulate, parameter });
    });
    plan.intoGradient(x, (dx, accumulate) => {
      const operands = { ...straight, a: dgateUp, b: gateUpWeight, out: dx };
      product(plan, "gate_up_proj.backward_a", { ...operands, accumulate });
    });
    plan.intoGradient(gateUpWeight, (dweight, accumulate) => {
      const parameter = gateUpWeight.grad !== undefined;
      const operands = { ...overTokens, a: dgateUp, b: x, out: dweight };
      product(plan, "gate_up_proj.backward_b", { ...operands, accumulate, parameter });
    });
  });

  const room = plan.isDifferentiable(out) ? pairs : plan.empty([8], "gate_up_proj.unused");
  const epilogue = { kind: "swiglu", pairs: room } as const;
  product(plan, "gate_up_proj.forward", { ...first, epilogue });
  product(plan, "down_proj.forward", { ...transposed, a: act, b: downWeight, out });
  return out;
}
