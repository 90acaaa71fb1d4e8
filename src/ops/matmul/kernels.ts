/**
 * The kernels of matrix products, one object each.
 *
 * What a row of out is computed from and in which order depends on K and N but not on M: a token's outputs are the same
 * bits in any batch.
 *
 * @module
 */

import plain from "../../../kernels/matmul/plain.wgsl" with { type: "text" };
import tiled from "../../../kernels/matmul/tiled.wgsl" with { type: "text" };
import type { DeviceTraits } from "../../gpu/traits.ts";
import { link } from "../wgsl.ts";
import {
  accumulates,
  type ProductKernel,
  storedDType,
  STRIDES,
  transposes,
  withBias,
} from "./kernel.ts";
import { LANE_KERNELS, STRIDED_KERNELS } from "./lane_kernels.ts";
import { builtInTile, fitsFours } from "./tiles.ts";
import { unitKernels } from "./unit_kernels.ts";

/** The graphics processors' kernels: rows and columns of a tile, and turns of its loops over so many steps of K. */
const TILES = [
  { rows: 64, columns: 64, turns: (inner: number) => 21 * Math.ceil(inner / 16) },
  { rows: 128, columns: 128, turns: (inner: number) => 21 * Math.ceil(inner / 16) },
  { rows: 16, columns: 32, turns: (inner: number) => 33 * Math.ceil(inner / 32) },
];

const TILED_KERNELS = TILES.map(({ turns, ...tile }): ProductKernel => ({
  name: `tiled.tile${tile.rows}`,
  family: "tiled",
  fits: (shape, { products }) => products === "tiled" && fitsFours(shape),
  tile,
  time: (shape) => builtInTile(shape) === tile.rows ? 1 : 2,
  turns,
  cuts: true,
  source: (product) =>
    link(
      {
        name: "matmul/tiled",
        code: tiled,
        entryPoint: `tile${tile.rows}`,
        constants: { ...accumulates(product), ...transposes(product) },
      },
      { pack: 4, stored: storedDType(product) },
    ),
  params: (sizes) => sizes,
  bindings: withBias,
}));

const KERNELS: readonly ProductKernel[] = [
  ...LANE_KERNELS,
  ...STRIDED_KERNELS,
  ...TILED_KERNELS,
  {
    name: "plain.tile32",
    family: "plain",
    // Long sums over tokens are no use to a device with many workgroups unless they are cut.
    fits: (shape, traits) =>
      traits.products !== "lanes" && shape.epilogue === undefined &&
      (shape.layout !== "tn" || traits.products === "plain" || !fitsFours(shape)),
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
        [STRIDES],
      ),
    params: ({ rows, columns, inner }) => ({ rows, columns, inner }),
    bindings: withBias,
  },
];

/** Every kernel that a device may have. */
export function productKernels(traits: DeviceTraits): readonly ProductKernel[] {
  return [...traits.matrixUnits.flatMap((unit) => unitKernels(unit, traits)), ...KERNELS];
}
