/**
 * Rewards as the advantages are to see them.
 *
 * @module
 */

import { inGroups } from "../objective/groups.ts";
import { sum } from "../objective/moments.ts";
import { softOverlongPunishment } from "../objective/overlong.ts";
import { rewardsDiffer } from "../task/solved.ts";
import type { Reference } from "./reference.ts";
import { promptGroups, type Rollout } from "./rollout.ts";
import { judged } from "./signal.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** What punishments and the divergence made of the rewards of a rollout. */
export interface ShapedRewards {
  /** What the advantages compare; `null` where a response could not be judged. */
  readonly rewards: readonly (number | null)[];
  /** What comes off the advantages themselves, with `klAfterNormalization`. */
  readonly penalties: readonly number[] | undefined;
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
}

/**
 * What the verifier gave, less the punishment of overlong responses and the divergence from the reference. The reference
 * scores the rollout on the way, also where the divergence is in the loss.
 *
 * @param rollout Completions and rewards.
 * @param reference The reference policy, if there is one.
 */
export async function shapeRewards(
  rollout: Rollout,
  reference: Reference | undefined,
  options: ResolvedTrainOptions,
): Promise<ShapedRewards> {
  const { beta, klInReward, klAfterNormalization, numGenerations } = options;
  const lengths = rollout.completions.map((c) => c.length);
  const metrics: Record<string, number> = {};
  let penalties: number[] | undefined;
  let rewards = rollout.rewards.map((reward, b) =>
    reward === null ? null : reward + softOverlongPunishment(lengths[b]!, options)
  );
  reference?.score(promptGroups(rollout));
  if (reference && klInReward) {
    const divergence = await reference.divergence(lengths);
    const weighted = Array.from(divergence, (kl) => beta * kl);
    if (klAfterNormalization) penalties = lessGroupMean(weighted, rewards, numGenerations);
    else rewards = rewards.map((reward, b) => reward === null ? null : reward - weighted[b]!);
    metrics["actor/kl"] = sum(divergence) / Math.max(1, sum(lengths));
  }
  if (klInReward || options.softOverlongBuffer > 0) {
    const given = judged(rewards);
    metrics["reward/shaped_mean"] = sum(given) / Math.max(1, given.length);
    // The advantages compare what punishment and divergence left of the rewards.
    metrics["frac_reward_zero_std"] = shareWithoutSignal(rewards, numGenerations);
  }
  return { rewards, penalties, metrics };
}

/** Values less their mean over the judged responses of each group. */
function lessGroupMean(
  values: readonly number[],
  rewards: readonly (number | null)[],
  numGenerations: number,
): number[] {
  return values.map((value, b) => {
    const first = b - b % numGenerations;
    const group = values.slice(first, first + numGenerations)
      .filter((_, g) => rewards[first + g] !== null);
    return value - sum(group) / Math.max(1, group.length);
  });
}

/** Share of prompts whose rewards do not differ. */
function shareWithoutSignal(rewards: readonly (number | null)[], numGenerations: number): number {
  const groups = inGroups(rewards, numGenerations);
  const without = groups.filter((group) => !rewardsDiffer(judged(group))).length;
  return groups.length === 0 ? 1 : without / groups.length;
}
