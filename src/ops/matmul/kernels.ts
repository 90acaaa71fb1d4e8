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
import { LANE_KERNELS, STRIDED_KERNELS } from "./lane_kernels.ts";

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

const TILED_KERNELS = [64, 128].map((edge): ProductKernel => ({
  name: `tiled.tile${edge}`,
  family: "tiled",
  fits: (shape, { products }) =>
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

/** Every kernel. */
export const PRODUCT_KERNELS: readonly ProductKernel[] = [
  ...LANE_KERNELS,
  ...STRIDED_KERNELS,
  ...TILED_KERNELS,
  {
    name: "plain.tile32",
    family: "plain",
    // Long sums over tokens are no use to a device with many workgroups unless they are cut.
    fits: (shape, traits) =>
      traits.products !== "lanes" && shape.epilogue === undefined &&
      (shape.layout !== "tn" || !TILED_KERNELS.some((kernel) => kernel.fits(shape, traits))),
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
