/**
 * Reward functions: one, or several with weights, and how their verdicts become a reward.
 *
 * @module
 */

import type { PromptRow } from "./dataset.ts";
import { checkLimit } from "./prompt_source.ts";
import type { Verdict } from "./task.ts";

/** A completion to judge. */
export interface Sample<Row extends PromptRow = PromptRow> {
  /** The row of the dataset, with all its columns. */
  readonly row: Row;
  /** The prompt as text. */
  readonly prompt: string;
  /** The completion as text, without special tokens such as the end of sequence. */
  readonly completion: string;
  /** Token ids of the completion, with the end of sequence if it was reached. */
  readonly completionIds: readonly number[];
  /** Whether the length limit cut the completion off. */
  readonly truncated: boolean;
}

/** The reward of a completion; `true` is 1, `false` is 0, `null` says that the function does not apply to it. */
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

function judgeOf<Row extends PromptRow>(
  { verify, rewardWeights = {} }: RewardDefinition<Row>,
): (sample: Sample<Row>) => Promise<Verdict> {
  if (typeof verify === "function") {
    if (Object.keys(rewardWeights).length > 0) {
      throw new RangeError("rewardWeights needs several functions: give verify as an object");
    }
    return async (sample) => {
      const reward = await verify(sample);
      if (reward === null) throw new Error("it returned null and is the only reward function");
      return Number(checkedReward(reward));
    };
  }
  const functions = Object.entries(verify);
  if (functions.length === 0) throw new RangeError("verify must have at least one function");
  for (const [name, weight] of Object.entries(rewardWeights)) {
    if (!Object.hasOwn(verify, name) || !Number.isFinite(weight)) {
      throw new RangeError(
        `rewardWeights.${name} must be a finite number, and ${name} one of ${
          Object.keys(verify).join(", ")
        }: current value is ${weight}`,
      );
    }
  }
  return async (sample) => {
    const rewards: Record<string, number | null> = {};
    let reward = 0;
    let applies = false;
    for (const [name, judge] of functions) {
      let given: Reward;
      try {
        given = checkedReward(await judge(sample));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(`${name}: ${message}`, { cause: error });
      }
      rewards[name] = given === null ? null : Number(given);
      if (given === null) continue;
      reward += (rewardWeights[name] ?? 1) * Number(given);
      applies = true;
    }
    if (!applies) {
      throw new Error(
        `none of its functions (${Object.keys(rewards).join(", ")}) applies, all returned null`,
      );
    }
    return { reward, rewards };
  };
}

function checkedReward(reward: Reward): Reward {
  if (reward === null || typeof reward === "boolean" || Number.isFinite(reward)) return reward;
  throw new Error(`it returned ${reward}: rewards are finite numbers, true, false or null`);
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
