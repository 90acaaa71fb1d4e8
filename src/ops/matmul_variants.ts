/**
 * Which matrix-product kernel runs where: a table of measured costs per class of device.
 *
 * All variants of one layout add up in the same order, so within a class of device the choice never changes a bit of the
 * result.
 *
 * @module
 */

import type { AdapterSummary } from "../gpu/device.ts";

/** How the operands lie in memory: `nt` = a (M, K), b (N, K); `nn` = b (K, N); `tn` = a (K, M), b (K, N); `tt` both. */
export type Layout = "nn" | "nt" | "tn" | "tt";

/** Sizes of a product out (M, N) = op(a) (M, K) · op(b) (K, N). */
export interface ProductSize {
  /** M: the most it can be. */
  readonly rows: number;
  /** N. */
  readonly columns: number;
  /** K: the most it can be. */
  readonly inner: number;
  /** Whether the axis that is contiguous in memory is a fixed multiple of 4, for a, b and out. */
  readonly aligned: boolean;
}

/** A kernel file and entry point, and the outputs that one workgroup computes. */
export interface Variant {
  /** File below `kernels/matmul/`. */
  readonly file: "nt" | "nn" | "tn" | "strided" | "plain";
  /** Entry point. */
  readonly entryPoint: string;
  /** Rows of out per workgroup. */
  readonly tileRows: number;
  /** Columns of out per workgroup. */
  readonly tileColumns: number;
}

/** Time of one tile by its rows, from CPU time on Mesa's llvmpipe with 8 lanes; only ratios matter. */
const TILE_COST: Readonly<Record<number, number>> = { 8: 0.45, 16: 0.66, 32: 1.1, 64: 1.95 };

/** Tile heights that exist. */
const TILE_ROWS: Readonly<Record<"nt" | "nn" | "tn" | "strided", readonly number[]>> = {
  nt: [8, 16, 32, 64],
  nn: [8, 16, 32, 64],
  tn: [32, 64],
  strided: [8, 32],
};

/** Tiles are worth making smaller until there are this many: one for each thread of a small processor. */
const WANTED_TILES = 4;

const LANE_COLUMNS = 32;

/**
 * Chooses the kernel for a product.
 *
 * @param adapter The device.
 * @param layout How the operands lie in memory.
 * @param size Sizes; capacities where they vary.
 */
export function chooseVariant(adapter: AdapterSummary, layout: Layout, size: ProductSize): Variant {
  // Eight lanes of a subgroup work on a tile: right for processors, where a subgroup is one vector register.
  if (adapter.subgroupSize < 8 || adapter.subgroupSize > 16) {
    return { file: "plain", entryPoint: "tile32", tileRows: 32, tileColumns: 32 };
  }
  const file = size.aligned && layout !== "tt" ? layout : "strided";
  let best = Infinity;
  let tileRows = 0;
  for (const rows of TILE_ROWS[file]) {
    const tiles = Math.ceil(size.rows / rows) * Math.ceil(size.columns / LANE_COLUMNS);
    const cost = Math.max(tiles, WANTED_TILES) * TILE_COST[rows]!;
    if (cost < best) {
      best = cost;
      tileRows = rows;
    }
  }
  return { file, entryPoint: `rows${tileRows}`, tileRows, tileColumns: LANE_COLUMNS };
}
