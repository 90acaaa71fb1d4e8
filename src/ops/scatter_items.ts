/**
 * Values in item order, brought to the rows and columns of the rollout batch.
 *
 * @module
 */

import code from "../../kernels/scatter_items.wgsl" with { type: "text" };
import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { type Dim, formatShape, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { elementwiseConstants } from "./readers.ts";
import { link } from "./wgsl.ts";

/** Where each of N items stands in the batch. */
export interface ItemPlaces {
  /** Response b of each item, shape (N), u32. */
  itemSequences: Tensor;
  /** Position t of each item in its response, shape (N), u32. */
  itemPositions: Tensor;
  /** Number of items N. */
  items: Dim;
}

/**
 * Writes `values[i]` to `matrix[b, t]` for every item i; the rest of the matrix stays as it is.
 *
 * @param values (N).
 * @param places b and t of each item, within the matrix.
 * @param matrix (B, M).
 * @param options `name` of the dispatch below the current scope, `"scatter_items"` by default.
 * @throws {RangeError} If the shapes do not fit.
 */
export function scatterItems(
  plan: Plan,
  values: Tensor,
  places: ItemPlaces,
  matrix: Tensor,
  options: { name?: string } = {},
): void {
  checkNames("scatterItems", options, ["name"]);
  const { itemSequences, itemPositions, items } = places;
  for (const [name, tensor] of Object.entries({ values, itemSequences, itemPositions })) {
    if (tensor.capacity < items.capacity) {
      throw new RangeError(
        `scatterItems needs ${name} of ${items.capacity} items: got ${formatShape(tensor.shape)}`,
      );
    }
  }
  if (matrix.shape.length !== 2) {
    throw new RangeError(`scatterItems needs a matrix (B, M): got ${formatShape(matrix.shape)}`);
  }
  const constants = elementwiseConstants(plan.gpu);
  plan.dispatch({
    kernel: plan.gpu.kernel(link({ name: "scatter_items", code, entryPoint: "main", constants })),
    label: options.name ?? "scatter_items",
    bindings: { values, item_sequences: itemSequences, item_positions: itemPositions, matrix },
    params: { items, stride: sizeLimit(matrix.shape[1]!) },
    turns: constants.CHUNK / constants.LANES,
    workgroups: () => Math.ceil(items.value / constants.CHUNK),
    cost: { bytes: () => items.value * 16 },
  });
}
