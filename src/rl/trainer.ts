/**
 * The training loop: roll out, verify, update.
 *
 * Everything that is drawn is a pure function of (seed, step, sample, position), and which problems are asked next is
 * part of a checkpoint, so a run that was stopped and resumed gives the same bytes as one that was not.
 *
 * @module
 */

import type { GpuCounters } from "../gpu/counters.ts";
import { Generator } from "../model/generate.ts";
import type { Policy } from "../model/policy.ts";
import { AdamW } from "../optim/adamw_optimizer.ts";
import { learningRateAt } from "../optim/schedule.ts";
import { BatchSampler, type StepBatch } from "./dynamic_sampling.ts";
import { evaluate, type Evaluation } from "./evaluation.ts";
import { checkFit, microBatchTokens } from "./fit.ts";
import { rolloutMetrics } from "./metrics.ts";
import { Reference } from "./reference.ts";
import type { Rollout } from "./rollout.ts";
import type { Task } from "../task/task.ts";
import {
  type ResolvedTrainOptions,
  resolveTrainOptions,
  type TrainOptions,
} from "./train_options.ts";
import { TrainingWatch } from "./training_watch.ts";
import { Updater } from "./update.ts";

/** One completion of a step. */
export interface CompletionRecord {
  /** Token ids of the prompt. */
  readonly promptIds: readonly number[];
  /** Token ids of the completion. */
  readonly completionIds: readonly number[];
  /** What the verifier gave. */
  readonly reward: number;
  /** What each reward function said, for tasks with several. */
  readonly rewards?: Readonly<Record<string, number | null>>;
  /** Its advantage within the group; 0 where dynamic sampling left its prompt out. */
  readonly advantage: number;
  /** Whether the length limit cut it off. */
  readonly truncated: boolean;
}

/** What one step did. */
export interface StepReport {
  /** Steps completed, this one included. */
  readonly step: number;
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
  /** All completions of the step. */
  readonly completions: readonly CompletionRecord[];
  /** What seems to go wrong since this step, and what to do about it. */
  readonly warnings: readonly string[];
}

/** Trains a policy on a task with a verifiable reward. */
export class Trainer {
  /** The policy being trained. */
  readonly policy: Policy;
  /** The task. */
  readonly task: Task;
  /** Every setting. */
  readonly options: ResolvedTrainOptions;
  /** AdamW and its moments. */
  readonly optimizer: AdamW;
  /** The frozen policy that training is not to stray from, where `beta` is not 0. */
  readonly reference: Reference | undefined;
  /** Steps done; set it when resuming. */
  completedSteps = 0;

  readonly #generator: Generator;
  readonly #sampler: BatchSampler;
  readonly #updater: Updater;
  readonly #watch: TrainingWatch;
  #nextProblem = 0;
  #updating = false;

  private constructor(
    policy: Policy,
    task: Task,
    options: ResolvedTrainOptions,
    parts: {
      optimizer: AdamW;
      generator: Generator;
      sampler: BatchSampler;
      reference: Reference | undefined;
      updater: Updater;
    },
  ) {
    this.policy = policy;
    this.task = task;
    this.options = options;
    this.optimizer = parts.optimizer;
    this.reference = parts.reference;
    this.#generator = parts.generator;
    this.#sampler = parts.sampler;
    this.#updater = parts.updater;
    this.#watch = new TrainingWatch(options);
  }

  /**
   * Checks the settings, takes the memory and compiles everything a step needs.
   *
   * @param policy The policy; its weights are changed by training. As it is now it becomes the reference, if there is
   * one.
   * @param task The task.
   * @param options Settings; see {@linkcode TrainOptions} for defaults.
   * @throws {RangeError} If a setting is out of range or does not fit the policy or the task.
   */
  static async create(policy: Policy, task: Task, options: TrainOptions): Promise<Trainer> {
    const given = resolveTrainOptions(options, task.maxCompletionLength);
    checkFit(policy.config, task, given.maxCompletionLength);
    const resolved = {
      ...given,
      maxTokensPerMicroBatch: microBatchTokens(
        policy.gpu,
        policy.config,
        given.maxTokensPerMicroBatch,
        task.maxPromptLength + given.maxCompletionLength,
      ),
    };
    const { promptsPerStep, numGenerations, numGenerationsEval } = resolved;
    const generator = await Generator.create(policy.gpu, policy.parameters, {
      promptTokens: promptsPerStep * task.maxPromptLength,
      sequences: Math.max(promptsPerStep * numGenerations, numGenerationsEval),
      completionLength: resolved.maxCompletionLength,
    });
    const optimizer = await AdamW.create(policy.gpu, policy.parameters, {
      learningRate: resolved.learningRate,
      beta1: resolved.adamBeta1,
      beta2: resolved.adamBeta2,
      weightDecay: resolved.weightDecay,
      maxGradNorm: resolved.maxGradNorm,
    });
    const sampler = new BatchSampler(policy.gpu, generator, task, resolved);
    const { oldLogProbs } = sampler;
    const reference = resolved.beta === 0
      ? undefined
      : await Reference.create(policy, oldLogProbs, {
        temperature: resolved.temperature,
        maxTokens: resolved.maxTokensPerMicroBatch,
        klEstimator: resolved.klEstimator,
      });
    const updater = await Updater.create(policy, { optimizer, oldLogProbs, reference }, resolved);
    return new Trainer(policy, task, resolved, {
      optimizer,
      generator,
      sampler,
      reference,
      updater,
    });
  }

  /**
   * The first training problem that has not been asked yet. Set it when resuming with dynamic sampling, whose steps ask
   * as many as they need; otherwise it follows from {@linkcode completedSteps}.
   */
  get nextProblem(): number {
    const { dynamicSampling, promptsPerStep } = this.options;
    return dynamicSampling ? this.#nextProblem : this.completedSteps * promptsPerStep;
  }

