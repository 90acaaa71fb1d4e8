/**
 * Evaluation on the problems that training never sees.
 *
 * @module
 */

import type { Generator } from "../model/generate.ts";
import { type Rollout, rollOut } from "./rollout.ts";
import { eosTokenIdsOf, type Task } from "./task.ts";

/** What an evaluation found. Accuracies are mean rewards. */
export interface Evaluation {
  /** Mean reward of all samples: mean@N at temperature 1. */
  readonly meanAtN: number;
  /** Share of prompts with at least one reward of 1 or more among its N samples. */
  readonly passAtN: number;
  /** Mean reward of greedy completions. */
  readonly greedy: number;
  /** Mean length of the samples, tokens. */
  readonly meanLength: number;
  /** Standard deviation of their lengths. */
  readonly stdLength: number;
  /** Share of samples cut off by the length limit. */
  readonly truncated: number;
  /** N, samples per prompt. */
  readonly numGenerations: number;
  /** Number of prompts. */
  readonly prompts: number;
}

/** Options of {@linkcode evaluate}. */
export interface EvaluationOptions {
  /** Number of prompts. */
  readonly prompts: number;
  /** Samples per prompt N. */
  readonly numGenerations: number;
  /** The most tokens of a completion. */
  readonly maxCompletionLength: number;
  /** Temperature of the samples; the greedy pass is separate. Default 1. */
  readonly temperature?: number;
  /** Seed of problems and sampling. */
  readonly seed: number;
}

/** Second key of the random numbers of evaluations; no training step has it. */
const EVALUATION_STEP = 2 ** 32 - 1;

/**
 * Samples N completions for each of some problems of the eval split, and one greedy completion.
 *
 * The same options give the same problems and random numbers, so evaluations before and after training are paired.
 *
 * @param generator Where to generate; problems go through it in as many batches as its capacity needs.
 * @param task The task.
 * @param options How much.
 */
export async function evaluate(
  generator: Generator,
  task: Task,
  options: EvaluationOptions,
): Promise<Evaluation> {
  const { prompts, numGenerations, temperature = 1 } = options;
  const sampled = await inWaves(generator, task, options, numGenerations, temperature);
  const greedy = await inWaves(generator, task, options, 1, 0);
  const lengths = sampled.flatMap((r) => r.completions.map((c) => c.length));
  const rewards = sampled.flatMap((r) => r.rewards);
  let passed = 0;
  for (let p = 0; p < prompts; p++) {
    if (rewards.slice(p * numGenerations, (p + 1) * numGenerations).some((r) => r >= 1)) passed++;
  }
  const meanLength = mean(lengths);
  return {
    meanAtN: mean(rewards),
    passAtN: passed / prompts,
    greedy: mean(greedy.flatMap((r) => r.rewards)),
    meanLength,
    stdLength: Math.sqrt(mean(lengths.map((l) => (l - meanLength) ** 2))),
    truncated: mean(sampled.flatMap((r) => r.truncated.map(Number))),
    numGenerations,
    prompts,
  };
}

async function inWaves(
  generator: Generator,
  task: Task,
  options: EvaluationOptions,
  numGenerations: number,
  temperature: number,
): Promise<Rollout[]> {
  const { sequences, promptTokens } = generator.capacity;
  const most = Math.min(
    Math.floor(sequences / numGenerations),
    Math.floor(promptTokens / task.maxPromptLength),
  );
  if (most < 1) {
    throw new RangeError(
      `An evaluation with ${numGenerations} samples per prompt does not fit a generator of ${sequences} sequences`,
    );
  }
  const rollouts: Rollout[] = [];
  for (let first = 0; first < options.prompts; first += most) {
    rollouts.push(
      await rollOut(generator, task, {
        split: "eval",
        problemSeed: options.seed,
        firstProblem: first,
        count: Math.min(most, options.prompts - first),
        numGenerations,
        maxCompletionLength: options.maxCompletionLength,
        temperature,
        seed: options.seed,
        step: EVALUATION_STEP,
        eosTokenIds: eosTokenIdsOf(task),
      }),
    );
  }
  return rollouts;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, v) => sum + v, 0) / Math.max(1, values.length);
}
