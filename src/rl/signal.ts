/**
 * Which responses can teach anything.
 *
 * @module
 */

import { type AdvantageEstimator, ADVANTAGES } from "../objective/advantage.ts";
import { rewardsDiffer } from "../task/solved.ts";

/** The rewards that were given, without those of responses that could not be judged. */
export function judged(rewards: readonly (number | null)[]): number[] {
  return rewards.filter((reward) => reward !== null);
}

/**
 * Whether a prompt teaches anything: its rewards differ, or there is one response only and nothing to compare it with.
 *
 * @param rewards Rewards of the responses to one prompt; `null` for those that could not be judged.
 */
export function hasSignal(rewards: readonly (number | null)[]): boolean {
  const given = judged(rewards);
  return (rewards.length === 1 && given.length === 1) || rewardsDiffer(given);
}

/**
 * Which responses may get an advantage that is not 0, told before any is computed: those of groups whose rewards differ.
 * The others have exactly 0 and need no computing where nothing but the advantage is in the loss.
 *
 * @param rewards Rewards of consecutive groups; `null` for responses that could not be judged.
 * @param numGenerations Responses per prompt.
 * @param advantageEstimator The estimator.
 */
export function teaching(
  rewards: readonly (number | null)[],
  numGenerations: number,
  advantageEstimator: AdvantageEstimator,
): boolean[] {
  const { whitens } = ADVANTAGES[advantageEstimator];
  return rewards.map((reward, b) => {
    if (reward === null) return false;
    // Against the whole batch, equal rewards of a group count too.
    if (whitens) return true;
    if (numGenerations === 1) return reward !== 0;
    const first = b - b % numGenerations;
    const group = rewards.slice(first, first + numGenerations);
    if (!hasSignal(group)) return false;
    // Of passK the best one alone; of equals the first, whose margin is 0.
    return advantageEstimator !== "passK" || reward === Math.max(...judged(group));
  });
}
