/**
 * The gated activation of the feed-forward layer (Shazeer 2020, arXiv 2002.05202).
 *
 * @module
 */

import code from "../../kernels/swiglu.wgsl" with { type: "text" };
import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { elementwiseConstants } from "./readers.ts";
import { link } from "./wgsl.ts";

/**
 * Computes `silu(gate) * up`.
 *
 * @param gateUp (T, 2F): each row holds the F gates, then the F ups. F is a multiple of 4.
 * @param options `name` of the output below the current scope, `"swiglu"` by default.
 * @returns (T, F).
 * @throws {RangeError} If the shape does not fit.
 */
export function swiglu(plan: Plan, gateUp: Tensor, options: { name?: string } = {}): Tensor<"f32"> {
  checkNames("swiglu", options, ["name"]);
  const { name = "swiglu" } = options;
  const width = sizeLimit(gateUp.shape[1] ?? 0) / 2;
  if (gateUp.shape.length !== 2 || width === 0 || width % 4 !== 0) {
    throw new RangeError(
      `swiglu needs (T, 2F) with F a multiple of 4: got ${formatShape(gateUp.shape)}`,
    );
  }
  const { gpu } = plan;
  const rows = gateUp.shape[0]!;
  const columns = width / 4;
  const constants = elementwiseConstants(gpu);
  const workgroups = () => sizeNow(rows) * Math.ceil(columns / constants.CHUNK);
  const y = plan.empty([rows, width], name);
  plan.dispatch({
    kernel: gpu.kernel(link({ name: "swiglu", code, entryPoint: "forward", constants })),
    label: `${name}.forward`,
    bindings: { gate_up: gateUp, y },
    params: { rows, columns, accumulate: 0 },
    turns: constants.CHUNK / constants.LANES,
    workgroups,
    cost: { bytes: () => sizeNow(rows) * width * 12 },
  });

  plan.onBackward([gateUp], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    plan.intoGradient(gateUp, (dgateUp, accumulate) => {
      plan.dispatch({
        kernel: gpu.kernel(link({ name: "swiglu", code, entryPoint: "backward", constants })),
        label: `${name}.backward`,
        bindings: { gate_up: gateUp, dy, dgate_up: dgateUp },
        params: { rows, columns, accumulate: accumulate ? 1 : 0 },
        turns: constants.CHUNK / constants.LANES,
        workgroups,
        cost: { bytes: () => sizeNow(rows) * width * (accumulate ? 28 : 20) },
      });
    });
  });
  return y;
}
