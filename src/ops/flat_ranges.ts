/**
 * Flat arrays of any length, in ranges that a device can bind at once.
 *
 * @module
 */

import type { Plan } from "../gpu/plan.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Ranges begin at multiples of this many elements: for those of two bytes the largest alignment WebGPU may ask for. */
const ALIGNMENT = 128;

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
 * Cuts a flat array into the fewest ranges that can be bound.
 *
 * @param plan Decides the device's limit.
 * @param length Elements of four bytes.
 * @param options `maxBindingBytes`, to stay below the device's limit.
 * @param step Ranges begin at multiples of so many elements where as many can be bound.
 * @throws {RangeError} If not even 128 elements may be bound.
 */
export function flatRanges(
  plan: Plan,
  length: number,
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
  for (let offset = 0; offset < length; offset += most) {
    ranges.push({ offset, length: Math.min(most, length - offset) });
  }
  return ranges;
}

/** The part of a tensor that a range names. */
export function flatView(tensor: Tensor, { offset, length }: FlatRange): Tensor {
  return tensor.view([length], { elementOffset: offset });
}
