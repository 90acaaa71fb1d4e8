/**
 * The feed-forward of a decoder layer: two linear layers with SwiGLU between them.
 *
 * @module
 */

import code from "../../kernels/feed_forward.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { bytesPerElement, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { laneSnippets, linear, product } from "./matmul.ts";
import { swiglu } from "./swiglu.ts";

/**
 * Computes `down(silu(gate(x)) * up(x))`.
 *
 * On software adapters SwiGLU is computed where gates and ups are, at the end of the first product, and its gradient at
 * the end of the product that makes it; gates and ups are kept side by side for it.
 *
 * @param plan Where to record.
 * @param x (T, C).
 * @param gateUpWeight (2F, C): the F rows of the gates, then those of the ups; f32 or f16. F is a multiple of 4.
 * @param downWeight (C, F).
 * @returns (T, C).
 * @throws {RangeError} If the shapes do not fit.
 */
export function feedForward(
  plan: Plan,
  x: Tensor,
  gateUpWeight: Tensor,
  downWeight: Tensor,
): Tensor {
  const rows = x.shape[0]!;
  const inner = sizeLimit(x.shape[1] ?? 0);
  const width = sizeLimit(downWeight.shape[1] ?? 0);
  const { gpu } = plan;
  const fused = gpu.traits.products === "lanes" && inner % 8 === 0 && width % 8 === 0 &&
    x.shape.length === 2 && `${gateUpWeight.shape}` === `${[2 * width, inner]}`;
  if (!fused) {
    const gateUp = linear(plan, x, gateUpWeight, { name: "gate_up_proj" });
    return linear(plan, swiglu(plan, gateUp), downWeight, { name: "down_proj" });
  }

  const pairs = plan.empty([rows, width, 2], "gate_up_proj");
  const act = plan.empty([rows, width], "swiglu");
  const out = plan.empty([rows, downWeight.shape[0]!], "down_proj");
  const straight = { transposeA: false, transposeB: false };
  const overTokens = { transposeA: true, transposeB: false };
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
      accumulate: false,
      pairs,
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

  const keep = plan.isDifferentiable(out);
  const tileRows = sizeLimit(rows) <= 8 ? 8 : 16;
  plan.dispatch({
    kernel: gpu.kernel({
      name: gateUpWeight.dtype === "f16" ? "feed_forward_f16" : "feed_forward",
      code: `${code}\n${laneSnippets(gpu.traits, gateUpWeight)}`,
      entryPoint: `rows${tileRows}`,
      constants: { KEEP: keep },
    }),
    label: "gate_up_proj.forward",
    bindings: {
      a: x,
      b: gateUpWeight,
      y: act,
      pairs: keep ? pairs : plan.empty([8], "gate_up_proj.unused"),
    },
    params: { rows, columns: width, inner },
    workgroups: () => Math.ceil(sizeNow(rows) / tileRows) * Math.ceil(width / 32),
    cost: {
      flops: () => 4 * sizeNow(rows) * width * inner,
      bytes: () =>
        4 * (x.length + act.length + (keep ? pairs.length : 0)) +
        bytesPerElement(gateUpWeight.dtype) * gateUpWeight.length,
    },
  });
  const operands = { transposeA: false, a: act, transposeB: true, b: downWeight, out };
  product(plan, "down_proj.forward", { ...operands, accumulate: false });
  return out;
}
