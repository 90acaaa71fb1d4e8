/**
 * Which matrix-product kernel runs where: a table of measured costs per class of device.
 *
 * What a row of out is computed from and in which order depends on K and N but not on M: a token's outputs are the same
 * bits in any batch.
 *
 * @module
 */

import type { DeviceTraits } from "../gpu/traits.ts";

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
  /** K: the most it can be. */
  readonly inner: number;
  /** Likewise for K. */
  readonly innerAlignment: number;
}

/** A kernel file and entry point, and the outputs that one workgroup computes. */
export interface Variant {
  /** File below `kernels/matmul/`. */
  readonly file: "nt" | "nt_eight" | "nn" | "tn" | "strided" | "tiled" | "plain";
  /** Entry point. */
  readonly entryPoint: string;
  /** Rows of out per workgroup. */
  readonly tileRows: number;
  /** Columns of out per workgroup. */
  readonly tileColumns: number;
  /** Steps of K per range, if it is cut into ranges with workgroups of their own (`tn`, `tiled`). */
  readonly splitInner?: number;
}

/** A kernel whose workgroup is eight lanes of a subgroup. */
interface LaneKernel {
  readonly file: Variant["file"];
  readonly tileColumns: number;
  /** Time of one tile by its rows: CPU time on Mesa's llvmpipe with 8 lanes. Only ratios matter. */
  readonly tileCost: Readonly<Record<number, number>>;
  /** Whether the sizes suit its loads of eight values, and are what it is good at. */
  readonly fits: (size: ProductSize) => boolean;
}

/** The first that fits is taken. */
const LANE_KERNELS: Readonly<Record<Layout, readonly LaneKernel[]>> = {
  nt: [{
    file: "nt_eight",
    tileColumns: 64,
    tileCost: { 8: 0.39, 16: 0.64 },
    fits: (size) =>
      size.innerAlignment === 8 && size.columnsAlignment === 8 &&
      size.inner <= 128 && size.columns >= 128,
  }, {
    file: "nt",
    tileColumns: 32,
    tileCost: { 8: 0.31, 16: 0.48, 32: 0.83 },
    fits: (size) => size.innerAlignment === 8 && size.columnsAlignment >= 4,
  }],
  nn: [{
    file: "nn",
    tileColumns: 64,
    tileCost: { 8: 0.31, 16: 0.46, 32: 0.77 },
    fits: (size) => size.innerAlignment >= 4 && size.columnsAlignment === 8,
  }],
  tn: [{
    file: "tn",
    tileColumns: 64,
    tileCost: { 32: 0.8 },
    fits: (size) => size.rowsAlignment === 8 && size.columnsAlignment === 8,
  }],
  tt: [],
};

const STRIDED: LaneKernel = {
  file: "strided",
  tileColumns: 32,
  tileCost: { 8: 0.84, 32: 1.58 },
  fits: () => true,
};

const PLAIN: Variant = {
  file: "plain",
  entryPoint: "tile32",
  tileRows: 32,
  tileColumns: 32,
};

/** Lane tiles are worth making smaller until there are this many: one for each thread of a small processor. */
const WANTED_LANE_TILES = 4;

/** Floats of a and b that a processor core's second-level cache holds. */
const CACHED_FLOATS = 2 ** 18;

/** The most floats of partial sums to make. */
const MAX_PARTIAL_FLOATS = 2 ** 23;

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

/** A range of K shorter than this is not worth another workgroup and the second pass. */
const SHORTEST_SPLIT = 128;

/** Outputs along each edge of a tile of the graphics processors' kernel. */
const TILED_EDGES = [64, 128] as const;

/** Lengths of ranges of K that a measurement tries. */
const SPLITS = [128, 256, 512, 1024, 2048];

/**
 * Chooses the kernel for a product.
 *
 * @param traits The device.
 * @param layout How the operands lie in memory.
 * @param size Sizes.
 */
export function chooseVariant(traits: DeviceTraits, layout: Layout, size: ProductSize): Variant {
  if (traits.products === "tiled") return tiledVariant(layout, size);
  return traits.products === "lanes" ? laneVariant(layout, size) : PLAIN;
}

/**
 * The kernels that a measurement may choose between for a product, the built-in choice first.
 *
 * @param traits The device.
 * @param layout How the operands lie in memory.
 * @param size Sizes.
 */
