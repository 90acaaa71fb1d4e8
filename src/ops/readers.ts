/**
 * How kernels share out and read memory on a device.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Kernel, KernelDescriptor } from "../gpu/kernel.ts";
import { LONGEST_WALK, type Team, teamFor } from "./team.ts";
import { type Choices, link } from "./wgsl.ts";

/**
 * Compiles a kernel whose workgroups are teams: their size is `LANES`, and they reduce rows with `team_sum` and `team_max`.
 *
 * @param descriptor The kernel.
 * @param choices What else decides between files that the kernel needs.
 * @param how Files beside the kernel's, and who works on a row, by default the device's usual team.
 */
export function teamKernel(
  gpu: Gpu,
  descriptor: KernelDescriptor,
  choices: Choices = {},
  { own = [], team: { lanes, subgroups } = gpu.traits }: {
    readonly own?: readonly string[] | undefined;
    readonly team?: Team;
  } = {},
): Kernel {
  const constants = { ...descriptor.constants, LANES: lanes };
  const team = subgroups ? "subgroup" : "shared";
  return gpu.kernel(link({ ...descriptor, constants }, { ...choices, team }, own));
}

/** Numbers that one load brings. */
export type PackSize = 8 | 4 | 1;

/**
 * The largest packs that are worth loading on this device.
 *
 * @param multiple Sizes and offsets are multiples of this.
 */
export function widestPack(gpu: Gpu, multiple: number): PackSize {
  if (gpu.traits.loads[0] === 8 && multiple % 8 === 0) return 8;
  return multiple % 4 === 0 ? 4 : 1;
}

/** How a kernel reads rows on this device, see {@linkcode rowReader}. */
export interface RowReader {
  /** Numbers that a load brings. */
  readonly pack: PackSize;
  /** Packs per row. */
  readonly columns: number;
  /** Lanes that share a row. */
  readonly lanes: number;
  /** Whether each lane has a row of its own, or all lanes of a workgroup work on one. */
  readonly rows: "lane" | "team";
  /** Packs of a row that a lane visits. */
  readonly turns: number;
  /** Workgroups for a number of rows. */
  readonly workgroups: (rows: number) => number;
  /** Compiles a kernel that needs `pack` and `rows`. */
  readonly kernel: (descriptor: KernelDescriptor, choices?: Choices) => Kernel;
}

/**
 * Chooses how rows are read: in the widest packs, by a lane for each row where workgroups have few lanes, else by a team.
 *
 * @param width Numbers per row.
 * @param pack Numbers that a load brings; by default as many as the device likes.
 */
export function rowReader(
  gpu: Gpu,
  width: number,
  pack: PackSize = widestPack(gpu, width),
): RowReader {
  const { narrow, lanes } = gpu.traits;
  const columns = width / pack;
  const rows = narrow && columns <= LONGEST_WALK ? "lane" : "team";
  const team = rows === "lane" ? gpu.traits : teamFor(gpu, columns);
  const sharing = rows === "lane" ? 1 : team.lanes;
  return {
    pack,
    columns,
    lanes: sharing,
    rows,
    turns: Math.ceil(columns / sharing),
    workgroups: (count) => rows === "lane" ? Math.ceil(count / lanes) : count,
    kernel: (descriptor, choices) =>
      teamKernel(gpu, descriptor, { ...choices, pack, rows }, { team }),
  };
}

/** How a kernel reads flat arrays on this device, see {@linkcode flatReader}. */
export interface FlatReader {
  /** Numbers that a load brings. */
  readonly pack: PackSize;
  /** The most packs that a lane visits. */
  readonly turns: number;
  /** Compiles a kernel that needs `pack` and `spans`. */
  readonly kernel: (
    descriptor: KernelDescriptor,
    choices?: Choices,
    own?: readonly string[],
  ) => Kernel;
  /**
   * Shares out an array among workgroups, for kernels whose results do not depend on how that is done.
   *
   * @param length Numbers in the array.
   * @returns `count`, packs in all, and `chunk`, packs per workgroup, which are params of the kernel; and workgroups.
   */
  readonly share: (length: () => number) => {
    readonly count: () => number;
    readonly chunk: () => number;
    readonly workgroups: () => number;
  };
}

/** Workgroups to make of an array on a software adapter, as long as lanes get enough. */
const WANTED_WORKGROUPS = 64;
/** Packs per lane: fewer are not worth a workgroup, and more than these read no faster. */
const [SHORTEST_SPAN, LONGEST_SPAN] = [16, 512];
/** Packs per lane on graphics processors. */
const TURNS = 4;

/**
 * Chooses how flat arrays are read: in the widest packs, and by spans of each lane's own where workgroups have few lanes.
 *
 * @param multiple Lengths and offsets are multiples of this.
 * @param stretch Numbers that one workgroup reads where that is not for `share` to say.
 */
export function flatReader(gpu: Gpu, multiple: number, stretch = 0): FlatReader {
  const pack = widestPack(gpu, multiple);
  const team = teamFor(gpu, stretch / pack);
  const { lanes } = team;
  const { narrow } = gpu.traits;
  const perLane = (count: number) =>
    narrow
      ? Math.min(
        LONGEST_SPAN,
        Math.max(SHORTEST_SPAN, Math.ceil(count / lanes / WANTED_WORKGROUPS)),
      )
      : TURNS;
  return {
    pack,
    turns: stretch ? Math.ceil(stretch / pack / lanes) : narrow ? LONGEST_SPAN : TURNS,
    kernel: (descriptor, choices, own) =>
      teamKernel(
        gpu,
        { ...descriptor, constants: { ...descriptor.constants, OWN_SPANS: narrow } },
        { ...choices, pack },
        { own, team },
      ),
    share: (length) => {
      const count = () => length() / pack;
      const chunk = () => lanes * perLane(count());
      return { count, chunk, workgroups: () => Math.ceil(count() / chunk()) };
    },
  };
}

/**
 * How element-wise kernels share out their work: `LANES` per workgroup and `CHUNK` elements (or vectors of four) per
 * workgroup.
 */
export function elementwiseConstants(gpu: Gpu): { LANES: number; CHUNK: number } {
  const { lanes, narrow } = gpu.traits;
  return { LANES: lanes, CHUNK: lanes * (narrow ? 16 : 4) };
}
