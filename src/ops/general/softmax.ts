/**
 * Softmax of rows.
 *
 * @module
 */

import code from "../../../kernels/general/softmax.wgsl" with { type: "text" };
import { checkNames } from "../../input/names.ts";
import type { Plan } from "../../gpu/plan.ts";
import { formatShape, sizeNow, type Tensor } from "../../gpu/tensor.ts";
import { rowReader } from "../readers.ts";

/**
 * Turns each row into probabilities: `exp(x - max) / sum(exp(x - max))`.
 *
 * A row that holds a NaN or plus infinity, or nothing but minus infinity, becomes NaN.
 *
 * @param x (R, C), C fixed; fastest where it is a multiple of 8.
 * @param options `name` of the output below the current scope, `"softmax"` by default.
 * @returns (R, C).
 * @throws {RangeError} If the shape does not fit.
 */
export function softmax(plan: Plan, x: Tensor, options: { name?: string } = {}): Tensor<"f32"> {
  checkNames("softmax", options, ["name"]);
  const { name = "softmax" } = options;
  const [rows, width] = x.shape;
  if (x.shape.length !== 2 || typeof width !== "number" || width === 0) {
    throw new RangeError(
      `softmax needs (R, C) with C fixed and not 0: got ${formatShape(x.shape)}`,
    );
  }
  const reader = rowReader(plan.gpu, width);
  const kernel = (entryPoint: string) => reader.kernel({ name: "softmax", code, entryPoint });
  const workgroups = () => reader.workgroups(sizeNow(rows!));
  const params = { rows: rows!, columns: reader.columns, accumulate: 0 };
  const y = plan.empty(x.shape, name);
  plan.dispatch({
    kernel: kernel("forward"),
    label: `${name}.forward`,
    bindings: { x, y },
    params,
    turns: 2 * reader.turns,
    workgroups,
    cost: { bytes: () => sizeNow(rows!) * width * 8 },
  });

  plan.onBackward([x], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    plan.intoGradient(x, (dx, accumulate) => {
      plan.dispatch({
        kernel: kernel("backward"),
        label: `${name}.backward`,
        bindings: { saved: y, dy, dx },
        params: { ...params, accumulate: accumulate ? 1 : 0 },
        turns: 2 * reader.turns,
        workgroups,
        cost: { bytes: () => sizeNow(rows!) * width * (accumulate ? 16 : 12) },
      });
    });
  });
  return y;
}
