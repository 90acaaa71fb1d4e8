/**
 * Advantages: what each response's reward is worth against the other responses to its prompt.
 *
 * Every estimator gives one number per response, shared by all its tokens.
 */

import type { AdvantageEstimator, RewardScale } from "../ops/group_advantage.ts";
import { groupRanges, type IndexRange } from "./groups.ts";

export type { AdvantageEstimator, RewardScale };

/** Every advantage estimator. */
export const ADVANTAGE_ESTIMATORS: readonly AdvantageEstimator[] = [
  "grpo",
  "drGrpo",
  "rloo",
  "opo",
  "passK",
  "maxRl",
  "reinforcePlusPlus",
  "reinforcePlusPlusBaseline",
];

/** Settings of {@linkcode groupAdvantages}. */
export interface AdvantageOptions {
  /**
   * The estimator.
   *
   * @default "grpo"
   */
  advantageEstimator?: AdvantageEstimator;
  /**
   * The divisor, for the estimators that have a choice: `"grpo"` takes all three, `"passK"`
   * `"group"` and `"none"`. The others fix their own scale and accept only `"none"`.
   *
   * @default "group" for "grpo" and "passK", "none" for the others
   */
  scaleRewards?: RewardScale;
  /** Tokens of each response [B]; needed by `"opo"` and both `"reinforcePlusPlus"` estimators. */
  lengths?: ArrayLike<number>;
}

/** Added to σ outside the root, so that a group of equal rewards gives 0. */
const STD_EPS = 1e-6;
/** Added to the variance inside the root when whitening. */
const WHITEN_EPS = 1e-8;

const SCALES: Readonly<Record<AdvantageEstimator, readonly RewardScale[]>> = {
  grpo: ["group", "batch", "none"],
  drGrpo: ["none"],
  rloo: ["none"],
  opo: ["none"],
  passK: ["group", "none"],
  maxRl: ["none"],
  reinforcePlusPlus: ["none"],
  reinforcePlusPlusBaseline: ["none"],
};

/**
 * Advantage of every response [B] from the rewards [B] of consecutive prompt groups.
 *
 * The definitions are those of the paper's published code (arXiv 2509.07558) where it has the
 * estimator; the formulas stand at {@linkcode AdvantageEstimator}.
 *
 * @param rewards One reward per response [B], responses to one prompt side by side.
 * @param numGenerations Responses per prompt: one number for all prompts, or one per prompt.
 * @throws {RangeError} Where groups, lengths or rewards do not fit the estimator.
 */
export function groupAdvantages(
  rewards: ArrayLike<number>,
  numGenerations: number | readonly number[],
  options: AdvantageOptions = {},
): Float64Array {
  const { advantageEstimator = "grpo" } = options;
  const scales = SCALES[advantageEstimator];
  if (scales === undefined) {
    throw new RangeError(
      `advantageEstimator is ${advantageEstimator}: choose one of ${
        ADVANTAGE_ESTIMATORS.join(", ")
      }`,
    );
  }
  const { scaleRewards = scales[0]! } = options;
  if (!scales.includes(scaleRewards)) {
    throw new RangeError(
      `scaleRewards is ${scaleRewards}: advantageEstimator ${advantageEstimator} accepts ${
        scales.join(", ")
      }`,
    );
  }
  const r = Float64Array.from(rewards);
  r.forEach((reward, i) => {
    if (!Number.isFinite(reward)) throw new RangeError(`The reward of response ${i} is ${reward}`);
  });
  const groups = groupRanges(r.length, numGenerations);

  switch (advantageEstimator) {
    case "grpo":
    case "drGrpo":
      return standardised(r, groups, scaleRewards);
    case "rloo":
      return leaveOneOut(r, groups);
    case "opo":
      return lengthBaseline(r, groups, checkedLengths(options, r.length));
    case "passK":
      return bestOfGroup(r, groups, scaleRewards);
    case "maxRl":
      return meanNormalised(r, groups);
    case "reinforcePlusPlus":
      return whitened(r, checkedLengths(options, r.length));
    case "reinforcePlusPlusBaseline":
      return whitened(standardised(r, groups, "none"), checkedLengths(options, r.length));
  }
}

