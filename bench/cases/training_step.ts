/**
 * One optimizer step, ready to be repeated: forward, policy loss, backward, clip and AdamW, in one submit.
 *
 * @module
 */

import { Random } from "../../src/random/random.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { groupCost, type PromptGroup } from "../../src/model/packing.ts";
import { Policy } from "../../src/model/policy.ts";
import { AdamW } from "../../src/optim/adamw_optimizer.ts";
import { Learner } from "../../src/rl/learner.ts";
import type { LearnerReport } from "../../src/rl/learner_parts.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { policyLossSettings } from "../../src/objective/policy_loss.ts";
import type { BenchPolicy } from "./policies.ts";
import { tokenIds } from "./random.ts";

/** The batch of a step. */
export interface StepBatch {
  /** Tokens of each prompt. */
  readonly promptLength: number;
  /** Responses to each prompt; they stand side by side in `lengths`. */
  readonly numGenerations: number;
  /** Tokens of each response. */
  readonly lengths: readonly number[];
  /** Packed tokens per forward and backward pass. Default: all. */
  readonly maxTokensPerMicroBatch?: number;
}

/** A policy, a batch and an optimizer. */
export class TrainingStep {
  /** Packed tokens the step runs over. */
  readonly tokens: number;
  /** Response tokens in the loss. */
  readonly usefulTokens: number;
  /** The policy that is trained. */
  readonly policy: Policy;
  readonly #groups: readonly PromptGroup[];
  readonly #learner: Learner;
  readonly #optimizer: AdamW;
  #running: Promise<LearnerReport> | undefined;
  readonly #tensors: readonly Tensor[];

  private constructor(
    policy: Policy,
    groups: readonly PromptGroup[],
    parts: { learner: Learner; optimizer: AdamW; tensors: readonly Tensor[] },
  ) {
    this.policy = policy;
    this.#groups = groups;
    this.#learner = parts.learner;
    this.#optimizer = parts.optimizer;
    this.#tensors = parts.tensors;
    this.tokens = groups.reduce((n, group) => n + groupCost(group) - group.responses.length, 0);
    this.usefulTokens = groups.reduce(
      (n, { responses }) => n + responses.reduce((m, { tokens }) => m + tokens.length, 0),
      0,
    );
  }

  /**
   * Compiles everything a step needs.
   *
   * @param gpu The device.
   * @param shape The policy; its weights are random.
   * @param batch The batch; its tokens are random.
   * @param how Ways to save memory.
   */
  static async create(
    gpu: Gpu,
    shape: BenchPolicy,
    batch: StepBatch,
    how: Pick<TrainOptions, "activationCheckpointing" | "loraRank" | "optimizerDtype"> = {},
  ): Promise<TrainingStep> {
    const { activationCheckpointing = false, loraRank = 0, optimizerDtype = "f32" } = how;
    const policy = Policy.create(gpu, shape.config, {
      dtype: shape.dtype ?? "f32",
      trainable: loraRank === 0,
    });
    if (loraRank > 0) policy.addAdapters({ rank: loraRank });
    const random = new Random(1);
    const V = policy.config.vocabSize;
    const B = batch.lengths.length;
    const groups: PromptGroup[] = [];
    for (let first = 0; first < B; first += batch.numGenerations) {
      groups.push({
        prompt: tokenIds(random, batch.promptLength, V),
        responses: batch.lengths.slice(first, first + batch.numGenerations).map((length, g) => ({
          sequence: first + g,
          tokens: tokenIds(random, length, V),
        })),
      });
    }
    const total = groups.reduce((n, group) => n + groupCost(group), 0);
    const longest = Math.max(...batch.lengths);
    const scored = batch.lengths.reduce((n, length) => n + length, 0);
    const advantages = gpu.tensor([B], {
      data: Float32Array.from({ length: B }, (_, b) => b % 2 === 0 ? 1 : -1),
      name: "advantages",
    });
    const weights = gpu.tensor([B], {
      data: new Float32Array(B).fill(1 / scored),
      name: "weights",
    });
    const oldLogProbs = gpu.tensor([B, longest], {
      data: new Float32Array(B * longest).fill(-Math.log(V)),
      name: "old_log_probs",
    });
    const learner = await Learner.create(policy, { advantages, weights, oldLogProbs }, {
      ...policyLossSettings({ policyLoss: "ppo" }),
      temperature: 1,
      beta: 0,
      entropyCoef: 0,
    }, { maxTokens: batch.maxTokensPerMicroBatch ?? total, activationCheckpointing });
    const optimizer = await AdamW.create(gpu, policy.trained, {
      learningRate: 1e-4,
      dtype: optimizerDtype,
    });
    return new TrainingStep(policy, groups, {
      learner,
      optimizer,
      tensors: [advantages, weights, oldLogProbs],
    });
  }

  /** Uploads the batch and submits the step; `wait` for it. */
  run(): void {
    this.#running = this.#learner.step(this.#groups, { optimizer: this.#optimizer });
  }

  /**
   * Waits for the step and reads its statistics.
   *
   * @returns The loss' statistics and the norm of the gradient.
   * @throws {Error} If nothing runs, or the gradient is not finite: a figure of broken work is worth nothing.
   */
  async wait(): Promise<LearnerReport> {
    if (!this.#running) throw new Error("Call run() first");
    return await this.#running;
  }

  /** Releases the memory. */
  destroy(): void {
    this.#learner.destroy();
    this.#optimizer.destroy();
    for (const tensor of this.#tensors) this.policy.gpu.destroyBuffer(tensor.storage.buffer);
    this.policy.destroy();
  }
}

/**
 * Floating-point operations of a step's matrix products and attention: forward, and twice that backward.
 *
 * @param policy The policy.
 * @param tokens Packed tokens.
 * @param attended Keys a token attends to, on average.
 */
export function stepFlops(policy: Policy, tokens: number, attended: number): number {
  const { config } = policy;
  const { hiddenSize: C, intermediateSize: F, headDim: D, numHiddenLayers, vocabSize } = config;
  const heads = config.numAttentionHeads * D;
  const keys = config.numKeyValueHeads * D;
  const perLayer = C * (heads + 2 * keys) + heads * C + 3 * C * F + 2 * attended * heads;
  return 3 * 2 * tokens * (numHiddenLayers * perLayer + C * vocabSize);
}
