/**
 * When a reward means that a problem is solved, and when two rewards are the same.
 *
 * Verifiers add shares up in floating point, where 0.7 + 0.2 + 0.1 is a little less than 1: what differs by rounding
 * alone counts as equal.
 *
 * @module
 */

import type { Task } from "./task.ts";

/** The largest difference, relative to the larger reward, that counts as rounding. */
const ROUNDING = 2 ** -40;

/** The reward that a task's right answers have. */
export function maxRewardOf(task: Pick<Task, "maxReward">): number {
  return task.maxReward ?? 1;
}

/**
 * Whether a completion with this reward is right: whether it reaches the task's {@linkcode Task.maxReward}.
 *
 * @param reward What its verifier gave; `null`, where it could not judge, is not right.
 */
export function isSolved(task: Pick<Task, "maxReward">, reward: number | null): boolean {
  if (reward === null) return false;
  const most = maxRewardOf(task);
  return reward >= most || sameReward(reward, most);
}

/** Whether two rewards are equal but for rounding. */
export function sameReward(a: number, b: number): boolean {
  return a === b || Math.abs(a - b) <= ROUNDING * Math.max(Math.abs(a), Math.abs(b));
}

/** Whether the rewards of a group differ by more than rounding, so that there is something to learn from. */
export function rewardsDiffer(rewards: readonly number[]): boolean {
  return rewards.some((reward) => !sameReward(reward, rewards[0]!));
}
