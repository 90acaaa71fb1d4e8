/**
 * The kernels of matrix products, one object each.
 *
 * What a row of out is computed from and in which order depends on K and N but not on M: a token's outputs are the same
 * bits in any batch.
 *
 * @module
 */

import laneTile from "../../../kernels/matmul/lane_tile.wgsl" with { type: "text" };
import nn from "../../../kernels/matmul/nn.wgsl" with { type: "text" };
import nt from "../../../kernels/matmul/nt.wgsl" with { type: "text" };
import ntLoads from "../../../kernels/matmul/nt_loads.wgsl" with { type: "text" };
import ntSwiglu from "../../../kernels/matmul/nt_swiglu.wgsl" with { type: "text" };
import ntWide from "../../../kernels/matmul/nt_wide.wgsl" with { type: "text" };
import oneSum from "../../../kernels/matmul/one_sum.wgsl" with { type: "text" };
import plain from "../../../kernels/matmul/plain.wgsl" with { type: "text" };
import putGates from "../../../kernels/matmul/put_gates.wgsl" with { type: "text" };
import putPack from "../../../kernels/matmul/put_pack.wgsl" with { type: "text" };
import strided from "../../../kernels/matmul/strided.wgsl" with { type: "text" };
import strides from "../../../kernels/matmul/strides.wgsl" with { type: "text" };
import tiled from "../../../kernels/matmul/tiled.wgsl" with { type: "text" };
import tn from "../../../kernels/matmul/tn.wgsl" with { type: "text" };
import twoSums from "../../../kernels/matmul/two_sums.wgsl" with { type: "text" };
import type { DeviceTraits, ProductClass } from "../../gpu/traits.ts";
import type { KernelDescriptor } from "../../gpu/kernel.ts";
import type { Param } from "../../gpu/command.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import type { EpilogueKind, Layout } from "../choices.ts";
import { type Choices, link } from "../wgsl.ts";
import type { Product, ProductShape } from "./operands.ts";

/** Sizes as kernels are given them. */
export type ProductParams = Readonly<
  Record<"rows" | "columns" | "inner" | "splits" | "split_inner", Param>
>;

/** A kernel that computes products. */
export interface ProductKernel {
  /** Its name among those of a product. */
  readonly name: string;
  /** Kernels that differ in their tile alone are of one family. Of several families that fit, the first is built in. */
  readonly family: string;
  /** Whether it can compute a product on a class of devices, and is good at it. */
  readonly fits: (shape: ProductShape, products: ProductClass) => boolean;
  /** Outputs that a workgroup computes. */
  readonly tile: { readonly rows: number; readonly columns: number };
  /** Time of a product, to be compared within a family. Only ratios matter. */
  readonly time: (shape: ProductShape) => number;
  /** Turns that its loops take over so many steps of K. */
  readonly turns: (inner: number) => number;
  /** Whether K may be cut into ranges with workgroups of their own, whose sums partial_sums adds up. */
  readonly cuts: boolean;
  /** WGSL, entry point and constants, for what b is stored in. */
  readonly source: (product: Product, traits: DeviceTraits) => KernelDescriptor;
  /** Of the sizes of a product and its ranges, those that the kernel's `Params` has. */
  readonly params: (sizes: ProductParams) => Readonly<Record<string, Param>>;
  /** What it binds beside `a`, `b` and `out`. */
  readonly bindings: (product: Product) => Readonly<Record<string, Tensor>>;
}

/** Lane tiles are worth making smaller until there are this many: one for each thread of a small processor. */
const WANTED_LANE_TILES = 4;

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

/** Files beside a kernel's of which the linker takes what is needed. */
const OWN = [laneTile, ntLoads, oneSum, putGates, putPack, strides, twoSums];

/** Tiles of a product. */
export function tilesOf(shape: ProductShape, tile: ProductKernel["tile"]): number {
  return Math.ceil(shape.rows / tile.rows) * Math.ceil(shape.columns / tile.columns);
}

// Without a bias the binding is never read; any other input may stand there.
const withBias = ({ bias, b }: Product) => ({ bias: bias ?? b });

