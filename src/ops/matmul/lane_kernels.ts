/**
 * The kernels of matrix products for the lanes of narrow subgroups: one loop, `matmul/lane_tile`, and what each family has of
 * its own.
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
import putGates from "../../../kernels/matmul/put_gates.wgsl" with { type: "text" };
import putPack from "../../../kernels/matmul/put_pack.wgsl" with { type: "text" };
import rowsAtOnce from "../../../kernels/matmul/rows_at_once.wgsl" with { type: "text" };
import rowsInTurn from "../../../kernels/matmul/rows_in_turn.wgsl" with { type: "text" };
import strided from "../../../kernels/matmul/strided.wgsl" with { type: "text" };
import tn from "../../../kernels/matmul/tn.wgsl" with { type: "text" };
import twoSums from "../../../kernels/matmul/two_sums.wgsl" with { type: "text" };
import type { DeviceTraits } from "../../gpu/traits.ts";
import type { EpilogueKind, Layout } from "../choices.ts";
import { link } from "../wgsl.ts";
import {
  accumulates,
  type ProductKernel,
  storedDType,
  STRIDES,
  tilesOf,
  transposes,
  withBias,
} from "./kernel.ts";
import type { Product, ProductShape } from "./operands.ts";

/** Files beside a kernel's of which the linker takes what is needed. */
const OWN = [
  laneTile,
  ntLoads,
  oneSum,
  putGates,
  putPack,
  rowsAtOnce,
  rowsInTurn,
  STRIDES,
  twoSums,
];

/** Lane tiles are worth making smaller until there are this many: one for each thread of a small processor. */
const WANTED_LANE_TILES = 4;

/** What kernels for the lanes of narrow subgroups have of their own. */
interface LaneFamily {
  readonly family: string;
  readonly code: string;
  readonly layouts: readonly Layout[];
  readonly epilogue?: EpilogueKind;
  readonly fits: (shape: ProductShape, traits: DeviceTraits) => boolean;
  /** Columns of each lane. */
  readonly laneColumns: 4 | 8;
  /** Steps of K that its loop takes at a time. */
  readonly innerSteps: 4 | 8;
  /** Time of a tile by its rows for each lane: CPU time on Mesa's llvmpipe with 8 lanes. */
  readonly tileTimes: Readonly<Partial<Record<1 | 2 | 4, number>>>;
  readonly cuts?: boolean;
  /** By default as many as make eight. */
  readonly pack?: 1;
  readonly constants: (product: Product) => Record<string, boolean>;
  readonly bindings?: ProductKernel["bindings"];
}

/** Lanes of a workgroup: no more than eight have something to do. */
function lanesOf(traits: DeviceTraits): 4 | 8 {
  return traits.lanes >= 8 ? 8 : 4;
}

/** The kernels of one family for workgroups of some lanes, one for each height of its tiles. */
function laneKernels(given: LaneFamily, lanes: 4 | 8): ProductKernel[] {
  const { family, code, layouts, epilogue, laneColumns, tileTimes, pack } = given;
  return Object.entries(tileTimes).map(([blocks, tileTime]) => {
    const rows = Number(blocks) * lanes;
    const tile = { rows, columns: laneColumns * lanes };
    return {
      name: `${family}.rows${rows}`,
      family,
      fits: (shape, traits) =>
        traits.products === "lanes" && lanesOf(traits) === lanes &&
        layouts.includes(shape.layout) && epilogue === shape.epilogue &&
        given.fits(shape, traits),
      tile,
      time: (shape) => Math.max(tilesOf(shape, tile), WANTED_LANE_TILES) * tileTime,
      turns: (inner) => Math.ceil(inner / given.innerSteps) + rows, // and as many to store
      cuts: given.cuts ?? false,
      source: (product, traits) =>
        link(
          {
            name: `matmul/${family}`,
            code,
            entryPoint: "lane_tile",
            constants: { LANES: lanes, ROWS: rows, ...given.constants(product) },
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

const LANE_FAMILIES: readonly LaneFamily[] = [
  {
    family: "nt_wide",
    code: ntWide,
    layouts: ["nt"],
    fits: (shape) =>
      shape.innerAlignment === 8 && shape.columnsAlignment === 8 &&
      shape.inner <= 128 && shape.columns >= 128,
    laneColumns: 8,
    innerSteps: 8,
    tileTimes: { 1: 0.39, 2: 0.64 },
    constants: accumulates,
    bindings: withBias,
  },
  {
    family: "nt",
    code: nt,
    layouts: ["nt"],
    fits: (shape) => shape.innerAlignment === 8 && shape.columnsAlignment >= 4,
    laneColumns: 4,
    innerSteps: 8,
    tileTimes: { 1: 0.31, 2: 0.48, 4: 0.83 },
    constants: accumulates,
    bindings: withBias,
  },
  {
    family: "nt_swiglu",
    code: ntSwiglu,
    layouts: ["nt"],
    epilogue: "swiglu",
    fits: (shape) => shape.innerAlignment === 8 && shape.columnsAlignment === 8,
    laneColumns: 4,
    innerSteps: 8,
    tileTimes: { 1: 0.53, 2: 0.9 },
    constants: () => ({}),
    bindings: ({ epilogue }) => ({ pairs: epilogue!.pairs }),
  },
  {
    family: "nn",
    code: nn,
    layouts: ["nn"],
    fits: (shape) => shape.innerAlignment >= 4 && shape.columnsAlignment === 8,
    laneColumns: 8,
    innerSteps: 4,
    tileTimes: { 1: 0.31, 2: 0.46, 4: 0.77 },
    constants: ({ accumulate }) => ({ ACCUMULATE: accumulate }),
  },
  {
    family: "nn_gates",
    code: nn,
    layouts: ["nn"],
    epilogue: "swiglu_gradient",
    fits: (shape) => shape.innerAlignment >= 4 && shape.columnsAlignment === 8,
    laneColumns: 8,
    innerSteps: 4,
    tileTimes: { 1: 0.31, 2: 0.46, 4: 0.77 },
    constants: () => ({}),
    bindings: ({ epilogue }) => ({ pairs: epilogue!.pairs }),
  },
  {
    family: "tn",
    code: tn,
    layouts: ["tn"],
    fits: (shape) => shape.rowsAlignment === 8 && shape.columnsAlignment === 8,
    laneColumns: 8,
    innerSteps: 4,
    tileTimes: { 4: 0.8 },
    cuts: true,
    constants: ({ accumulate }) => ({ ACCUMULATE: accumulate }),
  },
];

/** Those that load several numbers at a time. */
export const LANE_KERNELS: readonly ProductKernel[] = LANE_FAMILIES.flatMap((family) => [
  ...laneKernels(family, 8),
  ...laneKernels(family, 4),
]);

const STRIDED: LaneFamily = {
  family: "strided",
  code: strided,
  layouts: ["nn", "nt", "tn", "tt"],
  fits: (shape, traits) => !LANE_KERNELS.some((kernel) => kernel.fits(shape, traits)),
  laneColumns: 4,
  innerSteps: 4,
  tileTimes: { 1: 0.84, 4: 1.58 },
  pack: 1,
  constants: (product) => ({ ...accumulates(product), ...transposes(product) }),
  bindings: withBias,
};

/** Those that load numbers one by one, for whatever the others do not fit. */
export const STRIDED_KERNELS: readonly ProductKernel[] = [
  ...laneKernels(STRIDED, 8),
  ...laneKernels(STRIDED, 4),
];
