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

/** Difference of rewards up to which a million squares of it add up in float32. */
const MOST = 1e16;

/**
 * Takes an origin off every reward in float64, so that float32 keeps what they differ by: of 10⁸ + length it would keep
 * multiples of 8. The origin is the first reward of the group, or of the batch for estimators that compare across
 * groups. What differs by rounding alone becomes equal.
 *
 * @param rewards Rewards of consecutive groups; `null` for responses that could not be judged, which get the origin.
 * @param options Groups and estimator.
 * @throws {RangeError} If a reward is less than the estimator accepts, or rewards that are compared differ by more than
 * float32 can square.
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
      const difference = value - origin;
      if (!(Math.abs(difference) <= MOST && Math.abs(origin) <= MOST ** 2)) {
        throw new RangeError(
          `The reward of response ${
            p * G + g
          } is ${reward} and that of another it is compared with ${origin}: float32 ` +
            `squares differences up to ${MOST.toExponential()}, so make the rewards smaller`,
        );
      }
      differences[p * G + g] = difference;
      // Whitening takes every origin off again; with it the differences would be lost before.
      origins[p * G + g] = whitens ? 0 : origin;
    }
  }
  return { differences, origins };
}
