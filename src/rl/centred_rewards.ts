/**
 * Rewards as the GPU gets them.
 *
 * @module
 */

import { ADVANTAGES } from "../objective/advantage.ts";
import { inGroups } from "../objective/groups.ts";
import { hasSignal, judged } from "./signal.ts";
import type { ObjectiveOptions } from "./train_options.ts";

/** Rewards in two columns: reward = origin + difference. */
export interface CentredRewards {
  /** What estimators compare (B). */
  readonly differences: Float64Array;
  /** What was taken off (B). */
  readonly origins: Float64Array;
}

/** What decides from where rewards are measured. */
export type CentringOptions =
  & Required<Pick<ObjectiveOptions, "numGenerations" | "advantageEstimator">>
  & Pick<ObjectiveOptions, "scaleRewards">;

/**
 * Takes an origin off every reward in float64, so that float32 keeps what they differ by: of 10⁸ + length it would keep
 * multiples of 8. The origin is the first reward of the group, or of the batch for estimators that compare across
 * groups. What differs by rounding alone becomes equal.
 *
 * @param rewards Rewards of consecutive groups; `null` for responses that could not be judged, which get the origin.
 * @param options Groups and estimator.
 * @throws {RangeError} If a reward is less than the estimator accepts.
 */
export function centredRewards(
  rewards: readonly (number | null)[],
  { numGenerations: G, advantageEstimator, scaleRewards }: CentringOptions,
): CentredRewards {
  const { whitens, leastReward = -Infinity } = ADVANTAGES[advantageEstimator];
  const bad = rewards.findIndex((reward) => reward !== null && reward < leastReward);
  if (bad >= 0) {
    throw new RangeError(
      `${advantageEstimator} needs rewards >= ${leastReward}: that of response ${bad} is ` +
        `${rewards[bad]}`,
    );
  }
  const acrossGroups = whitens === true || scaleRewards === "batch";
  const ofBatch = judged(rewards)[0] ?? 0;
  const differences = new Float64Array(rewards.length);
  const origins = new Float64Array(rewards.length);
  for (const [p, group] of inGroups(rewards, G).entries()) {
    const ofGroup = judged(group)[0] ?? ofBatch;
    const origin = acrossGroups ? ofBatch : ofGroup;
    const differs = hasSignal(group);
    for (const [g, reward] of group.entries()) {
      const value = differs ? reward ?? origin : ofGroup;
      differences[p * G + g] = value - origin;
      // Whitening takes every origin off again; with it the differences would be lost before.
      origins[p * G + g] = whitens ? 0 : origin;
    }
  }
  return { differences, origins };
}
