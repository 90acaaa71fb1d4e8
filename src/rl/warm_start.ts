/**
 * The warm start: supervised learning of a task's demonstrations, so that reinforcement learning has something to
 * strengthen.
 *
 * It is the learner with advantage 1 for every demonstration and the mean over tokens as aggregation: cross-entropy.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { assembled, memoryOf } from "../gpu/readied.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Policy } from "../model/policy.ts";
import { checkWritten } from "../model/token_ids.ts";
import { AdamW } from "../optim/adamw_optimizer.ts";
import { learningRateAt } from "../optim/schedule.ts";
import { microBatchTokens } from "./fit.ts";
import { Learner } from "./learner.ts";
import { policyLossSettings } from "../objective/policy_loss.ts";
import { drawDemonstration } from "../task/problems.ts";
import type { Task } from "../task/task.ts";

/** Settings of a warm start. */
export interface WarmStartOptions {
  /** Optimizer steps. */
  steps: number;
  /** Demonstrations per step. */
  batchSize: number;
  /** Peak learning rate; after 5 % of warm-up it falls to zero along a cosine. */
  learningRate: number;
  /** Decoupled weight decay. Default 0.01. */
  weightDecay?: number;
  /** Seed of the demonstrations. Default 42. */
  seed?: number;
  /** The most packed tokens per forward and backward pass; memory is taken for a whole batch or for these. Default 8192. */
  maxTokensPerMicroBatch?: number;
  /** Whether each layer's activations are computed again for its backward pass instead of kept. Default `false`. */
  activationCheckpointing?: boolean;
}

/** Packed tokens of a pass unless told otherwise. */
export const MICRO_BATCH = 8192;

// A task's `defaults.warmStart` may be given as it is; `embeddingStd` in it is for `Policy.create`.
const NAMES = namesOf<WarmStartOptions & { embeddingStd: number }>({
  embeddingStd: true,
  steps: true,
  batchSize: true,
  learningRate: true,
  weightDecay: true,
  seed: true,
  maxTokensPerMicroBatch: true,
  activationCheckpointing: true,
});

/** What one step of the warm start did. */
export interface WarmStartReport {
  /** Steps completed, this one included. */
  readonly step: number;
  /** Mean cross-entropy of the demonstrations' completions, nats per token. */
  readonly loss: number;
  /** Global norm of the gradient before clipping. */
  readonly gradNorm: number;
  /** Tokens of prompts and completions. */
  readonly tokens: number;
}

/** Trains a policy on a task's demonstrations. */
export class WarmStart {
  /** Every setting. */
  readonly options: Required<WarmStartOptions>;
  /** Steps done. */
  completedSteps = 0;

  readonly #policy: Policy;
  readonly #task: Task;
  readonly #optimizer: AdamW;
  readonly #learner: Learner;
  readonly #weights: Tensor;
  readonly #owned: readonly Tensor[];

  private constructor(
    policy: Policy,
    task: Task,
    options: Required<WarmStartOptions>,
    parts: { optimizer: AdamW; learner: Learner; weights: Tensor; owned: readonly Tensor[] },
  ) {
    this.#policy = policy;
    this.#task = task;
    this.options = options;
    this.#optimizer = parts.optimizer;
    this.#learner = parts.learner;
    this.#weights = parts.weights;
    this.#owned = parts.owned;
  }

