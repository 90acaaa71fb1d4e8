/**
 * Rounding to 16 bits, float16 or bfloat16: to nearest, ties to even, the same bits on every device. What is finite stays
 * finite: magnitudes beyond the largest number, 65504 of float16, become that number.
 *
 * @module
 */

import code from "../../kernels/to_half.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { flatReader } from "./readers.ts";
import { type StoredAs, storedAs } from "./wgsl.ts";

/** What has 16 bits. */
export type HalfDType = Exclude<StoredAs, "f32">;

function isHalf(tensor: Tensor): boolean {
  return storedAs(tensor) !== "f32";
}

/** Options of {@linkcode toHalf}. */
export interface ToHalfOptions extends FlatOptions {
  /** Name of the dispatch below the current scope. Default `"to_half"`. */
  name?: string;
}

/**
 * Rounds a flat array to 16 bits.
 *
 * @param x (n), n a multiple of 4.
 * @param y (n) f16 or bf16, written.
 * @param options `name`, and `maxBindingBytes` to bind less at once than the device could.
 * @throws {RangeError} If the shapes do not fit.
 */
export function toHalf(plan: Plan, x: Tensor, y: Tensor, options: ToHalfOptions = {}): void {
  const { name = "to_half" } = options;
  const n = x.capacity;
  if (x.dtype !== "f32" || !isHalf(y) || y.capacity !== n || n % 4 !== 0) {
    throw new RangeError(
      `toHalf needs x (n) f32 and y (n) f16 or bf16 with n a multiple of 4: got ${
        formatShape(x.shape)
      } ` +
        `${x.dtype} and ${formatShape(y.shape)} ${y.dtype}`,
    );
  }
  const ranges = flatRanges(plan, x, options);
  for (const [i, range] of ranges.entries()) {
    const label = `${name}.convert${ranges.length > 1 ? i : ""}`;
    const { length } = range;
    const part = { first: 0, width: length, stride: length, count: () => length };
    const bindings = { x: flatView(x, range), y: flatView(y, range) };
    record(plan, "convert", label, bindings, part, storedAs(y));
  }
}

/** Columns of a matrix. */
export interface Columns {
  /** The first, a multiple of 4. */
  first: number;
  /** Their number, a multiple of 4. */
  width: number;
}

/**
 * Rounds some columns of a matrix to 16 bits.
 *
 * @param x (T, C), C a multiple of 4.
 * @param options `name` of the output below the current scope, `"halves"` by default, and its `dtype`, `"f16"` by default.
 * @returns (T, width).
 * @throws {RangeError} If the shapes do not fit.
 */
export function columnsToHalf(
  plan: Plan,
  x: Tensor,
  columns: Columns,
  options: { name?: string; dtype?: HalfDType } = {},
): Tensor {
  const { name = "halves", dtype = "f16" } = options;
  const part = partOf(x, columns);
  const y = plan.empty([x.shape[0]!, columns.width], name, dtype);
  record(plan, "convert", `${name}.convert`, { x, y }, part, dtype);
  return y;
}

/**
 * Rounds some columns of a matrix to what 16 bits hold, in place; they stay f32. There is no gradient rule: gradients
 * pass as if nothing had been rounded.
 *
 * @param z (T, C), C a multiple of 4; overwritten.
 * @param options `name` of the dispatch below the current scope, `"round"` by default, and the `dtype`, `"f16"` by default.
 * @throws {RangeError} If the shapes do not fit.
 */
export function roundColumns(
  plan: Plan,
  z: Tensor,
  columns: Columns,
  options: { name?: string; dtype?: HalfDType } = {},
): void {
  const { name = "round", dtype = "f16" } = options;
  record(plan, "round_in_place", name, { z }, partOf(z, columns), dtype);
}

/**
 * The numbers of a matrix in 16 bits, as float32.
 *
 * @param x (T, C) f16 or bf16, C a multiple of 4.
 * @param options `name` of the output below the current scope. Default `"restored"`.
 * @returns (T, C).
 * @throws {RangeError} If the shape does not fit.
 */
export function fromHalf(plan: Plan, x: Tensor, options: { name?: string } = {}): Tensor {
  const { name = "restored" } = options;
  const width = sizeLimit(x.shape.at(-1) ?? 0);
  if (!isHalf(x) || width === 0 || width % 4 !== 0) {
    throw new RangeError(
      `fromHalf needs (T, C) f16 or bf16 with C a multiple of 4: got ${
        formatShape(x.shape)
      } ${x.dtype}`,
    );
  }
  const wide = plan.empty(x.shape, name);
  const part = { first: 0, width, stride: width, count: () => x.length };
  record(plan, "restore", `${name}.restore`, { narrow: x, wide }, part, storedAs(x));
  return wide;
}

/** What is rounded: columns of a matrix or all of a flat array, and how many numbers that is now. */
interface Part extends Columns {
  readonly stride: number;
  readonly count: () => number;
}

function partOf(x: Tensor, { first, width }: Columns): Part {
  const [rows, columns] = x.shape;
  const stride = sizeLimit(columns ?? 0);
  const fours = [first, width, stride].every((size) => size % 4 === 0);
  if (x.shape.length !== 2 || x.dtype !== "f32" || !fours || first < 0 || first + width > stride) {
    throw new RangeError(
      "Rounding needs (T, C) f32 and columns within C, all in multiples of 4: got " +
        `${formatShape(x.shape)} ${x.dtype} and columns ${first} to ${first + width}`,
    );
  }
  return { first, width, stride, count: () => sizeNow(rows!) * width };
}

function record(
  plan: Plan,
  entryPoint: "convert" | "round_in_place" | "restore",
  label: string,
  bindings: Record<string, Tensor>,
  part: Part,
  stored: StoredAs,
): void {
  const { first, width, stride, count: length } = part;
  const multiple = [first, width, stride].every((size) => size % 8 === 0) ? 8 : 4;
  const { pack, turns, kernel, share } = flatReader(plan.gpu, multiple);
  const { count, chunk, workgroups } = share(length);
  plan.dispatch({
    kernel: kernel({ name: "to_half", code, entryPoint }, { stored }),
    label,
    bindings,
    params: { count, chunk, width: width / pack, stride: stride / pack, first: first / pack },
    turns,
    workgroups,
    cost: { bytes: () => (entryPoint === "round_in_place" ? 8 : 6) * length() },
  });
}
