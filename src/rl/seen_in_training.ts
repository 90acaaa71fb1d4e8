/**
 * Which problems of an evaluation training has asked, for tasks that do not say that their splits are disjoint.
 *
 * @module
 */

import { drawProblem } from "../task/problems.ts";
import type { Split, Task } from "../task/task.ts";
import { problemsAsked } from "./evaluation.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** Training problems that are compared at most: beyond them it would take longer than the evaluation. */
const MOST_COMPARED = 20_000;

/** What is to be compared. */
export interface SeenInTrainingOptions {
  /** Seed of the problems of the evaluation. */
  readonly seed: number;
  /** Seed of those of training. Default: the same. */
  readonly trainSeed?: number;
  /** Problems of the evaluation. */
  readonly evalPrompts: number;
  /** Problems that training has asked, from the first. */
  readonly trainPrompts: number;
}

/**
 * The most training problems that a run has asked.
 *
 * @param options Its settings.
 * @param steps Steps it has done.
 */
export function promptsAsked(
  { promptsPerStep, dynamicSampling, maxGenBatches }: ResolvedTrainOptions,
  steps: number,
): number {
  return steps * promptsPerStep * (dynamicSampling ? maxGenBatches : 1);
}

/**
 * The number of problems of an evaluation whose prompts training has asked; 0 without a look where the task says that its
 * splits are disjoint.
 *
 * @param options How many problems there are of either kind.
 */
export function seenInTraining(task: Task, options: SeenInTrainingOptions): number {
  if (task.heldOut === true) return 0;
  const { seed, trainSeed = seed, evalPrompts, trainPrompts } = options;
  const prompts = (split: Split, count: number) =>
    Array.from(
      { length: count },
      (_, i) => drawProblem(task, split, split === "train" ? trainSeed : seed, i).promptIds.join(),
    );
  const trained = problemsAsked(task, "train", Math.min(trainPrompts, MOST_COMPARED));
  const seen = new Set(prompts("train", trained));
  return prompts("eval", problemsAsked(task, "eval", evalPrompts))
    .filter((prompt) => seen.has(prompt)).length;
}

/**
 * On what an evaluation was made, as a sentence says it.
 *
 * @param prompts Problems asked.
 * @param seen How many of them training has asked; `undefined` where nobody knows.
 */
export function describeHeldOut(prompts: number, task: Task, seen: number | undefined): string {
  const all = prompts === task.promptCounts?.eval ? "all " : "";
  const asked = `on ${all}${prompts} ${prompts === 1 ? "prompt" : "prompts"}`;
  if (task.heldOut === true) return `${asked} that training never sees`;
  if (seen === undefined) return `${asked}; the task does not say that training never sees them`;
  if (seen === 0) return `${asked}, none of which training has asked`;
  return prompts === 1
    ? `${asked}, which training asks too: the figures do not speak of new prompts`
    : `${asked}, ${seen} of which training asks too: the figures do not speak of new prompts alone`;
}