function accumulates({ accumulate, bias }: Product): Record<string, boolean> {
  return { ACCUMULATE: accumulate, BIAS: bias !== undefined };
}

function transposes({ transposeA, transposeB }: Product): Record<string, boolean> {
  return { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB };
}

/** What kernels for the lanes of narrow subgroups have of their own. */
interface LaneFamily {
  readonly family: string;
  readonly code: string;
  readonly layouts: readonly Layout[];
  readonly epilogue?: EpilogueKind;
  readonly fits: (shape: ProductShape) => boolean;
  /** Columns of a tile. */
  readonly columns: number;
  /** Steps of K that its loop takes at a time. */
  readonly innerSteps: 4 | 8;
  /** Time of a tile by its rows: CPU time on Mesa's llvmpipe with 8 lanes. */
  readonly tileTimes: Readonly<Record<number, number>>;
  readonly cuts?: boolean;
  /** By default as many as make eight. */
  readonly pack?: 1;
  readonly constants: (product: Product) => Record<string, boolean>;
  readonly bindings?: ProductKernel["bindings"];
}

/** The kernels of one family, one for each height of its tiles. */
function laneKernels(given: LaneFamily): ProductKernel[] {
  const { family, code, layouts, epilogue, columns, tileTimes, pack } = given;
  return Object.keys(tileTimes).map(Number).map((rows) => {
    const tile = { rows, columns };
    return {
      name: `${family}.rows${rows}`,
      family,
      fits: (shape, products) =>
        products === "lanes" && layouts.includes(shape.layout) && epilogue === shape.epilogue &&
        given.fits(shape),
      tile,
      time: (shape) => Math.max(tilesOf(shape, tile), WANTED_LANE_TILES) * tileTimes[rows]!,
      turns: (inner) => Math.ceil(inner / given.innerSteps),
      cuts: given.cuts ?? false,
      source: (product, traits) =>
        link(
          {
            name: `matmul/${family}`,
            code,
            entryPoint: "lane_tile",
            constants: { ROWS: rows, ...given.constants(product) },
          },
          {
            pack: pack ?? (traits.loads[0] === 8 ? 8 : "4x2"),
            stored: storedDType(product),
            epilogue: epilogue === "swiglu_gradient" ? epilogue : "none",
          },
          OWN,
        ),
      params: (sizes) => sizes,
      bindings: given.bindings ?? (() => ({})),
    };
  });
}

function storedDType({ b }: Product): NonNullable<Choices["stored"]> {
  return b.dtype === "f16" ? "f16" : "f32";
}

const LANE_KERNELS: readonly ProductKernel[] = [
  ...laneKernels({
    family: "nt_wide",
    code: ntWide,
    layouts: ["nt"],
    fits: (shape) =>
      shape.innerAlignment === 8 && shape.columnsAlignment === 8 &&
      shape.inner <= 128 && shape.columns >= 128,
    columns: 64,
    innerSteps: 8,
    tileTimes: { 8: 0.39, 16: 0.64 },
    constants: accumulates,
    bindings: withBias,
  }),
  ...laneKernels({
    family: "nt",
    code: nt,
    layouts: ["nt"],
    fits: (shape) => shape.innerAlignment === 8 && shape.columnsAlignment >= 4,
    columns: 32,
    innerSteps: 8,
    tileTimes: { 8: 0.31, 16: 0.48, 32: 0.83 },
    constants: accumulates,
    bindings: withBias,
  }),
  ...laneKernels({
    family: "nt_swiglu",
    code: ntSwiglu,
    layouts: ["nt"],
    epilogue: "swiglu",
    fits: (shape) => shape.innerAlignment === 8 && shape.columnsAlignment === 8,
    columns: 32,
    innerSteps: 8,
    tileTimes: { 8: 0.55, 16: 0.9 },
    constants: ({ epilogue }) => ({ STORE_PAIRS: epilogue!.stores ?? true }),
    bindings: ({ epilogue }) => ({ pairs: epilogue!.pairs }),
  }),
  ...laneKernels({
    family: "nn",
    code: nn,
    layouts: ["nn"],
    fits: (shape) => shape.innerAlignment >= 4 && shape.columnsAlignment === 8,
    columns: 64,
    innerSteps: 4,
    tileTimes: { 8: 0.31, 16: 0.46, 32: 0.77 },
    constants: ({ accumulate }) => ({ ACCUMULATE: accumulate }),
  }),
  ...laneKernels({
    family: "nn_gates",
    code: nn,
    layouts: ["nn"],
    epilogue: "swiglu_gradient",
    fits: (shape) => shape.innerAlignment >= 4 && shape.columnsAlignment === 8,
    columns: 64,
    innerSteps: 4,
    tileTimes: { 8: 0.31, 16: 0.46, 32: 0.77 },
    constants: () => ({}),
    bindings: ({ epilogue }) => ({ pairs: epilogue!.pairs }),
  }),
  ...laneKernels({
    family: "tn",
    code: tn,
    layouts: ["tn"],
    fits: (shape) => shape.rowsAlignment === 8 && shape.columnsAlignment === 8,
    columns: 64,
    innerSteps: 4,
    tileTimes: { 32: 0.8 },
    cuts: true,
    constants: ({ accumulate }) => ({ ACCUMULATE: accumulate }),
  }),
];

