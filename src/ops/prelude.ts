/**
 * The WGSL snippets that several kernels share. They are appended to a kernel's source, so that line numbers in error
 * messages are those of the kernel file.
 *
 * @module
 */

import eight from "../../kernels/prelude/eight_u64.wgsl" with { type: "text" };
import halves from "../../kernels/prelude/halves.wgsl" with { type: "text" };
import kl from "../../kernels/prelude/kl.wgsl" with { type: "text" };
import keptF16Eight from "../../kernels/prelude/kept_f16_eight.wgsl" with { type: "text" };
import keptF16Four from "../../kernels/prelude/kept_f16_four.wgsl" with { type: "text" };
import keptF32 from "../../kernels/prelude/kept_f32.wgsl" with { type: "text" };
import piecesF32 from "../../kernels/prelude/pieces_f32.wgsl" with { type: "text" };
import piecesOne from "../../kernels/prelude/pieces_one.wgsl" with { type: "text" };
import piecesU64 from "../../kernels/prelude/pieces_u64.wgsl" with { type: "text" };
import rowsLane from "../../kernels/prelude/rows_lane.wgsl" with { type: "text" };
import rowsTeam from "../../kernels/prelude/rows_team.wgsl" with { type: "text" };
import spans from "../../kernels/prelude/spans.wgsl" with { type: "text" };
import storedF16 from "../../kernels/prelude/stored_f16.wgsl" with { type: "text" };
import storedF32 from "../../kernels/prelude/stored_f32.wgsl" with { type: "text" };
import teamShared from "../../kernels/prelude/team_shared.wgsl" with { type: "text" };
import teamSubgroup from "../../kernels/prelude/team_subgroup.wgsl" with { type: "text" };
import threefry from "../../kernels/prelude/threefry.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import type { Kernel, KernelDescriptor } from "../gpu/kernel.ts";
import type { DType, Tensor } from "../gpu/tensor.ts";

/**
 * Compiles a kernel that reduces rows with `team_sum` and `team_max`. Its workgroup size must be `LANES`.
 *
 * @param gpu The device; decides between subgroup operations and shared memory.
 * @param descriptor The kernel.
 */
export function teamKernel(gpu: Gpu, descriptor: KernelDescriptor): Kernel {
  const prelude = gpu.traits.subgroups ? teamSubgroup : teamShared;
  return gpu.kernel({
    ...descriptor,
    code: `${descriptor.code}\n${prelude}`,
    constants: { ...descriptor.constants, LANES: gpu.traits.lanes },
  });
}

/** WGSL of `Eight`: eight values as four 64-bit integers. */
export const eightU64: string = eight;

/** What memory is read in: eight numbers as 64-bit integers, four, or one. */
export type PieceKind = "u64" | "f32" | "one";

/** How much of memory a kernel takes in one load. */
export interface Pieces {
  /** Tells kernels apart that differ in this alone. */
  readonly name: PieceKind;
  /** Numbers per piece. */
  readonly size: 8 | 4 | 1;
  /** WGSL of `Piece`, its parts, and what goes with them. */
  readonly code: string;
}

/** Every kind of pieces. */
export const PIECES: Readonly<Record<PieceKind, Pieces>> = {
  u64: { name: "u64", size: 8, code: `${eightU64}\n${piecesU64}` },
  f32: { name: "f32", size: 4, code: piecesF32 },
  one: { name: "one", size: 1, code: piecesOne },
};

/**
 * The largest pieces that are worth loading on this device.
 *
 * @param gpu The device.
 * @param multiple Sizes and offsets are multiples of this.
 */
export function widestPieces(gpu: Gpu, multiple: number): Pieces {
  if (gpu.traits.loads[0] === 8 && multiple % 8 === 0) return PIECES.u64;
  return PIECES[multiple % 4 === 0 ? "f32" : "one"];
}

/** A lane does not walk further than this: llvmpipe leaves a loop after 65535 turns. */
const LONGEST_WALK = 2 ** 15;

/** How workgroups share out rows on this device. */
export interface RowShare {
  /** Tells kernels apart that differ in this alone. */
  readonly name: "lane" | "team";
  /** WGSL of `row_of`, `first_piece`, `row_sum` and what goes with them, for a {@linkcode teamKernel}. */
  readonly code: string;
  /** Workgroups for a number of rows. */
  readonly workgroups: (rows: number) => number;
}

/**
 * Chooses how workgroups share out rows: a row for each lane where workgroups have few lanes, else a team for each row.
 *
 * @param gpu The device.
 * @param columns Elements per row that a lane would visit one by one.
 */
export function rowShare(gpu: Gpu, columns: number): RowShare {
  return gpu.traits.narrow && columns <= LONGEST_WALK
    ? { name: "lane", code: rowsLane, workgroups: (rows) => Math.ceil(rows / gpu.traits.lanes) }
    : { name: "team", code: rowsTeam, workgroups: (rows) => rows };
}

/** How a kernel reads rows on this device, see {@linkcode rowReader}. */
export interface RowReader {
  /** Numbers per piece. */
  readonly size: number;
  /** Pieces per row. */
  readonly columns: number;
  /** Lanes that share a row. */
  readonly lanes: number;
  /** Workgroups for a number of rows. */
  readonly workgroups: (rows: number) => number;
  /** Compiles a kernel that uses pieces and what {@linkcode rowShare} gives. */
  readonly kernel: (descriptor: KernelDescriptor) => Kernel;
}

