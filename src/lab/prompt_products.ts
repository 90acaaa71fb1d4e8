/**
 * Sums of gradients by prompt, and estimates without noise bias from pairs of different prompts.
 *
 * Responses to one prompt share a baseline, so their gradients depend on each other; those of different prompts do not.
 * The scalar product of two independent estimates of the same mean has the mean's square for its expectation, while an
 * estimate with itself has its variance on top. So every squared mean here comes from pairs of different prompts.
 *
 * @module
 */

import { Random } from "../random/random.ts";
import type { Gram } from "./gradient_pool.ts";
import { type Interval, median, quantile } from "./statistics.ts";

/** Scalar products of two weighted sums over the responses of each prompt. */
export interface PromptProducts {
  /** Number of prompts P. */
  readonly prompts: number;
  /** `values[p * P + q]` = (Σ_{i in p} a_i g_i) · (Σ_{j in q} b_j g_j). */
  readonly values: Float64Array;
}

/**
 * Sums gradients by prompt and multiplies the sums.
 *
 * @param gram Scalar products of the gradients.
 * @param numGenerations Responses per prompt.
 * @param a Weight of each response in the first sum (N).
 * @param b Weight of each response in the second sum (N).
 */
export function promptProducts(
  gram: Gram,
  numGenerations: number,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): PromptProducts {
  const N = gram.size;
  const prompts = N / numGenerations;
  const values = new Float64Array(prompts * prompts);
  for (let i = 0; i < N; i++) {
    const weight = a[i]!;
    if (weight === 0) continue;
    const to = Math.floor(i / numGenerations) * prompts;
    const from = i * N;
    for (let j = 0; j < N; j++) {
      values[to + Math.floor(j / numGenerations)]! += weight * b[j]! * gram.products[from + j]!;
    }
  }
  return { prompts, values };
}

/** Sum over all ordered pairs of different prompts, the first of one set and the second of another. */
export function pairSum(
  { prompts, values }: PromptProducts,
  first: ArrayLike<number>,
  second: ArrayLike<number> = first,
): number {
  let sum = 0;
  for (let k = 0; k < first.length; k++) {
    for (let l = 0; l < second.length; l++) {
      if (first[k] !== second[l]) sum += values[first[k]! * prompts + second[l]!]!;
    }
  }
  return sum;
}

/** Σ n_p m_q over all ordered pairs of different prompts of a set: the number of pairs of responses in {@linkcode pairSum}. */
export function pairCount(
  n: ArrayLike<number>,
  m: ArrayLike<number>,
  set: ArrayLike<number>,
): number {
  let [sumN, sumM, same] = [0, 0, 0];
  for (let k = 0; k < set.length; k++) {
    const p = set[k]!;
    sumN += n[p]!;
    sumM += m[p]!;
    same += n[p]! * m[p]!;
  }
  return sumN * sumM - same;
}

/** Stream numbers of this laboratory's random numbers. */
const HALVES = 71;

/**
 * Random halves of the prompts, without replacement and each with its complement, the same for the same seed.
 *
 * The difference between a statistic on a random half and on the whole varies as much as the statistic itself varies
 * from sample to sample (the delete-half jackknife, Shao & Wu 1989), also where it is no smooth function of the data.
 *
 * @param prompts Number of prompts P.
 * @param count Number of halves.
 * @param seed Of the random numbers.
 */
export function randomHalves(prompts: number, count: number, seed: number): Uint32Array[] {
  const half = Math.floor(prompts / 2);
  const halves: Uint32Array[] = [];
  for (let k = 0; halves.length < count; k++) {
    const order = new Random(seed, HALVES, k).shuffle(Array.from({ length: prompts }, (_, p) => p));
    halves.push(Uint32Array.from(order.slice(0, half)));
    if (halves.length < count) halves.push(Uint32Array.from(order.slice(prompts - half)));
  }
  return halves;
}

/**
 * A statistic of the whole with a 95 % interval: the 2.5 and 97.5 % quantiles of its values on the halves, moved by what
 * their median differs from the whole, because a statistic that is no mean may be off on smaller samples.
 *
 * @param value On all prompts.
 * @param onHalves On each half; NaN where a half has none.
 * @param bounds What the statistic cannot exceed.
 */
export function halvesInterval(
  value: number,
  onHalves: readonly number[],
  bounds: readonly [number, number] = [-Infinity, Infinity],
): Interval {
  const known = onHalves.filter((v) => !Number.isNaN(v));
  const centre = median(known);
  const end = (q: number) => {
    const moved = value + quantile(known, q) - centre;
    return Math.min(bounds[1], Math.max(bounds[0], moved));
  };
  return { mean: value, low: end(0.025), high: end(0.975), n: known.length };
}