  /**
   * Takes the memory and compiles a step.
   *
   * @param policy The policy; its weights are changed.
   * @param task Whose demonstrations to learn.
   * @throws {RangeError} If a setting is out of range.
   * @throws {TypeError} If there is no such setting.
   */
  static async create(policy: Policy, task: Task, options: WarmStartOptions): Promise<WarmStart> {
    checkNames("WarmStart", options, NAMES);
    const resolved = {
      weightDecay: 0.01,
      seed: 42,
      maxTokensPerMicroBatch: MICRO_BATCH,
      activationCheckpointing: false,
      ...options,
    };
    for (const [name, min] of [["steps", 0], ["batchSize", 1], ["seed", 0]] as const) {
      if (!Number.isInteger(resolved[name]) || resolved[name] < min) {
        throw new RangeError(
          `${name} of the warm start must be an integer >= ${min}: current value is ` +
            `${resolved[name]}`,
        );
      }
    }
    if (!(resolved.learningRate > 0) || !Number.isFinite(resolved.learningRate)) {
      throw new RangeError(
        `learningRate of the warm start must be a number > 0: current value is ${resolved.learningRate}`,
      );
    }
    if (task.demonstration === undefined) {
      throw new RangeError(
        `Task ${task.name} has no demonstrations: begin with a policy that can already do something`,
      );
    }
    const { gpu } = policy;
    const B = resolved.batchSize;
    const longest = task.maxPromptLength + task.maxCompletionLength;
    const wanted = resolved.maxTokensPerMicroBatch;
    const fitting = microBatchTokens(gpu, policy.config, wanted, longest);
    const maxTokens = Math.min(fitting, B * longest);
    const { learningRate, weightDecay } = resolved;
    return await assembled(async (own) => {
      const tensor = (shape: readonly number[], name: string) => {
        const made = gpu.tensor(shape, { name: `warm_start.${name}` });
        own(memoryOf(gpu, made));
        return made;
      };
      const optimizer = own(
        await AdamW.create(gpu, policy.trained, {
          learningRate,
          beta2: 0.99,
          weightDecay,
        }),
      );
      const weights = tensor([B], "weights");
      const advantages = tensor([B], "advantages");
      gpu.write(advantages, new Float32Array(B).fill(1));
      const oldLogProbs = tensor([B, task.maxCompletionLength], "old_log_probs");
      const learner = await Learner.create(policy, { advantages, weights, oldLogProbs }, {
        ...policyLossSettings({ policyLoss: "reinforce" }),
        temperature: 1,
        beta: 0,
        entropyCoef: 0,
      }, { maxTokens, activationCheckpointing: resolved.activationCheckpointing });
      return new WarmStart(policy, task, resolved, {
        optimizer,
        learner,
        weights,
        owned: [weights, advantages, oldLogProbs],
      });
    });
  }

  /**
   * One step on the next demonstrations.
   *
   * @throws {Error} If a demonstration cannot be used, or the loss or the gradient is not finite; the policy is then as the last good step left it.
   */
  async next(): Promise<WarmStartReport> {
    const { batchSize, seed, steps, learningRate } = this.options;
    const { gpu } = this.#policy;
    const step = this.completedSteps;
    const demonstrations = Array.from(
      { length: batchSize },
      (_, b) => drawDemonstration(this.#task, seed, step * batchSize + b),
    );
    for (const [b, { completionIds }] of demonstrations.entries()) {
      const what = `The completion of demonstration ${
        step * batchSize + b
      } of task ${this.#task.name}`;
      checkWritten(this.#policy.config, completionIds, what);
    }
    const groups = demonstrations.map(({ promptIds, completionIds }, sequence) => ({
      prompt: promptIds,
      responses: [{ sequence, tokens: completionIds }],
    }));
    const scored = demonstrations.reduce((n, d) => n + d.completionIds.length, 0);
    const prompts = demonstrations.reduce((n, d) => n + d.promptIds.length, 0);
    gpu.write(this.#weights, new Float32Array(batchSize).fill(1 / scored));
    this.#optimizer.options.learningRate = learningRateAt(step, {
      learningRate,
      warmupSteps: Math.ceil(steps / 20),
      lrScheduler: "cosine",
      totalSteps: steps,
    });
    const { loss, gradNorm } = await this.#learner.step(groups, {
      optimizer: this.#optimizer,
      label: `Warm start step ${step + 1}`,
    });
    this.completedSteps = step + 1;
    return { step: this.completedSteps, loss, gradNorm, tokens: scored + prompts };
  }

  /** Releases the memory of the warm start; the policy stays. */
  destroy(): void {
    this.#learner.destroy();
    this.#optimizer.destroy();
    for (const tensor of this.#owned) this.#policy.gpu.destroyTensor(tensor);
  }
}
