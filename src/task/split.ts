/**
 * Problems drawn at random from one of two disjoint parts.
 *
 * @module
 */

import { Random, threefry2x32 } from "../random/random.ts";
import type { Split } from "./task.ts";

/** One in so many problems is kept for evaluation. */
const EVAL_SHARE = 8;

/** Draws after which a split counts as empty; with 1/8 of the problems in it, never by chance. */
const MAX_DRAWS = 10_000;

/** Stream numbers of a task among the uses of a seed; 1 is the initialisation of parameters. */
const STREAM = { train: 2, eval: 3, demonstration: 4 } as const;

/**
 * The numbers behind one problem or demonstration: a pure function of the arguments.
 *
 * @param purpose A split, or demonstrations for the warm start: each has random numbers of its own.
 * @param seed Seed of the problems.
 * @param index Number of the problem.
 * @throws {RangeError} if seed or index is not an integer from 0 to 2^53 - 1
 */
export function streamOf(purpose: Split | "demonstration", seed: number, index: number): Random {
  for (const [name, value] of Object.entries({ seed, index })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new RangeError(`${name} must be an integer from 0 to 2^53 - 1, got ${value}`);
  }
  return new Random(seed, STREAM[purpose], index);
}

/**
 * The split of the problem that `key` identifies: one in eight is for evaluation.
 *
 * It depends on nothing else, above all not on a seed, so a problem trained on in one run is never
 * evaluated on in another.
 *
 * @param key What identifies the problem: whole numbers, or a text.
 */
export function splitOf(key: readonly number[] | string): Split {
  if (typeof key === "string") return splitOf(Array.from(key, (c) => c.codePointAt(0)!));
  let hash: [number, number] = [key.length, 0];
  for (const part of key) hash = threefry2x32(...hash, part, 0);
  return hash[0] % EVAL_SHARE === 0 ? "eval" : "train";
}

/**
 * Draws until a problem of `split` comes up.
 *
 * @param split which part
 * @param random where the random numbers come from, see {@linkcode streamOf}
 * @param draw one problem at random, of either split
 * @param keyOf what identifies a problem; equal for problems that are the same in disguise
 * @throws {Error} if the split has no problem, because the task has hardly any
 */
export function drawFrom<P>(
  split: Split,
  random: Random,
  draw: (random: Random) => P,
  keyOf: (problem: P) => readonly number[] | string,
): P {
  for (let i = 0; i < MAX_DRAWS; i++) {
    const problem = draw(random);
    if (splitOf(keyOf(problem)) === split) return problem;
  }
  throw new Error(
    `the ${split} split is empty: none of ${MAX_DRAWS} random problems is in it. ` +
      "The task has too few different problems; allow longer or larger ones",
  );
}
