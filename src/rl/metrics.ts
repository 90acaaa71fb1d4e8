/**
 * Figures of a rollout under verl's names.
 *
 * @module
 */

import { inGroups } from "../objective/groups.ts";
import { mean } from "../objective/moments.ts";
import { rewardsDiffer } from "../task/solved.ts";
import type { Rollout } from "./rollout.ts";
import { quantile } from "./sample_summary.ts";
import { judged } from "./signal.ts";

/** Reward, group and length figures of one rollout; those of rewards are over the completions that were judged. */
export function rolloutMetrics(rollout: Rollout): Record<string, number> {
  const { completions, rewards, solved, truncated, numGenerations } = rollout;
  const lengths = completions.map((c) => c.length);
  const given = judged(rewards);
  const right = lengths.filter((_, b) => solved[b]);
  const wrong = lengths.filter((_, b) => rewards[b] !== null && !solved[b]);
  const ended = lengths.filter((_, b) => !truncated[b]);
  const rights = inGroups(solved, numGenerations).map((group) => group.filter(Boolean).length);
  const prompts = inGroups(rewards, numGenerations)
    .map((group, p) => ({ rewards: judged(group), rights: rights[p]! }));
  const share = (test: (prompt: (typeof prompts)[number]) => boolean) =>
    mean(prompts.map((prompt) => Number(test(prompt))));
  return {
    "reward/mean": mean(given),
    "reward/std": std(given),
    ...(given.length < rewards.length
      ? { "reward/frac_unjudged": 1 - given.length / rewards.length }
      : {}),
    ...functionMetrics(rollout),
    "frac_reward_zero_std": share((prompt) => !rewardsDiffer(prompt.rewards)),
    "group/frac_all_correct": share((p) => p.rights > 0 && p.rights === p.rewards.length),
    "group/frac_all_wrong": share((p) => p.rights === 0),
    "response_length/mean": mean(lengths),
    "response_length/std": std(lengths),
    "response_length/min": lengths.reduce((a, b) => Math.min(a, b), Infinity),
    "response_length/max": lengths.reduce((a, b) => Math.max(a, b), 0),
    "response_length/p95": quantile(lengths, 0.95),
    "response_length/clip_ratio": mean(truncated.map(Number)),
    ...(ended.length > 0 ? { "response_length/terminated_mean": mean(ended) } : {}),
    ...(right.length > 0 ? { "response_length/correct_mean": mean(right) } : {}),
    ...(wrong.length > 0 ? { "response_length/incorrect_mean": mean(wrong) } : {}),
    // Over all tokens sampled; the update sees those of responses with a signal only.
    "actor/entropy": mean(rollout.entropySums) / mean(lengths),
  };
}

/** `rewards/{name}/mean` and `/std` of each reward function, over the completions it applies to. */
function functionMetrics({ rewardsByFunction }: Rollout): Record<string, number> {
  const metrics: Record<string, number> = {};
  for (const [name, rewards] of Object.entries(rewardsByFunction)) {
    const applying = rewards.filter((r) => r !== null);
    if (applying.length === 0) continue;
    metrics[`rewards/${name}/mean`] = mean(applying);
    metrics[`rewards/${name}/std`] = std(applying);
  }
  return metrics;
}

/** Standard deviation with n in the denominator. */
function std(values: readonly number[]): number {
  const m = mean(values);
  return Math.sqrt(mean(values.map((v) => (v - m) ** 2)));
}
