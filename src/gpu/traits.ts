/**
 * What kernels are chosen by: everything the operations ask of a device, decided once.
 *
 * @module
 */

import type { AdapterSummary } from "./adapter.ts";
import type { MatrixUnit } from "./matrix_units.ts";

/** How matrix products are shared out on a device. */
export type ProductClass =
  /** Tiles in workgroup memory, multiplied by matrix units. */
  | "units"
  /** A tile for each narrow subgroup, whose lanes pass values to each other. */
  | "lanes"
  /** Tiles in workgroup memory. */
  | "tiled"
  /** A tile for each invocation. */
  | "plain";

/** What a device is good at. */
export interface DeviceTraits {
  /** Lanes that work together on a row: a subgroup, or a workgroup where there are none of one size. */
  readonly lanes: number;
  /** Whether those lanes are a subgroup; else they share workgroup memory. */
  readonly subgroups: boolean;
  /**
   * Whether this is a software adapter whose workgroups have few lanes. There, long loops are cheap and workgroups dear, and
   * a lane that walks a span of its own reads memory faster than lanes that take turns.
   */
  readonly narrow: boolean;
  /** Numbers that a load can bring (8 with 64-bit integers, 4), what is worth most first. */
  readonly loads: readonly (8 | 4)[];
  /** Whether subgroups are so narrow that passing rows around beats loading them on every lane. */
  readonly shuffles: boolean;
  /** How matrix products are shared out. */
  readonly products: ProductClass;
  /** The matrix units to use, what is built in first. */
  readonly matrixUnits: readonly MatrixUnit[];
  /** Memory of a workgroup, bytes. */
  readonly workgroupBytes: number;
  /** Tokens per attention tile: one subgroup where its size is known. */
  readonly attentionTile: number;
  /** Turns that the loops of an invocation may take in all; longer walks are shared out among more lanes. */
  readonly turns: number;
  /** Tokens to decode between two looks at which sequences are finished. */
  readonly stepsPerSubmit: number;
}

/** Lanes per team where subgroups are not available. */
const SHARED_LANES = 64;

/** Lanes that share an attention tile there. */
const SHARED_TILE = 32;

/** Old drivers end loops after 65,535 turns in all: so many are planned for, and the rest is left for what goes with them. */
const SOFTWARE_TURNS = 60_000;

/**
 * Decides what a device is good at.
 *
 * @param adapter What the device is.
 * @param workgroupBytes Memory of a workgroup. Default: what every device has.
 */
export function traitsOf(adapter: AdapterSummary, workgroupBytes = 2 ** 14): DeviceTraits {
  const { isFallback, subgroupSize, int64, matrixUnits } = adapter;
  const subgroups = subgroupSize !== 0;
  const lanes = subgroupSize || SHARED_LANES;
  return {
    lanes,
    subgroups,
    narrow: isFallback && lanes <= 16,
    loads: !int64 || !subgroups ? [4] : isFallback ? [8, 4] : [4, 8],
    shuffles: [4, 8, 16].includes(subgroupSize),
    // A software device: a subgroup is one vector register of the processor, workgroup memory and barriers are dear.
    products: matrixUnits.length > 0 && subgroups
      ? "units"
      : !isFallback
      ? "tiled"
      : subgroupSize >= 4
      ? "lanes"
      : "plain",
    matrixUnits,
    workgroupBytes,
    attentionTile: subgroupSize || SHARED_TILE,
    turns: isFallback ? SOFTWARE_TURNS : Infinity,
    stepsPerSubmit: isFallback ? 4 : 16,
  };
}