const TILED_KERNELS = [64, 128].map((edge): ProductKernel => ({
  name: `tiled.tile${edge}`,
  family: "tiled",
  fits: (shape, products) =>
    products === "tiled" && shape.epilogue === undefined &&
    (shape.layout[0] === "t" ? shape.rowsAlignment : shape.innerAlignment) >= 4 &&
    (shape.layout[1] === "t" ? shape.innerAlignment : shape.columnsAlignment) >= 4 &&
    shape.columnsAlignment >= 4,
  tile: { rows: edge, columns: edge },
  time: (shape) =>
    (tilesOf(shape, { rows: 128, columns: 128 }) >= WANTED_WORKGROUPS) === (edge === 128) ? 1 : 2,
  // Sixteen steps at a time, in four loops of four.
  turns: (inner) => 21 * Math.ceil(inner / 16),
  cuts: true,
  source: (product) =>
    link(
      {
        name: "matmul/tiled",
        code: tiled,
        entryPoint: `tile${edge}`,
        constants: { ...accumulates(product), ...transposes(product) },
      },
      { pack: 4, stored: storedDType(product) },
    ),
  params: (sizes) => sizes,
  bindings: withBias,
}));

/** Whether a kernel fits that does not load its operands number by number. */
function isRegular(shape: ProductShape, products: ProductClass): boolean {
  return [...LANE_KERNELS, ...TILED_KERNELS].some((kernel) => kernel.fits(shape, products));
}

/** Every kernel. */
export const PRODUCT_KERNELS: readonly ProductKernel[] = [
  ...LANE_KERNELS,
  ...laneKernels({
    family: "strided",
    code: strided,
    layouts: ["nn", "nt", "tn", "tt"],
    fits: (shape) => !isRegular(shape, "lanes"),
    columns: 32,
    innerSteps: 4,
    tileTimes: { 8: 0.84, 32: 1.58 },
    pack: 1,
    constants: (product) => ({ ...accumulates(product), ...transposes(product) }),
    bindings: withBias,
  }),
  ...TILED_KERNELS,
  {
    name: "plain.tile32",
    family: "plain",
    // Long sums over tokens are no use to a device with many workgroups unless they are cut.
    fits: (shape, products) =>
      products !== "lanes" && shape.epilogue === undefined &&
      (shape.layout !== "tn" || !isRegular(shape, products)),
    tile: { rows: 32, columns: 32 },
    time: () => 1,
    turns: (inner) => inner,
    cuts: false,
    source: (product) =>
      link(
        {
          name: "matmul/plain",
          code: plain,
          entryPoint: "tile32",
          constants: { ...accumulates(product), ...transposes(product) },
        },
        { pack: 1, stored: storedDType(product) },
        OWN,
      ),
    params: ({ rows, columns, inner }) => ({ rows, columns, inner }),
    bindings: withBias,
  },
];
