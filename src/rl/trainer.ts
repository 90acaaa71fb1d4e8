/**
 * The training loop: roll out, verify, update.
 *
 * Everything that is drawn is a pure function of (seed, step, sample, position), and which problems are asked next is
 * part of a checkpoint, so a run that was stopped and resumed gives the same bytes as one that was not.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { Arena } from "../gpu/arena.ts";
import { assembled } from "../gpu/readied.ts";
import { truncates, truncationOf } from "../model/truncation.ts";
import { Generator } from "../model/generate.ts";
import type { Policy } from "../model/policy.ts";
import { AdamW } from "../optim/adamw_optimizer.ts";
import { learningRateAt } from "../optim/schedule.ts";
import { adapt } from "./adapt.ts";
import { BatchSampler } from "./dynamic_sampling.ts";
import { evaluate, type Evaluation, type EvaluationOptions } from "./evaluation.ts";
import { checkFit, microBatchTokens } from "./fit.ts";
import { Reference } from "./reference.ts";
import type { Task } from "../task/task.ts";
import { resolveTrainOptions } from "./resolve_options.ts";
import {
  batchMetrics,
  completionRecords,
  performanceMetrics,
  type StepReport,
} from "./step_report.ts";
import type { ResolvedTrainOptions, TrainOptions } from "./train_options.ts";
import { TrainingWarnings } from "./warnings.ts";
import { Updater, type UpdateReport } from "./update.ts";

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
  readonly #arena: Arena;
  readonly #warnings: TrainingWarnings;
  #nextProblem = 0;
  #updating = false;
  /** What is running, for messages. */
  #running: string | undefined;

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
      arena: Arena;
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
    this.#arena = parts.arena;
    this.#warnings = new TrainingWarnings(options, policy.config, task);
  }

  /**
   * Checks the settings, takes the memory and compiles everything a step needs.
   *
   * @param policy The policy; its weights are changed by training. As it is now it becomes the reference, if there is
   * one.
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
    return await assembled(async (own) => {
      own(adapt(policy, resolved));
      // Rollouts and updates take turns on the same memory.
      const arena = own(new Arena(policy.gpu, "trainer"));
      const generator = own(
        await Generator.create(policy.gpu, policy.parameters, {
          promptTokens: promptsPerStep * task.maxPromptLength,
          sequences: Math.max(promptsPerStep * numGenerations, numGenerationsEval),
          completionLength: resolved.maxCompletionLength,
          truncates: truncates(resolved),
        }, { arena, scratch: policy.trained.requireGradients() }),
      );
      const optimizer = own(
        await AdamW.create(policy.gpu, policy.trained, {
          learningRate: resolved.learningRate,
          beta1: resolved.adamBeta1,
          beta2: resolved.adamBeta2,
          weightDecay: resolved.weightDecay,
          maxGradNorm: resolved.maxGradNorm,
          dtype: resolved.optimizerDtype,
          seed: resolved.seed,
        }),
      );
      const sampler = own(new BatchSampler(policy.gpu, generator, task, resolved));
      const { oldLogProbs } = sampler;
      const reference = resolved.beta === 0 ? undefined : own(
        await Reference.create(policy, oldLogProbs, {
          temperature: resolved.temperature,
          maxTokens: resolved.maxTokensPerMicroBatch,
          klEstimator: resolved.klEstimator,
          arena,
        }),
      );
      const parts = { optimizer, oldLogProbs, reference, arena };
      const updater = await Updater.create(policy, parts, resolved);
      return new Trainer(policy, task, resolved, {
        optimizer,
        generator,
        sampler,
        reference,
        updater,
        arena,
      });
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
   * Not so while an update runs, and after one that failed between two optimizer steps.
   */
  get isBetweenSteps(): boolean {
    return !this.#updating;
  }

  /**
   * One step: a rollout and the optimizer steps on it.
   *
   * @throws {Error} If a step or an evaluation is running, a verifier fails, or a loss or gradient is not finite; the policy is then as the last good
   * optimizer step left it. Calling it again repeats the step.
   * @param request `signal` ends the rollout early; its reason is thrown, and the step has not taken place.
   */
  async next(request: { signal?: AbortSignal | undefined } = {}): Promise<StepReport> {
    checkNames("Trainer.next", request, ["signal"]);
    return await this.#alone(`step ${this.completedSteps + 1}`, () => this.#step(request));
  }

  /** Rollouts, updates and evaluations use the same memory. */
  async #alone<R>(what: string, run: () => Promise<R>): Promise<R> {
    if (this.#running !== undefined) {
      throw new Error(`This trainer is still running ${this.#running}: wait for it before ${what}`);
    }
    this.#running = what;
    try {
      return await run();
    } finally {
      this.#running = undefined;
    }
  }

  async #step(request: { signal?: AbortSignal | undefined }): Promise<StepReport> {
    const { options, policy } = this;
    const step = this.completedSteps;
    const start = performance.now();
    const before = { ...policy.gpu.counters };
    const { refSyncSteps } = options;
    if (refSyncSteps > 0 && step > 0 && step % refSyncSteps === 0) this.reference?.synchronise();

    const batch = await this.#sampler.next(step, this.nextProblem, request);
    const rolledOut = { ...policy.gpu.counters };
    const updateStart = performance.now();
    const update = await this.#update(batch.used, {
      learningRate: (done) =>
        learningRateAt((step + done) * this.#updater.optimizerStepsPerUpdate, {
          learningRate: options.learningRate,
          warmupSteps: options.warmupSteps,
          lrScheduler: options.lrScheduler,
          totalSteps: options.maxSteps * this.#updater.optimizerStepsPerUpdate,
        }),
      step: step + 1,
    });
    const end = performance.now();
    this.completedSteps = step + 1;
    this.#nextProblem += batch.sampled.problems.length;

    const { sampled } = batch;
    const seconds = (end - start) / 1000;
    const metrics = {
      "training/global_step": this.completedSteps,
      ...batchMetrics(batch, options.dynamicSampling),
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
      warnings: this.#warnings.observe(metrics, sampled.completions),
    };
  }

  async #update(...given: Parameters<Updater["update"]>): Promise<UpdateReport> {
    const { stepCount } = this.optimizer;
    this.#updating = true;
    try {
      const report = await this.#updater.update(...given);
      this.#updating = false;
      return report;
    } catch (error) {
      this.#updating = this.optimizer.stepCount !== stepCount;
      throw error;
    }
  }

  /**
   * Measures the policy on the eval split.
   *
   * @param request `signal` ends it early, its reason is thrown; `onProgress` is told how far it is.
   * @throws {Error} If a step or an evaluation is running, or the verifier fails.
   */
  async evaluate(
    request: Pick<EvaluationOptions, "signal" | "onProgress"> = {},
  ): Promise<Evaluation> {
    checkNames("Trainer.evaluate", request, ["signal", "onProgress"]);
    const { options } = this;
    return await this.#alone("an evaluation", () =>
      evaluate(this.#generator, this.task, {
        prompts: options.evalPrompts,
        numGenerations: options.numGenerationsEval,
        maxCompletionLength: options.maxCompletionLength,
        temperature: options.temperature,
        ...truncationOf(options),
        seed: options.seed,
        ...request,
      }));
  }

  /** Releases the trainer's memory; the policy stays. */
  destroy(): void {
    this.#updater.destroy();
    this.reference?.destroy();
    this.#sampler.destroy();
    this.#generator.destroy();
    this.optimizer.destroy();
    this.#arena.destroy();
  }
}
