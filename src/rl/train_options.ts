/**
 * Settings of a training run; their bounds and defaults stand in `settings.ts`.
 *
 * Names are those of TRL and verl in camelCase.
 *
 * @module
 */

import type { TruncationOptions } from "../model/truncation.ts";
import type { LoraTargetSet } from "../model/lora_options.ts";
import type { AdvantageEstimator, RewardScale } from "../objective/advantage.ts";
import type { AggregationSettings, LossAggregation } from "../objective/aggregation.ts";
import type { OwnObjective } from "../objective/own_objective.ts";
import type { KlEstimator } from "../objective/kl.ts";
import type { PolicyLossOptions } from "../objective/surrogate.ts";
import type { MomentDType } from "../ops/adamw.ts";
import type { LrScheduler } from "../optim/schedule.ts";

/**
 * A published method. None of them keeps a reference policy: set `beta` for one.
 *
 * - `"grpo"`: z-scored rewards, mean over responses of token means (arXiv 2402.03300).
 * - `"drGrpo"`: centred rewards, constant divisor (arXiv 2503.20783).
 * - `"dapo"`: token mean, clip-higher, dynamic sampling, soft overlong punishment over the last fifth
 *   (arXiv 2503.14476).
 * - `"gspo"`: ratio and clip per response (arXiv 2507.18071).
 * - `"cispo"`: clipped importance weights, token mean (arXiv 2506.13585).
 * - `"deltaL"`: ΔL Normalization as its authors run it, α = 1 (arXiv 2509.07558).
 * - `"dapoDeltaL"`: their combination with DAPO: clip-higher and dynamic sampling, and ΔL in place of the token mean and
 *   of both treatments of overlong responses.
 */
export type Preset = "grpo" | "drGrpo" | "dapo" | "gspo" | "cispo" | "deltaL" | "dapoDeltaL";

/** What is minimised: advantage estimator × surrogate × aggregation, each chosen on its own. */
export interface ObjectiveOptions extends PolicyLossOptions, Partial<AggregationSettings> {
  /** Responses per prompt G. Default 16. */
  numGenerations?: number;
  /** How rewards become advantages. Default `"grpo"`. */
  advantageEstimator?: AdvantageEstimator;
  /** Divisor of the centred rewards. Default: the estimator's own. */
  scaleRewards?: RewardScale;
  /**
   * Rules of one's own in place of `advantageEstimator`, `lossAggregation` or both; on the command line a module that
   * exports them. Default: none.
   */
  objective?: OwnObjective;
  /** How tokens' losses become one number. Default `"deltaL"`. */
  lossAggregation?: LossAggregation;
  /**
   * Coefficient of the divergence from the reference policy, the policy as it was before training; 0 keeps no
   * reference. Default 0.
   */
  beta?: number;
  /** Estimator of that divergence. Default `"k3"`, and `"k1"` with `klInReward`, where it alone has the right gradient. */
  klEstimator?: KlEstimator;
  /** Coefficient of the entropy bonus. Default 0. */
  entropyCoef?: number;
  /** Softmax temperature of sampling and of the log-probabilities in the loss. Default 1. */
  temperature?: number;
}

