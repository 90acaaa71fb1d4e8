/** The computations behind the estimators of advantages, in float64. */

import type { IndexRange } from "./groups.ts";

/**
 * The divisor of the centred rewards: σ of the prompt's group, σ of all rewards of the batch, or 1.
 */
export type RewardScale = "group" | "batch" | "none";

/** Number of each scale in the kernel. */
export const REWARD_SCALES: Readonly<Record<RewardScale, { code: number }>> = {
  group: { code: 1 },
  batch: { code: 2 },
  none: { code: 0 },
};

/** Added to σ outside the root, so that a group of equal rewards gives 0. */
export const STD_EPS = 1e-6;
/** Added to the variance inside the root when whitening. */
const WHITEN_EPS = 1e-8;

/** (r - μ) / (σ + eps). */
export function standardised(
  r: Float64Array,
  groups: readonly JudgedGroup[],
  scale: RewardScale,
): Float64Array {
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
export function leaveOneOut(r: Float64Array, groups: readonly JudgedGroup[]): Float64Array {
  return perGroup(r, groups, (group) => {
    const n = group.length;
    if (n === 1) return group.slice();
    const baseline = mean(group);
    return group.map((reward) => (reward - baseline) * n / (n - 1));
  });
}

/** r - Σ L r / Σ L over the group. */
export function lengthBaseline(
  r: Float64Array,
  groups: readonly JudgedGroup[],
  lengths: Float64Array,
): Float64Array {
  return perGroup(r, groups, (group, { start }) => {
    if (group.length === 1) return group.slice();
    const baseline = mean(group, lengths.subarray(start, start + group.length));
    return group.map((reward) => reward - baseline);
  });
}

/** The margin of the best response over the second best, for the best one alone. */
export function bestOfGroup(
  r: Float64Array,
  groups: readonly JudgedGroup[],
  scale: RewardScale,
): Float64Array {
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
export function meanNormalised(r: Float64Array, groups: readonly JudgedGroup[]): Float64Array {
  return perGroup(r, groups, (group) => {
    if (group.some((reward) => reward < 0)) {
      throw new RangeError("maxRl divides by the mean reward: rewards must be >= 0");
    }
    const average = mean(group);
    return group.map((reward) => average === 0 ? 0 : (reward - average) / average);
  });
}

/** (x - μ) / √(σ² + eps) with moments over all tokens: response i counts L_i times. */
export function whitened(x: Float64Array, lengths: Float64Array): Float64Array {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const average = mean(x, lengths);
  const squares = x.reduce((sum, value, i) => sum + lengths[i]! * (value - average) ** 2, 0);
  const variance = tokens > 1 ? squares / (tokens - 1) : 0;
  return x.map((value) => (value - average) / Math.sqrt(variance + WHITEN_EPS));
}

/** Responses of one prompt that were judged. */
export interface JudgedGroup extends IndexRange {
  /** Responses there were. */
  readonly responses: number;
}

/** Applies a rule to every group; one response that is left of several has none to be compared with and gets 0. */
function perGroup(
  r: Float64Array,
  groups: readonly JudgedGroup[],
  rule: (group: Float64Array, range: IndexRange) => Float64Array,
): Float64Array {
  const advantages = new Float64Array(r.length);
  for (const range of groups) {
    if (range.responses > 1 && range.end - range.start < 2) continue;
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
