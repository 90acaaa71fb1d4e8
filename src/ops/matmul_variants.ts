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
  /** N: the most it can be. */
  readonly columns: number;
  /** The largest power of two, up to 8, that always divides M. */
  readonly rowsAlignment: number;
  /** Likewise for N. */
  readonly columnsAlignment: number;
  /** Likewise for K. */
  readonly innerAlignment: number;
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

/** A kernel whose workgroup is eight lanes of a subgroup. */
interface LaneKernel {
  readonly file: Variant["file"];
  readonly tileColumns: number;
  /** Time of one tile by its rows: CPU time on Mesa's llvmpipe with 8 lanes. Only ratios matter. */
  readonly tileCost: Readonly<Record<number, number>>;
  /** Whether the sizes suit its loads of eight values. */
  readonly fits: (size: ProductSize) => boolean;
}

const LANE_KERNELS: Readonly<Record<Layout, LaneKernel | undefined>> = {
  nt: {
    file: "nt",
    tileColumns: 32,
    tileCost: { 8: 0.31, 16: 0.48, 32: 0.83 },
    fits: (size) => size.innerAlignment === 8 && size.columnsAlignment >= 4,
  },
  nn: {
    file: "nn",
    tileColumns: 64,
    tileCost: { 8: 0.31, 16: 0.46, 32: 0.77 },
    fits: (size) => size.innerAlignment >= 4 && size.columnsAlignment === 8,
  },
  tn: {
    file: "tn",
    tileColumns: 64,
    tileCost: { 32: 0.8 },
    fits: (size) => size.rowsAlignment === 8 && size.columnsAlignment === 8,
  },
  tt: undefined,
};

const STRIDED: LaneKernel = {
  file: "strided",
  tileColumns: 32,
  tileCost: { 8: 0.84, 32: 1.58 },
  fits: () => true,
};

const PLAIN: Variant = { file: "plain", entryPoint: "tile32", tileRows: 32, tileColumns: 32 };

/** Tiles are worth making smaller until there are this many: one for each thread of a small processor. */
const WANTED_TILES = 4;

/**
 * Chooses the kernel for a product.
 *
 * @param adapter The device.
 * @param layout How the operands lie in memory.
 * @param size Sizes.
 */
export function chooseVariant(adapter: AdapterSummary, layout: Layout, size: ProductSize): Variant {
  // Eight lanes to a tile are right for processors, where a subgroup is one vector register.
  if (adapter.subgroupSize < 8 || adapter.subgroupSize > 16) return PLAIN;
  const aligned = LANE_KERNELS[layout];
  const { file, tileColumns, tileCost } = aligned?.fits(size) ? aligned : STRIDED;
  let best = Infinity;
  let tileRows = 0;
  for (const [rows, cost] of Object.entries(tileCost)) {
    const tiles = Math.ceil(size.rows / Number(rows)) * Math.ceil(size.columns / tileColumns);
    const total = Math.max(tiles, WANTED_TILES) * cost;
    if (total < best) {
      best = total;
      tileRows = Number(rows);
    }
  }
  return { file, entryPoint: `rows${tileRows}`, tileRows, tileColumns };
}