/** Settings of reinforcement learning. */
export interface TrainOptions extends ObjectiveOptions, TruncationOptions {
  /** A published method: its settings become the defaults of those not given. Default: none. */
  preset?: Preset;
  /** Rollout steps. */
  maxSteps: number;
  /** Step size of AdamW. */
  learningRate: number;
  /** Different prompts per rollout P. Default 32. */
  promptsPerStep?: number;
  /** The most tokens of a response. Default: the task's. */
  maxCompletionLength?: number;
  /** Responses per optimizer step, a multiple of numGenerations, or `"all"`. Default `"all"`. */
  miniBatchSize?: number | "all";
  /** Passes over each rollout. Default 1. */
  numIterations?: number;
  /** Packed tokens per forward and backward pass; bounds memory, does not change the result. Default 8192. */
  maxTokensPerMicroBatch?: number;
  /**
   * How activations wait for the backward pass. `"f16"` halves their memory and costs time; nothing but the gradient's
   * rounding depends on it. Default `"f32"`.
   */
  activationDtype?: "f32" | "f16";
  /**
   * Compute activations again for the backward pass, layer by layer, instead of keeping them: a third more products for
   * memory that hardly depends on the number of layers. Does not change the result. Default false.
   */
  activationCheckpointing?: boolean;
  /**
   * What AdamW keeps its moments in. `"bf16"` halves their memory: they are computed in f32 and rounded up or down by
   * chance, so that small changes are kept on average. Default `"f32"`.
   */
  optimizerDtype?: MomentDType;
  /**
   * Rank of low-rank adapters (LoRA), which are trained in place of the policy's weights; 0 trains the weights. A policy
   * made with `trainable: false` will do, and the reference is the policy without them. Default 0.
   */
  loraRank?: number;
  /** The adapters' product counts `loraAlpha / loraRank` times; 0 for twice the rank. Default 0. */
  loraAlpha?: number;
  /** Which linear layers have adapters; `Policy.addAdapters` takes any list. Default `"all-linear"`. */
  loraTargetModules?: LoraTargetSet;
  /**
   * Take the divergence from the reference off the rewards, `beta` times its sum over a response, instead of adding it
   * to the loss. Default false.
   */
  klInReward?: boolean;
  /**
   * With `klInReward`, take the divergence off the advantages, after the division by a standard deviation and less its
   * mean over the group, instead of off the rewards before it: its weight is then `beta` whatever the rewards' spread.
   * Default false.
   */
  klAfterNormalization?: boolean;
  /** Steps after which the reference becomes the policy of that moment; 0 for never. Default 0. */
  refSyncSteps?: number;
  /**
   * Train on prompts only whose rewards differ, sampling further prompts in place of the others
   * (DAPO, arXiv 2503.14476). Default false.
   */
  dynamicSampling?: boolean;
  /**
   * The most rollouts of `promptsPerStep` prompts in one step of dynamic sampling; after them the step makes do with the
   * prompts it has. Default 10.
   */
  maxGenBatches?: number;
  /**
   * Leave responses that hit the length limit out of the loss, and of the sums and counts of its aggregation. Their
   * rewards still count in their group. Default false.
   */
  maskTruncatedCompletions?: boolean;
  /**
   * Overlong filtering as the published code of arXiv 2509.07558 has it: advantage 0 for responses that fill the length
   * limit, also for those that end there, while they stay in all sums and counts. Default false.
   */
  overlongFiltering?: boolean;
  /**
   * Soft overlong punishment (DAPO): the last so many tokens before the limit lower the reward linearly; 0 for none.
   * Default 0.
   */
  softOverlongBuffer?: number;
  /** What it takes off the reward of a response that fills the limit. Default 1. */
  softOverlongPenalty?: number;
  /** Decoupled weight decay. Default 0. */
  weightDecay?: number;
  /** Decay of AdamW's first moment. Default 0.9. */
  adamBeta1?: number;
  /** Decay of AdamW's second moment. Default 0.999. */
  adamBeta2?: number;
  /** Gradients are clipped to this global norm; 0 turns it off. Default 1. */
  maxGradNorm?: number;
  /** Optimizer steps of linear warm-up. Default 0. */
  warmupSteps?: number;
  /** Shape of the learning rate after warm-up. Default `"constant"`. */
  lrScheduler?: LrScheduler;
  /** Seed of prompts and sampling, from 0 to 2^32 - 1. Default 42. */
  seed?: number;
  /**
   * Steps between evaluations while training; 0 for none. `train()` evaluates after the last step too, unless it is 0; the
   * command of that name before the first and after the last in any case. Default 0.
   */
  evalSteps?: number;
  /** Prompts of an evaluation. Default 128. */
  evalPrompts?: number;
  /** Samples per prompt of an evaluation. Default 8. */
  numGenerationsEval?: number;
}

/** Settings with every default filled in; what the others leave without effect has its neutral value. */
export type ResolvedTrainOptions =
  & Required<Omit<TrainOptions, "preset" | "objective" | keyof TruncationOptions>>
  & Readonly<Record<keyof TruncationOptions, number>>
  & Pick<TrainOptions, "preset" | "objective">;

/** The objective with every default filled in. */
export type ResolvedObjective =
  & Required<Omit<ObjectiveOptions, "numGenerations" | "objective">>
  & Pick<ObjectiveOptions, "objective">;
