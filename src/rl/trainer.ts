/**
 * The training loop: roll out, verify, update.
 *
 * Everything that is drawn is a pure function of (seed, step, sample, position), so a run that was stopped and resumed
 * gives the same bytes as one that was not.
 *
 * @module
 */

import type { GpuCounters } from "../gpu/device.ts";
import { Generator } from "../model/generate.ts";
import type { Policy } from "../model/policy.ts";
import { AdamW } from "../optim/adamw_optimizer.ts";
import { learningRateAt } from "../optim/schedule.ts";
import { evaluate, type Evaluation } from "./evaluation.ts";
import { checkFit } from "./fit.ts";
import { rolloutMetrics } from "./metrics.ts";
import { type Rollout, rollOut } from "./rollout.ts";
import { eosTokenIdsOf, type Task } from "./task.ts";
import {
  type ResolvedTrainOptions,
  resolveTrainOptions,
  type TrainOptions,
} from "./train_options.ts";
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
  /** Its advantage within the group. */
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
  /** Steps done; set it when resuming. */
  completedSteps = 0;

  readonly #generator: Generator;
  readonly #updater: Updater;

  private constructor(
    policy: Policy,
    task: Task,
    options: ResolvedTrainOptions,
    parts: { optimizer: AdamW; generator: Generator; updater: Updater },
  ) {
    this.policy = policy;
    this.task = task;
    this.options = options;
    this.optimizer = parts.optimizer;
    this.#generator = parts.generator;
    this.#updater = parts.updater;
  }

  /**
   * Checks the settings, takes the memory and compiles everything a step needs.
   *
   * @param policy The policy; its weights are changed by training.
   * @param task The task.
   * @param options Settings; see {@linkcode TrainOptions} for defaults.
   * @throws {RangeError} If a setting is out of range or does not fit the policy or the task.
   */
  static async create(policy: Policy, task: Task, options: TrainOptions): Promise<Trainer> {
    const resolved = resolveTrainOptions(options, task.maxCompletionLength);
    checkFit(policy.config, task, resolved.maxCompletionLength);
    const longest = task.maxPromptLength + resolved.maxCompletionLength;
    if (longest > resolved.maxTokensPerMicroBatch) {
      throw new RangeError(
        `maxTokensPerMicroBatch must be at least a prompt and a completion, ${longest}: ` +
          `current value is ${resolved.maxTokensPerMicroBatch}`,
      );
    }
    const { promptsPerStep, numGenerations, numGenerationsEval } = resolved;
    const generator = await Generator.create(policy.gpu, policy.parameters, {
      promptTokens: promptsPerStep * task.maxPromptLength,
      sequences: Math.max(promptsPerStep * numGenerations, numGenerationsEval),
      completionLength: resolved.maxCompletionLength,
    });
    const optimizer = await AdamW.create(
      policy.gpu,
      policy.parameters.values,
      policy.parameters.gradients,
      {
        learningRate: resolved.learningRate,
        beta1: resolved.adamBeta1,
        beta2: resolved.adamBeta2,
        weightDecay: resolved.weightDecay,
        maxGradNorm: resolved.maxGradNorm,
      },
    );
    const updater = await Updater.create(policy, optimizer, generator.logProbs, resolved);
    return new Trainer(policy, task, resolved, { optimizer, generator, updater });
  }

  /**
   * One step: a rollout and the optimizer steps on it.
   *
   * @throws {Error} If a verifier fails, or a loss or gradient is not finite; the policy is then as the last good
   * optimizer step left it. Calling it again repeats the step.
   * @param request `signal` ends the rollout early; its reason is thrown, and the step has not taken place.
   */
  async next(request: { signal?: AbortSignal } = {}): Promise<StepReport> {
    const { options, policy, task } = this;
    const step = this.completedSteps;
    const start = performance.now();
    const before = { ...policy.gpu.counters };
    const rollout = await rollOut(this.#generator, task, {
      split: "train",
      problemSeed: options.seed,
      firstProblem: step * options.promptsPerStep,
      count: options.promptsPerStep,
      numGenerations: options.numGenerations,
      maxCompletionLength: options.maxCompletionLength,
      temperature: options.temperature,
      seed: options.seed,
      step,
      eosTokenIds: eosTokenIdsOf(task),
      ...request,
    });
    const rolledOut = { ...policy.gpu.counters };
    const updateStart = performance.now();
    const update = await this.#updater.update(rollout, {
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
    this.completedSteps = step + 1;
    const seconds = (end - start) / 1000;
    const names = Object.keys(rollout.rewardsByFunction);
    return {
      step: this.completedSteps,
      metrics: {
        "training/global_step": this.completedSteps,
        ...rolloutMetrics(rollout),
        ...update.metrics,
        "timing_s/gen": rollout.seconds.generation,
        "timing_s/reward": rollout.seconds.reward,
        "timing_s/update": (end - updateStart) / 1000,
        "timing_s/step": seconds,
        ...performanceMetrics(before, rolledOut, policy.gpu.counters, rollout, seconds),
      },
      completions: rollout.completions.map((completionIds, b) => ({
        promptIds: rollout.problems[Math.floor(b / options.numGenerations)]!.promptIds,
        completionIds,
        reward: rollout.rewards[b]!,
        ...(names.length > 0
          ? {
            rewards: Object.fromEntries(
              names.map((name) => [name, rollout.rewardsByFunction[name]![b]!]),
            ),
          }
          : {}),
        advantage: update.advantages[b]!,
        truncated: rollout.truncated[b]!,
      })),
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
    this.#generator.destroy();
    this.optimizer.destroy();
  }
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
