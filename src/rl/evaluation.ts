/**
 * Evaluation on the problems that training never sees.
 *
 * @module
 */

import type { Generator } from "../model/generate.ts";
import { bindableSequences, bindableTokens } from "../model/limits.ts";
import { Policy } from "../model/policy.ts";
import { truncates, truncationOf, type TruncationOptions } from "../model/truncation.ts";
import { checkFit } from "./fit.ts";
import { type Rollout, rollOut } from "./rollout.ts";
import { judged } from "./signal.ts";
import { type SampleSummary, summariseSamples } from "./sample_summary.ts";
import { checkNames, namesOf } from "../input/names.ts";
import type { Split, Task } from "../task/task.ts";

/** What an evaluation found. */
export interface Evaluation extends SampleSummary {
  /** Mean reward of greedy completions, one per prompt. */
  readonly greedy: number;
}

/** Options of {@linkcode evaluate}. */
export interface EvaluationOptions extends TruncationOptions {
  /** Number of prompts, at most; no problem of a list is asked twice. Default 128. */
  readonly prompts?: number | undefined;
  /** Samples per prompt N. Default 8. */
  readonly numGenerations?: number | undefined;
  /** The most tokens of a completion. Default: the task's. */
  readonly maxCompletionLength?: number | undefined;
  /** Temperature of the samples; the greedy pass is separate. Default 1. */
  readonly temperature?: number | undefined;
  /** Seed of problems and sampling. Default 42. */
  readonly seed?: number | undefined;
  /** Ends the evaluation early; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Is told now and then how far it is: of the tokens of the longest completions there may be, batch after batch, how many
   * are done. It takes at most as long as that says, since completions that end early are jumped over.
   */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const NAMES = namesOf<EvaluationOptions>({
  prompts: true,
  numGenerations: true,
  maxCompletionLength: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  seed: true,
  signal: true,
  onProgress: true,
});

/** What to sample, with every default filled in. */
type SampleRequest = ReturnType<typeof resolveRequest> & {
  readonly onTokens?: ((tokens: number) => void) | undefined;
};

/** Sequences a policy samples at a time, unless one prompt has more. */
const WAVE = 512;

/** Second key of the random numbers of evaluations; no training step has it. */
const EVALUATION_STEP = 2 ** 32 - 1;

/**
 * Samples N completions for each of some problems of the eval split, and one greedy completion.
 *
 * The same options give the same problems and random numbers, so evaluations before and after training are paired.
 *
 * @param policy What to evaluate, or a generator of it, through which problems go in as many batches as its capacity
 * needs.
 * @param options How much.
 * @throws {TypeError} For an option that does not exist.
 * @throws {RangeError} If an option is out of range, or the policy's vocabulary or positions, or the generator's capacity,
 * do not suffice.
 * @throws {Error} If the verifier fails on a completion; the message names it.
 */
export async function evaluate(
  policy: Policy | Generator,
  task: Task,
  options: EvaluationOptions = {},
): Promise<Evaluation> {
  const request = resolveRequest(task, "eval", options);
  return await withGeneratorOf(policy, task, request, async (generator) => {
    const once = { ...request, numGenerations: 1, temperature: 0 };
    const onTokens = progressOf([request, once], generator, task, options.onProgress);
    const sampled = await inWaves(generator, task, { ...request, onTokens });
    const greedy = await inWaves(generator, task, { ...once, onTokens });
    const rewards = judged(greedy.flatMap((r) => r.rewards));
    return {
      ...summariseSamples(sampled),
      greedy: rewards.reduce((sum, r) => sum + r, 0) / rewards.length,
    };
  });
}

/**
 * Samples N completions for each of some problems of the train split, as the first steps of training would see them.
 *
 * @param policy What to sample from.
 * @param options How much.
 * @throws {RangeError} If the policy's vocabulary or positions do not suffice.
 * @throws {Error} If the verifier fails on a completion; the message names it.
 */
export async function sampleTraining(
  policy: Policy,
  task: Task,
  options: EvaluationOptions = {},
): Promise<SampleSummary> {
  const request = resolveRequest(task, "train", options);
  return await withGeneratorOf(policy, task, request, async (generator) => {
    const onTokens = progressOf([request], generator, task, options.onProgress);
    return summariseSamples(await inWaves(generator, task, { ...request, onTokens }));
  });
}

/**
 * How many problems an evaluation asks that should ask so many: no more than there are.
 *
 * @param prompts How many, default 128.
 */
export function problemsAsked(task: Task, split: Split, prompts = 128): number {
  return Math.min(prompts, task.promptCounts?.[split] ?? prompts);
}

function resolveRequest(task: Task, split: Split, options: EvaluationOptions) {
  checkNames("evaluate", options, NAMES);
  const { numGenerations = 8, temperature = 1, seed = 42, signal } = options;
  const prompts = problemsAsked(task, split, options.prompts);
  const { maxCompletionLength = task.maxCompletionLength } = options;
  for (
    const [name, value] of Object.entries({ prompts, numGenerations, maxCompletionLength, seed })
  ) {
    const least = name === "seed" ? 0 : 1;
    if (!Number.isInteger(value) || value < least || value >= 2 ** 32) {
      throw new RangeError(
        `${name} must be an integer from ${least} to 2^32 - 1: current value is ${value}`,
      );
    }
  }
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new RangeError(
      `temperature must be a finite number >= 0: current value is ${temperature}`,
    );
  }
  return {
    ...truncationOf(options),
    split,
    prompts,
    numGenerations,
    maxCompletionLength,
    temperature,
    seed,
    signal,
  };
}