/**
 * Chooses how rows are read: the widest pieces, shared out as {@linkcode rowShare} says.
 *
 * @param gpu The device.
 * @param width Numbers per row.
 */
export function rowReader(gpu: Gpu, width: number): RowReader {
  const pieces = widestPieces(gpu, width);
  const columns = width / pieces.size;
  const share = rowShare(gpu, columns);
  return {
    size: pieces.size,
    columns,
    lanes: share.name === "lane" ? 1 : gpu.traits.lanes,
    workgroups: share.workgroups,
    kernel: (descriptor) =>
      teamKernel(gpu, {
        ...descriptor,
        name: `${descriptor.name}/${share.name}_${pieces.name}`,
        code: [descriptor.code, pieces.code, share.code].join("\n"),
      }),
  };
}

/** How a kernel reads flat arrays on this device, see {@linkcode flatReader}. */
export interface FlatReader {
  /** Numbers per piece. */
  readonly size: number;
  /** Compiles a kernel that uses pieces and `span_of`. */
  readonly kernel: (descriptor: KernelDescriptor) => Kernel;
  /**
   * Shares out an array among workgroups, for kernels whose results do not depend on how that is done.
   *
   * @param length Numbers in the array.
   * @returns `count`, pieces in all, and `chunk`, pieces per workgroup, which are params of the kernel; and workgroups.
   */
  readonly share: (length: () => number) => {
    readonly count: () => number;
    readonly chunk: () => number;
    readonly workgroups: () => number;
  };
}

/** Workgroups to make of an array on a software adapter, as long as lanes get enough. */
const WANTED_WORKGROUPS = 64;
/** Pieces per lane: fewer are not worth a workgroup, and more than these read no faster. */
const [SHORTEST_SPAN, LONGEST_SPAN] = [16, 512];
/** Pieces per lane on graphics processors. */
const TURNS = 4;

/**
 * Chooses how flat arrays are read: the widest pieces, and a span for each lane where workgroups have few lanes.
 *
 * @param gpu The device.
 * @param multiple Lengths and offsets are multiples of this.
 */
export function flatReader(gpu: Gpu, multiple: number): FlatReader {
  const pieces = widestPieces(gpu, multiple);
  const lanes = gpu.traits.lanes;
  const narrow = gpu.traits.narrow;
  const perLane = (count: number) =>
    narrow
      ? Math.min(
        LONGEST_SPAN,
        Math.max(SHORTEST_SPAN, Math.ceil(count / lanes / WANTED_WORKGROUPS)),
      )
      : TURNS;
  return {
    size: pieces.size,
    kernel: (descriptor) =>
      teamKernel(gpu, {
        ...descriptor,
        name: `${descriptor.name}/${pieces.name}`,
        code: [descriptor.code, pieces.code, spans].join("\n"),
        constants: { ...descriptor.constants, OWN_SPANS: narrow },
      }),
    share: (length) => {
      const count = () => length() / pieces.size;
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
  const lanes = gpu.traits.lanes;
  return { LANES: lanes, CHUNK: lanes * (gpu.traits.narrow ? 16 : 4) };
}

/**
 * Lets a kernel read a tensor of float32 or float16, through `Stored` or `StoredFour`.
 *
 * @param descriptor The kernel.
 * @param tensor What it reads that way.
 */
export function withStored(descriptor: KernelDescriptor, { dtype }: Tensor): KernelDescriptor {
  const { name, code } = descriptor;
  return dtype === "f16"
    ? { ...descriptor, name: `${name}_f16`, code: `${code}\n${storedF16}` }
    : { ...descriptor, code: `${code}\n${storedF32}` };
}

/**
 * Lets a kernel keep pieces as f32 or f16: `Kept`, `keep`, `kept_even` and `kept_odd`.
 *
 * @param descriptor The kernel; it has pieces.
 * @param kept How they are kept, and numbers per piece.
 */
export function withKept(
  descriptor: KernelDescriptor,
  { dtype, size }: { readonly dtype: DType; readonly size: number },
): KernelDescriptor {
  const { name, code } = descriptor;
  if (dtype !== "f16") return { ...descriptor, code: `${code}\n${keptF32}` };
  const kept = size === 8 ? keptF16Eight : keptF16Four;
  return { ...descriptor, name: `${name}_f16`, code: [code, kept, halves].join("\n") };
}

/**
 * Gives a kernel random numbers: `threefry2x32`, `open_uniform` and `exponential`.
 *
 * @param descriptor The kernel.
 */
export function withThreefry(descriptor: KernelDescriptor): KernelDescriptor {
  return { ...descriptor, code: `${descriptor.code}\n${threefry}` };
}

/**
 * Gives a kernel `kl_estimate`.
 *
 * @param descriptor The kernel.
 * @param code Number of the estimator, 0 for none.
 */
export function withKl(descriptor: KernelDescriptor, code: number): KernelDescriptor {
  return {
    ...descriptor,
    code: `${descriptor.code}\n${kl}`,
    constants: { ...descriptor.constants, KL_ESTIMATOR: code },
  };
}
