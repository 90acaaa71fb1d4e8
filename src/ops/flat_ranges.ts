/**
 * Flat arrays of any length, in ranges that a device can bind at once.
 *
 * @module
 */

import type { Plan } from "../gpu/plan.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Ranges begin at multiples of this many elements: for those of two bytes the largest alignment WebGPU may ask for. */
const ALIGNMENT = 128;

/**
 * Where flat arrays of parameters may go on in another buffer: at multiples of this, so that sums over them are cut alike
 * wherever they lie.
 */
export const CUT_STEP = 4096;

/** Options of ops over flat arrays that may be larger than the device can bind. */
export interface FlatOptions {
  /** The most bytes to bind at once. Default: the device's `maxStorageBufferBindingSize`. */
  maxBindingBytes?: number;
}

/** Part of a flat array. */
export interface FlatRange {
  /** First element. */
  readonly offset: number;
  /** Number of elements. */
  readonly length: number;
}

/**
 * Cuts a flat array into the fewest ranges that lie in one buffer and can be bound.
 *
 * @param plan Decides the device's limit.
 * @param flat The array, as one of four bytes to an element; others that are used with it are cut alike.
 * @param options `maxBindingBytes`, to stay below the device's limit.
 * @param step Ranges begin at multiples of so many elements where as many can be bound.
 * @throws {RangeError} If not even 128 elements may be bound.
 */
export function flatRanges(
  plan: Plan,
  flat: Tensor,
  options: FlatOptions = {},
  step: number = ALIGNMENT,
): FlatRange[] {
  const bytes = options.maxBindingBytes ?? plan.gpu.device.limits.maxStorageBufferBindingSize;
  const unit = bytes >= 4 * step ? step : ALIGNMENT;
  const most = Math.floor(bytes / 4 / unit) * unit;
  if (!(most > 0)) {
    throw new RangeError(
      `maxBindingBytes must be at least ${4 * ALIGNMENT}: current value is ${bytes}`,
    );
  }
  const ranges: FlatRange[] = [];
  let offset = 0;
  for (const end of [...flat.cuts, flat.capacity]) {
    for (; offset < end; offset = Math.min(end, offset + most)) {
      ranges.push({ offset, length: Math.min(most, end - offset) });
    }
  }
  return ranges;
}

/** The part of a tensor that a range names. */
export function flatView(tensor: Tensor, { offset, length }: FlatRange): Tensor {
  return tensor.view([length], { elementOffset: offset });
}