  set nextProblem(problem: number) {
    this.#nextProblem = problem;
  }

  /**
   * Whether policy and optimizer are as {@linkcode completedSteps} steps left them, so that a checkpoint may be taken.
   * Not so while an update runs, and after one that failed.
   */
  get isBetweenSteps(): boolean {
    return !this.#updating;
  }

  /**
   * One step: a rollout and the optimizer steps on it.
   *
   * @throws {Error} If a verifier fails, or a loss or gradient is not finite; the policy is then as the last good
   * optimizer step left it. Calling it again repeats the step.
   * @param request `signal` ends the rollout early; its reason is thrown, and the step has not taken place.
   */
  async next(request: { signal?: AbortSignal } = {}): Promise<StepReport> {
    const { options, policy } = this;
    const step = this.completedSteps;
    const start = performance.now();
    const before = { ...policy.gpu.counters };
    const { refSyncSteps } = options;
    if (refSyncSteps > 0 && step > 0 && step % refSyncSteps === 0) this.reference?.synchronise();

    const batch = await this.#sampler.next(step, this.nextProblem, request);
    const rolledOut = { ...policy.gpu.counters };
    const updateStart = performance.now();
    this.#updating = true;
    const update = await this.#updater.update(batch.used, {
      learningRate: (optimizerStep) =>
        learningRateAt(optimizerStep, {
          learningRate: options.learningRate,
          warmupSteps: options.warmupSteps,
          lrScheduler: options.lrScheduler,
          totalSteps: options.maxSteps * this.#updater.optimizerStepsPerUpdate,
        }),
      step: step + 1,
    });
    const end = performance.now();
    this.#updating = false;
    this.completedSteps = step + 1;
    this.#nextProblem += batch.sampled.problems.length;

    const { sampled } = batch;
    const seconds = (end - start) / 1000;
    const metrics = {
      "training/global_step": this.completedSteps,
      ...rolloutMetrics(sampled),
      ...(options.dynamicSampling ? dynamicSamplingMetrics(batch) : {}),
      ...update.metrics,
      "timing_s/gen": sampled.seconds.generation,
      "timing_s/reward": sampled.seconds.reward,
      "timing_s/update": (end - updateStart) / 1000,
      "timing_s/step": seconds,
      ...performanceMetrics(before, rolledOut, policy.gpu.counters, sampled, seconds),
    };
    return {
      step: this.completedSteps,
      metrics,
      completions: completionRecords(batch, update.advantages),
      warnings: this.#watch.observe(metrics),
    };
  }

  /**
   * Measures the policy on the eval split.
   *
   * @param request `signal` ends it early; its reason is thrown.
   */
  async evaluate(request: { signal?: AbortSignal } = {}): Promise<Evaluation> {
    const { options } = this;
    return await evaluate(this.#generator, this.task, {
      prompts: options.evalPrompts,
      numGenerations: options.numGenerationsEval,
      maxCompletionLength: options.maxCompletionLength,
      temperature: options.temperature,
      seed: options.seed,
      ...request,
    });
  }

  /** Releases the trainer's memory; the policy stays. */
  destroy(): void {
    this.#updater.destroy();
    this.reference?.destroy();
    this.#sampler.destroy();
    this.#generator.destroy();
    this.optimizer.destroy();
  }
}

/** One record for each completion sampled, the ones not trained on among them. */
function completionRecords(batch: StepBatch, advantages: Float32Array): CompletionRecord[] {
  const { sampled, kept } = batch;
  const { numGenerations, rewardsByFunction } = sampled;
  const place = new Map(kept.map((p, i) => [p, i]));
  const names = Object.keys(rewardsByFunction);
  return sampled.completions.map((completionIds, b) => {
    const p = Math.floor(b / numGenerations);
    const used = place.get(p);
    const rewards = names.map((name) => [name, rewardsByFunction[name]![b]!]);
    return {
      promptIds: sampled.problems[p]!.promptIds,
      completionIds,
      reward: sampled.rewards[b]!,
      ...(names.length > 0 ? { rewards: Object.fromEntries(rewards) } : {}),
      advantage: used === undefined ? 0 : advantages[used * numGenerations + b % numGenerations]!,
      truncated: sampled.truncated[b]!,
    };
  });
}

function dynamicSamplingMetrics({ sampled, used, genBatches }: StepBatch): Record<string, number> {
  return {
    "dynamic_sampling/gen_batches": genBatches,
    "dynamic_sampling/prompts": used.problems.length,
    "dynamic_sampling/frac_kept": used.problems.length / sampled.problems.length,
  };
}

function performanceMetrics(
  before: GpuCounters,
  rolledOut: GpuCounters,
  after: GpuCounters,
  rollout: Rollout,
  seconds: number,
): Record<string, number> {
  const tokens = rollout.completions.reduce((n, c) => n + c.length, 0);
  return {
    "perf/tokens_per_s": tokens / seconds,
    "perf/gen_tokens_per_s": tokens / rollout.seconds.generation,
    "perf/dispatches": after.dispatches - before.dispatches,
    "perf/update_dispatches": after.dispatches - rolledOut.dispatches,
    "perf/submits": after.submits - before.submits,
    "perf/update_submits": after.submits - rolledOut.submits,
    "perf/buffers_created": after.buffersCreated - before.buffersCreated,
    "perf/bytes_to_gpu": after.bytesToGpu - before.bytesToGpu,
    "perf/bytes_from_gpu": after.bytesFromGpu - before.bytesFromGpu,
    "perf/peak_gpu_mb": after.peakBytesAllocated / 2 ** 20,
  };
}
