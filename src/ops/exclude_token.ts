/**
 * Tokens that a policy never writes, such as padding.
 *
 * @module
 */

import code from "../../kernels/exclude_token.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { elementwiseConstants } from "./readers.ts";
import { link } from "./wgsl.ts";

/**
 * Gives one column of logits the probability 0, in place: softmax, entropy and samples are those of the other tokens, and
 * its gradient is 0.
 *
 * @param logits (T, V).
 * @param column Which token.
 * @param options `name` of the dispatch below the current scope, `"exclude_token"` by default.
 * @throws {RangeError} If there is no such column.
 */
export function excludeToken(
  plan: Plan,
  logits: Tensor,
  column: number,
  options: { name?: string } = {},
): void {
  const columns = sizeLimit(logits.shape[1] ?? 0);
  if (logits.shape.length !== 2 || !Number.isInteger(column) || column < 0 || column >= columns) {
    throw new RangeError(
      `excludeToken needs logits (T, V) and a column of them: got ${formatShape(logits.shape)} ` +
        `and ${column}`,
    );
  }
  const rows = logits.shape[0]!;
  const constants = elementwiseConstants(plan.gpu);
  plan.dispatch({
    kernel: plan.gpu.kernel(link({ name: "exclude_token", code, entryPoint: "main", constants })),
    label: options.name ?? "exclude_token",
    bindings: { logits },
    params: { rows, columns, column },
    turns: constants.CHUNK / constants.LANES,
    workgroups: () => Math.ceil(sizeNow(rows) / constants.CHUNK),
    cost: { bytes: () => sizeNow(rows) * 4 },
  });
}
