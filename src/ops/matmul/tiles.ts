/**
 * What kernels with tiles in workgroup memory have in common.
 *
 * @module
 */

import { tilesOf } from "./kernel.ts";
import type { ProductShape } from "./operands.ts";

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

/** Rows up to which a tile of 16 rows is built in: one of 64 would be empty for the most part, and there would be few. */
const FEW_ROWS = 32;

/** Rows of the tile that is built in for a product. */
export function builtInTile(shape: ProductShape): number {
  if (shape.layout !== "tn" && shape.rows <= FEW_ROWS) return 16;
  return tilesOf(shape, { rows: 128, columns: 128 }) >= WANTED_WORKGROUPS ? 128 : 64;
}

/** Whether a product is without an epilogue, and a, b and out can be loaded and stored four numbers at a time. */
export function fitsFours(shape: ProductShape): boolean {
  return shape.epilogue === undefined &&
    (shape.layout[0] === "t" ? shape.rowsAlignment : shape.innerAlignment) >= 4 &&
    (shape.layout[1] === "t" ? shape.innerAlignment : shape.columnsAlignment) >= 4 &&
    shape.columnsAlignment >= 4;
}