async function withGeneratorOf<R>(
  policy: Policy | Generator,
  task: Task,
  request: SampleRequest,
  use: (generator: Generator) => Promise<R>,
): Promise<R> {
  if (!(policy instanceof Policy)) return await use(policy);
  const { prompts, numGenerations, maxCompletionLength } = request;
  checkFit(policy.config, task, maxCompletionLength);
  const { gpu, config, parameters: { cacheDtype } } = policy;
  const sequences = Math.min(WAVE, bindableSequences(gpu, config, cacheDtype, maxCompletionLength));
  const atOnce = Math.min(
    prompts,
    Math.max(1, Math.floor(sequences / numGenerations)),
    Math.max(1, Math.floor(bindableTokens(gpu, config) / task.maxPromptLength)),
  );
  const capacity = {
    promptTokens: atOnce * task.maxPromptLength,
    sequences: atOnce * numGenerations,
    completionLength: maxCompletionLength,
    truncates: truncates(request),
  };
  return await policy.withGenerator(capacity, use);
}

/** Adds the tokens of one batch after the other up, over several passes. */
function progressOf(
  passes: readonly SampleRequest[],
  generator: Generator,
  task: Task,
  report: EvaluationOptions["onProgress"],
): SampleRequest["onTokens"] {
  if (report === undefined) return undefined;
  const batches = passes.map((pass) =>
    Math.ceil(pass.prompts / promptsAtOnce(generator, task, pass))
  );
  const each = passes[0]!.maxCompletionLength;
  const total = each * batches.reduce((sum, n) => sum + n, 0);
  let before = 0;
  return (tokens) => {
    report(before + tokens, total);
    if (tokens === each) before += each;
  };
}

/** How many prompts of a pass a generator takes at a time. */
function promptsAtOnce(
  { capacity: { sequences, promptTokens } }: Generator,
  task: Task,
  { numGenerations }: SampleRequest,
): number {
  const most = Math.min(
    Math.floor(sequences / numGenerations),
    Math.floor(promptTokens / task.maxPromptLength),
  );
  if (most < 1) {
    throw new RangeError(
      `An evaluation with ${numGenerations} samples per prompt does not fit a generator of ${sequences} sequences`,
    );
  }
  return most;
}

async function inWaves(
  generator: Generator,
  task: Task,
  options: SampleRequest,
): Promise<Rollout[]> {
  const most = promptsAtOnce(generator, task, options);
  const rollouts: Rollout[] = [];
  const { prompts, ...sampling } = options;
  for (let first = 0; first < prompts; first += most) {
    rollouts.push(
      await rollOut(generator, task, {
        ...sampling,
        firstProblem: first,
        count: Math.min(most, prompts - first),
        step: EVALUATION_STEP,
      }),
    );
  }
  return rollouts;
}