/** (r - μ) / (σ + eps). */
function standardised(r: Float64Array, groups: IndexRange[], scale: RewardScale): Float64Array {
  const batchDivisor = r.length > 1 ? deviation(r) + STD_EPS : 1 + STD_EPS;
  return perGroup(r, groups, (group) => {
    const alone = group.length === 1;
    const baseline = alone ? 0 : mean(group);
    const divisor = scale === "none"
      ? 1
      : scale === "batch"
      ? batchDivisor
      : (alone ? 1 : deviation(group)) + STD_EPS;
    return group.map((reward) => (reward - baseline) / divisor);
  });
}

/** r - mean of the other responses of the group. */
function leaveOneOut(r: Float64Array, groups: IndexRange[]): Float64Array {
  return perGroup(r, groups, (group) => {
    const n = group.length;
    if (n === 1) return group.slice();
    const baseline = mean(group);
    return group.map((reward) => (reward - baseline) * n / (n - 1));
  });
}

/** r - Σ L r / Σ L over the group. */
function lengthBaseline(
  r: Float64Array,
  groups: IndexRange[],
  lengths: Float64Array,
): Float64Array {
  return perGroup(r, groups, (group, { start }) => {
    if (group.length === 1) return group.slice();
    const baseline = mean(group, lengths.subarray(start, start + group.length));
    return group.map((reward) => reward - baseline);
  });
}

/** The margin of the best response over the second best, for the best one alone. */
function bestOfGroup(r: Float64Array, groups: IndexRange[], scale: RewardScale): Float64Array {
  return perGroup(r, groups, (group) => {
    if (group.length < 2) {
      throw new RangeError("passK compares the two best responses: numGenerations must be >= 2");
    }
    const [largest, second] = group.toSorted((a, b) => b - a) as unknown as [number, number];
    const divisor = scale === "none" ? 1 : deviation(group) + STD_EPS;
    const advantages = new Float64Array(group.length);
    advantages[group.indexOf(largest)] = (largest - second) / divisor;
    return advantages;
  });
}

/** (r - μ) / μ. */
function meanNormalised(r: Float64Array, groups: IndexRange[]): Float64Array {
  return perGroup(r, groups, (group) => {
    if (group.some((reward) => reward < 0)) {
      throw new RangeError("maxRl divides by the mean reward: rewards must be >= 0");
    }
    const average = mean(group);
    return group.map((reward) => average === 0 ? 0 : (reward - average) / average);
  });
}

/** (x - μ) / √(σ² + eps) with moments over all tokens: response i counts L_i times. */
function whitened(x: Float64Array, lengths: Float64Array): Float64Array {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const average = mean(x, lengths);
  const squares = x.reduce((sum, value, i) => sum + lengths[i]! * (value - average) ** 2, 0);
  const variance = tokens > 1 ? squares / (tokens - 1) : 0;
  return x.map((value) => (value - average) / Math.sqrt(variance + WHITEN_EPS));
}

function perGroup(
  r: Float64Array,
  groups: IndexRange[],
  rule: (group: Float64Array, range: IndexRange) => Float64Array,
): Float64Array {
  const advantages = new Float64Array(r.length);
  for (const range of groups) {
    advantages.set(rule(r.subarray(range.start, range.end), range), range.start);
  }
  return advantages;
}

/** Weighted mean, taken from the first element on so that equal elements give it exactly. */
function mean(x: Float64Array, weights?: Float64Array): number {
  const first = x[0] ?? 0;
  let sum = 0;
  let total = 0;
  x.forEach((value, i) => {
    const weight = weights ? weights[i]! : 1;
    sum += weight * (value - first);
    total += weight;
  });
  return total === 0 ? first : first + sum / total;
}

/** Standard deviation with ddof 1. */
function deviation(x: Float64Array): number {
  const average = mean(x);
  const squares = x.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return Math.sqrt(squares / (x.length - 1));
}

function checkedLengths(
  { advantageEstimator, lengths }: AdvantageOptions,
  responses: number,
): Float64Array {
  if (lengths === undefined) {
    throw new RangeError(`advantageEstimator ${advantageEstimator} needs the response lengths`);
  }
  if (lengths.length !== responses) {
    throw new RangeError(`${lengths.length} lengths for ${responses} rewards: pass one each`);
  }
  return Float64Array.from(lengths);
}
