/**
 * Matrices larger than a device can bind, in ranges of rows.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { bytesPerElement, formatShape, sizeLimit, type Tensor } from "../gpu/tensor.ts";

/** Some rows of a matrix. */
export interface RowRange {
  /** The first row. */
  readonly first: number;
  /** Number of rows. */
  readonly width: number;
}

/** Rows that may begin a binding, whatever the matrix' width: it is a multiple of 4. */
const ROW_STEP = 32;

/** Bytes of the largest tensor that can be bound. */
export function bindableBytes({ device }: Gpu): number {
  return Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
}

/**
 * Cuts a matrix into the fewest ranges of rows that lie in one buffer and can be bound.
 *
 * @param matrix (V, C).
 * @param options `most` rows of a range; ranges begin at multiples of `step` rows; `bytes` of an element, if something
 * larger than the matrix is cut alike.
 * @returns Ranges of one width but the last of each buffer; a single one where all fits.
 * @throws {RangeError} If not even `step` rows can be bound.
 */
export function rowRanges(
  gpu: Gpu,
  matrix: Tensor,
  options: { most?: number; step?: number; bytes?: number } = {},
): RowRange[] {
  const { most = Infinity, step = ROW_STEP, bytes = bytesPerElement(matrix.dtype) } = options;
  const [rows, columns] = matrix.shape.map(sizeLimit) as [number, number];
  const bindable = Math.floor(bindableBytes(gpu) / bytes / columns);
  const fitting = Math.min(most, bindable);
  const ends = [...matrix.cuts.map((cut) => cut / columns), rows];
  const longest = Math.max(...ends.map((end, i) => end - (ends[i - 1] ?? 0)));
  if (longest <= fitting) {
    return ends.map((end, i) => ({ first: ends[i - 1] ?? 0, width: end - (ends[i - 1] ?? 0) }));
  }
  const steps = Math.floor(fitting / step);
  if (steps === 0) {
    throw new RangeError(
      `${matrix.name} ${formatShape(matrix.shape)} is used in ranges of ${step} rows: more than ` +
        `the ${bindableBytes(gpu)} bytes that ${gpu.adapter.description} can bind. Lower ` +
        "maxTokensPerMicroBatch or take a smaller model",
    );
  }
  const count = Math.ceil(longest / (steps * step));
  const width = step * Math.ceil(longest / count / step);
  const ranges: RowRange[] = [];
  let first = 0;
  for (const end of ends) {
    for (; first < end; first = Math.min(end, first + width)) {
      ranges.push({ first, width: Math.min(width, end - first) });
    }
  }
  return ranges;
}

/** Those rows of a matrix. */
export function rowsOf(matrix: Tensor, { first, width }: RowRange): Tensor {
  const columns = sizeLimit(matrix.shape[1]!);
  return matrix.view([width, columns], { elementOffset: first * columns });
}
