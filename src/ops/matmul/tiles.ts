/**
 * What kernels with tiles in workgroup memory have in common.
 *
 * @module
 */

import { tilesOf } from "./kernel.ts";
import type { ProductShape } from "./operands.ts";

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

/**
 * Tiles of 64 x 64 below which those of 16 rows are built in. Decoding a batch of 64 at width 896 makes 14 of them, and a
 * processor of a hundred cores waits for the long sums of 14; they are 112 of the other, the order of sums stays, and
 * weights come from memory once as before, the other times from its cache. Ranges of K would be an order of their own.
 */
const FEW_TILES = 64;

/** Rows of the tile that is built in for a product. */
export function builtInTile(shape: ProductShape): number {
  const few = tilesOf(shape, { rows: 64, columns: 64 }) < FEW_TILES;
  // Sums over tokens are cut instead.
  if (few && shape.layout !== "tn") return 16;
  return tilesOf(shape, { rows: 128, columns: 128 }) >= WANTED_WORKGROUPS ? 128 : 64;
}

/** Whether a product is without an epilogue, and a, b and out can be loaded and stored four numbers at a time. */
export function fitsFours(shape: ProductShape): boolean {
  return shape.epilogue === undefined &&
    (shape.layout[0] === "t" ? shape.rowsAlignment : shape.innerAlignment) >= 4 &&
    (shape.layout[1] === "t" ? shape.innerAlignment : shape.columnsAlignment) >= 4 &&
    shape.columnsAlignment >= 4;
}
