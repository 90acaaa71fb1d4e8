/**
 * Inputs that are the same in every run.
 *
 * @module
 */

import { Random } from "../../src/random/random.ts";

/** `n` numbers uniform on [-1, 1), float32. */
export function uniform(seed: number, n: number): Float32Array<ArrayBuffer> {
  // One short period of honest randomness: filling 16 M values one by one would take seconds.
  const random = new Random(seed);
  const period = Float32Array.from({ length: Math.min(n, 4093) }, () => 2 * random.uniform() - 1);
  const values = new Float32Array(n);
  for (let at = 0; at < n; at += period.length) {
    values.set(at + period.length <= n ? period : period.subarray(0, n - at), at);
  }
  return values;
}

/** `n` token ids from 0 to V - 1. */
export function tokenIds(random: Random, n: number, vocabSize: number): number[] {
  return Array.from({ length: n }, () => random.integer(vocabSize));
}
