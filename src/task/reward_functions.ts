/**
 * Reward functions: one, or several with weights, and how their verdicts become a reward.
 *
 * @module
 */

import type { PromptRow } from "./dataset.ts";
import { shownWithType } from "../input/names.ts";
import { plainCopy } from "./plain_copy.ts";
import { checkLimit } from "./prompt_source.ts";
import type { Verdict } from "./task.ts";
import { weightedSum } from "./weighted_sum.ts";

/** A completion to judge. */
export interface Sample<Row extends PromptRow = PromptRow> {
  /** The row of the dataset, with all its columns. */
  readonly row: Row;
  /** The prompt as text. */
  readonly prompt: string;
  /** The completion as text: all of it but the end of sequence, other special tokens included. */
  readonly completion: string;
  /** Token ids of the completion, with the end of sequence if it was reached. */
  readonly completionIds: readonly number[];
  /** Whether the length limit cut the completion off. */
  readonly truncated: boolean;
}

/**
 * The reward of a completion; `true` is 1, `false` is 0, `null` says that the function does not apply to it. One to which
 * none applies could not be judged.
 */
export type Reward = number | boolean | null;

/** Judges a completion; at once, or later. */
export type RewardFunction<Row extends PromptRow = PromptRow> = (
  sample: Sample<Row>,
) => Reward | Promise<Reward>;

/** How completions of a task are judged. */
export interface RewardDefinition<Row extends PromptRow = PromptRow> {
  /** Judges a completion: one function, or several by name, whose weighted rewards are added up. */
  readonly verify: RewardFunction<Row> | Readonly<Record<string, RewardFunction<Row>>>;
  /** Weights of several functions. Default 1 each. */
  readonly rewardWeights?: Readonly<Record<string, number>>;
  /**
   * The reward that counts as solved, in pass@k and whatever else speaks of right answers. Default 1, or the sum of the
   * positive weights where that is less.
   */
  readonly maxReward?: number;
  /** Completions judged at the same time, for functions that wait. Default 64. */
  readonly maxConcurrency?: number;
}

/**
 * One verifier of all reward functions: what the one returns, or the weighted sum of those that apply.
 *
 * @throws {RangeError} If there is no function, or a weight of none.
 */
export function verifierOf<Row extends PromptRow>(
  definition: RewardDefinition<Row>,
): (sample: Sample<Row>) => Promise<Verdict> {
  const judge = judgeOf(definition);
  const inTurn = limiter(definition.maxConcurrency ?? 64);
  return (sample) => inTurn(() => judge(sample));
}

/**
 * The reward of a right answer.
 *
 * @throws {RangeError} If it is no finite number.
 */
export function maxRewardIn<Row extends PromptRow>(
  { verify, rewardWeights = {}, maxReward }: RewardDefinition<Row>,
): number {
  if (maxReward !== undefined) {
    if (Number.isFinite(maxReward)) return maxReward;
    throw new RangeError(`maxReward must be a finite number: current value is ${maxReward}`);
  }
  if (typeof verify === "function") return 1;
  const weights = Object.keys(verify).map((name) => Math.max(0, rewardWeights[name] ?? 1));
  const most = weightedSum(weights.map((weight) => [weight, 1]));
  return most > 0 ? Math.min(1, most) : 1;
}

function judgeOf<Row extends PromptRow>(
  { verify, rewardWeights = {} }: RewardDefinition<Row>,
): (sample: Sample<Row>) => Promise<Verdict> {
  if (typeof verify === "function") {
    if (Object.keys(rewardWeights).length > 0) {
      throw new RangeError("rewardWeights needs several functions: give verify as an object");
    }
    return async (sample) => {
      const reward = checkedReward(await verify(sample));
      return reward === null ? null : Number(reward);
    };
  }
  const functions = Object.entries(verify);
  if (functions.length === 0) throw new RangeError("verify must have at least one function");
  for (const [name, weight] of Object.entries(rewardWeights)) {
    if (!Object.hasOwn(verify, name) || !Number.isFinite(weight)) {
      throw new RangeError(
        `rewardWeights.${name} must be a finite number, and ${name} one of ` +
          `${Object.keys(verify).join(", ")}: current value is ${weight}`,
      );
    }
  }
  return async (sample) => {
    const rewards: Record<string, number | null> = {};
    const terms: [weight: number, reward: number][] = [];
    for (const [name, judge] of functions) {
      let given: Reward;
      try {
        const { row, completionIds } = sample;
        const own = { ...sample, row: plainCopy(row), completionIds: [...completionIds] };
        given = checkedReward(await judge(own));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`${name}: ${message}`, { cause: error });
      }
      rewards[name] = given === null ? null : Number(given);
      if (given === null) continue;
      terms.push([rewardWeights[name] ?? 1, Number(given)]);
    }
    return { reward: terms.length === 0 ? null : weightedSum(terms), rewards };
  };
}

function checkedReward(reward: Reward): Reward {
  if (reward === null || typeof reward === "boolean" || Number.isFinite(reward)) return reward;
  throw new Error(
    `it returned ${shownWithType(reward)}: rewards are finite numbers, true, false or null`,
  );
}

/** Runs at most `most` at a time, the others in the order they came. */
function limiter(most: number): <R>(run: () => Promise<R>) => Promise<R> {
  checkLimit("maxConcurrency", most);
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (running === most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
