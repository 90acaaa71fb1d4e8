/**
 * Rounding to float16: to nearest, ties to even, the same bits on every device. What is finite stays finite: magnitudes
 * beyond 65504 become 65504.
 *
 * @module
 */

import code from "../../kernels/to_half.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { elementwiseConstants, withHalves } from "./prelude.ts";

/** Options of {@linkcode toHalf}. */
export interface ToHalfOptions extends FlatOptions {
  /** Name of the dispatch below the current scope. Default `"to_half"`. */
  name?: string;
}

/**
 * Rounds a flat array to float16.
 *
 * @param plan Where to record.
 * @param x (n), n a multiple of 4.
 * @param y (n) f16, written.
 * @param options `name`, and `maxBindingBytes` to bind less at once than the device could.
 * @throws {RangeError} If the shapes do not fit.
 */
export function toHalf(plan: Plan, x: Tensor, y: Tensor, options: ToHalfOptions = {}): void {
  const { name = "to_half" } = options;
  const n = x.capacity;
  if (x.dtype !== "f32" || y.dtype !== "f16" || y.capacity !== n || n % 4 !== 0) {
    throw new RangeError(
      `toHalf needs x (n) f32 and y (n) f16 with n a multiple of 4: got ${formatShape(x.shape)} ` +
        `${x.dtype} and ${formatShape(y.shape)} ${y.dtype}`,
    );
  }
  const ranges = flatRanges(plan, n, options);
  for (const [i, range] of ranges.entries()) {
    const label = `${name}.convert${ranges.length > 1 ? i : ""}`;
    const { length } = range;
    const part = { first: 0, width: length, stride: length, count: () => length };
    record(plan, label, flatView(x, range), flatView(y, range), part);
  }
}

/** Options of {@linkcode columnsToHalf}. */
export interface ColumnsToHalfOptions {
  /** First column, a multiple of 4. */
  first: number;
  /** Number of columns, a multiple of 4. */
  width: number;
  /** Name of the output below the current scope. Default `"halves"`. */
  name?: string;
}

/**
 * Rounds some columns of a matrix to float16.
 *
 * @param plan Where to record.
 * @param x (T, C), C a multiple of 4.
 * @param options Which columns, and a `name`.
 * @returns (T, width) f16.
 * @throws {RangeError} If the shapes do not fit.
 */
export function columnsToHalf(plan: Plan, x: Tensor, options: ColumnsToHalfOptions): Tensor {
  const { first, width, name = "halves" } = options;
  const [rows, columns] = x.shape as [Size, Size];
  const stride = sizeLimit(columns ?? 0);
  const fours = [first, width, stride].every((size) => size % 4 === 0);
  if (x.shape.length !== 2 || x.dtype !== "f32" || !fours || first < 0 || first + width > stride) {
    throw new RangeError(
      `columnsToHalf needs x (T, C) f32 and columns within C, all in multiples of 4: got ${
        formatShape(x.shape)
      } ${x.dtype} and columns ${first} to ${first + width}`,
    );
  }
  const y = plan.empty([rows, width], name, "f16");
  record(plan, `${name}.convert`, x, y, { first, width, stride, count: () => y.length });
  return y;
}

/** One dispatch; sizes are elements. */
function record(
  plan: Plan,
  label: string,
  x: Tensor,
  y: Tensor,
  part: { first: number; width: number; stride: number; count: () => number },
): void {
  const constants = elementwiseConstants(plan.gpu);
  const count = () => part.count() / 4;
  plan.dispatch({
    kernel: plan.gpu.kernel(
      withHalves({ name: "to_half", code, entryPoint: "convert", constants }),
    ),
    label,
    bindings: { x, y },
    params: { count, width: part.width / 4, stride: part.stride / 4, first: part.first / 4 },
    workgroups: () => Math.ceil(count() / constants.CHUNK),
    cost: { bytes: () => 24 * count() },
  });
}