export function variantsOf(
  traits: DeviceTraits,
  layout: Layout,
  size: ProductSize,
): readonly Variant[] {
  const builtIn = chooseVariant(traits, layout, size);
  const { file } = builtIn;
  const others: Variant[] = [];
  if (file === "tiled") {
    for (const edge of TILED_EDGES) others.push(...splitVariants(tiled(edge), layout, size));
    if (layout !== "tn") others.push(PLAIN);
  } else if (file !== "plain") {
    for (const { file, tileColumns, tileCost } of laneKernels(layout, size)) {
      for (const tileRows of Object.keys(tileCost).map(Number)) {
        const variant = { file, entryPoint: `rows${tileRows}`, tileRows, tileColumns };
        others.push(...(file === "tn" ? splitVariants(variant, layout, size) : [variant]));
      }
    }
  }
  const name = variantName(builtIn);
  return [builtIn, ...others.filter((variant) => variantName(variant) !== name)];
}

/** The name of a kernel among those of a product, such as `tn.rows32.split256`. */
export function variantName({ file, entryPoint, splitInner }: Variant): string {
  return `${file}.${entryPoint}${splitInner ? `.split${splitInner}` : ""}`;
}

/** A kernel with K whole, and cut into ranges of several lengths where the sum may be cut. */
function splitVariants(variant: Variant, layout: Layout, size: ProductSize): Variant[] {
  if (layout !== "tn") return [variant];
  const fewest = size.inner * size.rows * size.columns / MAX_PARTIAL_FLOATS;
  const steps = SPLITS.filter((split) => split >= fewest && split < size.inner);
  return [variant, ...steps.map((splitInner) => ({ ...variant, splitInner }))];
}

function laneKernels(layout: Layout, size: ProductSize): readonly LaneKernel[] {
  const fitting = LANE_KERNELS[layout].filter(({ fits }) => fits(size));
  return fitting.length > 0 ? fitting : [STRIDED];
}

function laneVariant(layout: Layout, size: ProductSize): Variant {
  const { file, tileColumns, tileCost } = laneKernels(layout, size)[0]!;
  let best = Infinity;
  let tileRows = 0;
  for (const [rows, cost] of Object.entries(tileCost)) {
    const tiles = Math.ceil(size.rows / Number(rows)) * Math.ceil(size.columns / tileColumns);
    const total = Math.max(tiles, WANTED_LANE_TILES) * cost;
    if (total < best) {
      best = total;
      tileRows = Number(rows);
    }
  }
  const variant = { file, entryPoint: `rows${tileRows}`, tileRows, tileColumns };
  if (file !== "tn" || size.inner * (size.rows + size.columns) <= 2 * CACHED_FLOATS) return variant;
  // All tiles of a range of tokens run before the next one, while the tokens are in the cache.
  const cached = CACHED_FLOATS / (size.rows + size.columns);
  const fewest = size.inner * size.rows * size.columns / MAX_PARTIAL_FLOATS;
  return withSplits(variant, size, Math.max(fewest, Math.min(512, Math.max(256, cached))));
}

/** Cuts K into ranges of about `steps`, if that makes more than one. */
function withSplits(variant: Variant, size: ProductSize, steps: number): Variant {
  const splitInner = 16 * Math.ceil(steps / 16);
  return splitInner < size.inner ? { ...variant, splitInner } : variant;
}

function tiled(edge: typeof TILED_EDGES[number]): Variant {
  return { file: "tiled", entryPoint: `tile${edge}`, tileRows: edge, tileColumns: edge };
}

function tiledVariant(layout: Layout, size: ProductSize): Variant {
  const { rows, columns, inner, rowsAlignment, columnsAlignment, innerAlignment } = size;
  const contiguous = [
    layout[0] === "t" ? rowsAlignment : innerAlignment,
    layout[1] === "t" ? innerAlignment : columnsAlignment,
    columnsAlignment,
  ];
  if (contiguous.some((alignment) => alignment < 4)) return PLAIN;
  const tiles = (edge: number) => Math.ceil(rows / edge) * Math.ceil(columns / edge);
  const edge = tiles(128) >= WANTED_WORKGROUPS ? 128 : 64;
  const variant = tiled(edge);
  // Only sums over tokens are split: a token's own outputs must not depend on how many others there are.
  if (layout !== "tn") return variant;
  const wanted = inner * tiles(edge) / WANTED_WORKGROUPS;
  return withSplits(variant, size, Math.max(SHORTEST_SPLIT, wanted));
}
