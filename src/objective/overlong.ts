/**
 * Responses that come close to the length limit.
 *
 * @module
 */

import { checkNumber } from "./check_numbers.ts";

/** Settings of {@linkcode softOverlongPunishment}. */
export interface SoftOverlongOptions {
  /** The most tokens of a response. */
  readonly maxCompletionLength: number;
  /** Tokens before the limit over which the punishment grows; 0 for no punishment. */
  readonly softOverlongBuffer: number;
  /** The punishment at the limit. */
  readonly softOverlongPenalty: number;
}

/**
 * Soft overlong punishment (DAPO, arXiv 2503.14476, eq. 13): 0 up to `softOverlongBuffer` tokens before the limit, from
 * there a straight line down to `-softOverlongPenalty` at the limit.
 *
 * @param length Tokens of the response.
 * @param options Limit, buffer and penalty.
 * @returns What to add to the reward, at most 0.
 * @throws {RangeError} If one of them is not a finite number.
 */
export function softOverlongPunishment(length: number, options: SoftOverlongOptions): number {
  const { maxCompletionLength, softOverlongBuffer, softOverlongPenalty } = options;
  const numbers = { length, maxCompletionLength, softOverlongBuffer, softOverlongPenalty };
  for (const [name, value] of Object.entries(numbers)) checkNumber(value, name);
  const excess = length - (maxCompletionLength - softOverlongBuffer);
  if (softOverlongBuffer === 0 || excess <= 0) return 0;
  return -excess / softOverlongBuffer * softOverlongPenalty;
}
