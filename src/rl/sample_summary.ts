/**
 * What samples of a policy say about it.
 *
 * @module
 */

import { inGroups } from "../objective/groups.ts";
import { mean, sum, variance } from "../objective/moments.ts";
import { passAtK, passAtKSizes } from "../objective/pass_at_k.ts";
import { rewardsDiffer } from "../task/solved.ts";
import type { Rollout } from "./rollout.ts";
import { judged } from "./signal.ts";

/** Figures of N samples for each of some prompts. Right means that the reward reaches the task's maximum. */
export interface SampleSummary {
  /** Number of prompts. */
  readonly prompts: number;
  /** N, samples per prompt. */
  readonly numGenerations: number;
  /** Mean over prompts of the mean reward of their samples that were judged: mean@N. */
  readonly meanAtN: number;
  /** Share of samples that the verifier could not judge, if any; they are in none of the figures of rewards. */
  readonly unjudged?: number;
  /** Standard error of {@linkcode meanAtN} over prompts; NaN for one prompt. */
  readonly meanAtNError: number;
  /** Share of prompts with at least one right answer among their N samples. */
  readonly passAtN: number;
  /** Estimated chance that one of k samples is right, by k: 1, 2, 4 … and N; over prompts with k judged. */
  readonly passAtK: Readonly<Record<number, number>>;
  /** Share of prompts whose samples have different rewards. */
  readonly mixed: number;
  /** Share of prompts with all samples right. */
  readonly allRight: number;
  /** Share of prompts with none right. */
  readonly allWrong: number;
  /** Mean of each reward function over the samples it applies to, for tasks with several. */
  readonly byFunction: Readonly<Record<string, number>>;
  /** Mean length, tokens. */
  readonly meanLength: number;
  /** Standard deviation of the lengths. */
  readonly stdLength: number;
  /** Harmonic mean of the lengths. */
  readonly harmonicLength: number;
  /** Length that a twentieth of the samples does not exceed. */
  readonly lengthP5: number;
  /** Length that a twentieth of the samples exceeds. */
  readonly lengthP95: number;
  /** Mean length of right answers, if there are any. */
  readonly rightLength?: number;
  /** Mean length of the others, if there are any. */
  readonly wrongLength?: number;
  /** Share of samples cut off by the length limit. */
  readonly truncated: number;
  /** Mean entropy of the distributions the tokens were drawn from, nats. */
  readonly entropy: number;
}

/**
 * Sums up samples.
 *
 * @param rollouts At least one, all with as many samples per prompt.
 */
export function summariseSamples(rollouts: readonly Rollout[]): SampleSummary {
  const { numGenerations } = rollouts[0]!;
  const asked = inGroups(rollouts.flatMap(({ rewards }) => rewards), numGenerations);
  const groups = asked.map(judged).filter(({ length }) => length > 0);
  const rewards = groups.flat();
  const samples = asked.flat();
  if (rewards.length === 0) {
    throw new Error(
      `The verifier judged none of the ${samples.length} completions: it returned null for each`,
    );
  }
  const isRight = rollouts.flatMap(({ solved }) => solved);
  const solved = inGroups(isRight, numGenerations);
  const lengths = rollouts.flatMap((r) => r.completions.map((c) => c.length));
  const lengthsWhere = (right: boolean) =>
    lengths.filter((_, b) => samples[b] !== null && isRight[b] === right);
  const meanLength = mean(lengths);
  const means = groups.map(mean);
  // Of each prompt that was judged at all: samples judged, and right ones among them.
  const counts = asked.flatMap((group, p) => {
    const known = judged(group).length;
    return known > 0 ? [{ known, right: solved[p]!.filter(Boolean).length }] : [];
  });
  const share = (shares: readonly boolean[]) => mean(shares.map(Number));
  // Fewer than k samples say nothing of k.
  const passes = passAtKSizes(numGenerations).flatMap((k): [number, number][] => {
    const enough = counts.filter(({ known }) => known >= k);
    if (enough.length === 0) return [];
    return [[k, mean(enough.map(({ known, right }) => passAtK(known, right, k)))]];
  });
  const allJudged = rewards.length === samples.length;
  const [right, wrong] = [lengthsWhere(true), lengthsWhere(false)];
  return {
    prompts: asked.length,
    numGenerations,
    // As pass@1: every prompt counts alike, however many of its samples were judged.
    meanAtN: allJudged ? mean(rewards) : mean(means),
    ...(allJudged ? {} : { unjudged: 1 - rewards.length / samples.length }),
    meanAtNError: Math.sqrt(variance(means) / groups.length),
    passAtN: share(counts.map(({ right }) => right > 0)),
    passAtK: Object.fromEntries(passes),
    mixed: share(groups.map(rewardsDiffer)),
    allRight: share(counts.map(({ right, known }) => right === known)),
    allWrong: share(counts.map(({ right }) => right === 0)),
    byFunction: meansByFunction(rollouts),
    meanLength,
    stdLength: Math.sqrt(mean(lengths.map((length) => (length - meanLength) ** 2))),
    harmonicLength: 1 / mean(lengths.map((length) => 1 / length)),
    lengthP5: quantile(lengths, 0.05),
    lengthP95: quantile(lengths, 0.95),
    ...(right.length > 0 ? { rightLength: mean(right) } : {}),
    ...(wrong.length > 0 ? { wrongLength: mean(wrong) } : {}),
    truncated: mean(rollouts.flatMap((r) => r.truncated.map(Number))),
    entropy: sum(rollouts.flatMap((r) => [...r.entropySums])) / sum(lengths),
  };
}

function meansByFunction(rollouts: readonly Rollout[]): Record<string, number> {
  const given = new Map<string, number[]>();
  for (const { rewardsByFunction } of rollouts) {
    for (const [name, rewards] of Object.entries(rewardsByFunction)) {
      const applying = rewards.filter((reward) => reward !== null);
      if (applying.length > 0) given.set(name, [...given.get(name) ?? [], ...applying]);
    }
  }
  return Object.fromEntries([...given].map(([name, rewards]) => [name, mean(rewards)]));
}

/** The smallest value that a share q of the values does not exceed; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}
