/**
 * Where a parameter lies among others.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { readTensor } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Where a Hugging Face tensor lies in the flat buffers. */
export interface ParameterRange {
  /** Its shape. */
  readonly shape: readonly number[];
  /** Its first element. */
  readonly offset: number;
  /** Its number of elements. */
  readonly length: number;
}

/** Reads a range of a flat tensor, and no more of it: files are written so, without a second copy of everything. */
export async function readRange(
  gpu: Gpu,
  flat: Tensor,
  { offset, length }: ParameterRange,
): Promise<Float32Array<ArrayBuffer>> {
  // Copies begin and end between words, and a word holds two values of 16 bits.
  const first = offset - offset % 2;
  const end = Math.min(flat.length, offset + length + (offset + length) % 2);
  const values = await readTensor(gpu, flat.view([end - first], { elementOffset: first }));
  return values.subarray(offset - first, offset - first + length) as Float32Array<ArrayBuffer>;
}
