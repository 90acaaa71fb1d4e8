/**
 * Settings of a training run, with their defaults and checks.
 *
 * Names are those of TRL and verl in camelCase.
 *
 * @module
 */

import { STORED_DTYPES, type StoredDType } from "../model/parameters.ts";
import type { LrScheduler } from "../optim/schedule.ts";
import { type AdvantageEstimator, ADVANTAGES, type RewardScale } from "../objective/advantage.ts";
import {
  AGGREGATIONS,
  LOSS_SCOPES,
  type LossAggregation,
  type LossScope,
} from "../objective/aggregation.ts";
import { KL_ESTIMATORS, type KlEstimator } from "../objective/kl.ts";
import { policyLossSettings } from "../objective/policy_loss.ts";
import { type PolicyLoss, SURROGATES } from "../objective/surrogate.ts";
import { type Preset, presetOptions, PRESETS } from "./presets.ts";

/** What is minimised: advantage estimator × surrogate × aggregation, each chosen on its own. */
export interface ObjectiveOptions {
  /** Responses per prompt G. Default 16. */
  numGenerations?: number;
  /** How rewards become advantages. Default `"grpo"`. */
  advantageEstimator?: AdvantageEstimator;
  /** Divisor of the centred rewards. Default: the estimator's own. */
  scaleRewards?: RewardScale;
  /** The surrogate. Default `"ppo"`. */
  policyLoss?: PolicyLoss;
  /** Lower clip bound. Default: the surrogate's own. */
  epsilon?: number;
  /** Upper clip bound. Default: the surrogate's own. */
  epsilonHigh?: number;
  /** Dual-clip bound for negative advantages; 0 turns it off. Default: the surrogate's own. */
  dualClip?: number;
  /** How tokens' losses become one number. Default `"deltaL"`. */
  lossAggregation?: LossAggregation;
  /** Exponent α of `"deltaL"`. Default 1. */
  lossAlpha?: number;
  /** The constant M of `"deltaL"` and `"drGrpo"`. Default: `maxCompletionLength`. */
  lossScaleFactor?: number;
  /** The responses `"deltaL"` normalises over. Default `"batch"`. */
  lossScope?: LossScope;
  /** Responses per micro-batch of `"dapoMicroBatch"`; nothing else depends on it. Default 4. */
  lossMicroBatchSize?: number;
  /** Exponent λ of `"lambdaGrpo"`: above 0 it prefers long responses, at 0 it is `"dapo"`. Default 1. */
  lossLambda?: number;
  /** r of `"lambdaGrpo"`, the departure of h from 1 per standard deviation of the length. Default 0.1. */
  lossLambdaSpread?: number;
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
export interface TrainOptions extends ObjectiveOptions {
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
  activationDtype?: StoredDType;
  /**
   * Compute activations again for the backward pass, layer by layer, instead of keeping them: a third more products for
   * memory that hardly depends on the number of layers. Does not change the result. Default false.
   */
  activationCheckpointing?: boolean;
  /**
   * Take the divergence from the reference off the rewards, `beta` times its sum over a response, instead of adding it
   * to the loss. Default false.
   */
  klInReward?: boolean;
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
  /** Evaluate every so many steps; 0 only before and after. Default 0. */
  evalSteps?: number;
  /** Prompts of an evaluation. Default 128. */
  evalPrompts?: number;
  /** Samples per prompt of an evaluation. Default 8. */
  numGenerationsEval?: number;
}

/** Settings whose default depends on the estimator or the surrogate; `undefined` leaves it to them. */
export type OwnDefaults = "scaleRewards" | "epsilon" | "epsilonHigh" | "dualClip";

/** Settings with every default filled in. */
export type ResolvedTrainOptions =
  & Required<Omit<TrainOptions, OwnDefaults | "preset">>
  & Pick<TrainOptions, OwnDefaults | "preset">;

/** A rule for one numeric setting. */
export interface NumberRule {
  /** Smallest value. */
  readonly min: number;
  /** Largest value. */
  readonly max: number;
  /** Whether it must be an integer. */
  readonly integer: boolean;
}

const count = (min: number, max: number): NumberRule => ({ min, max, integer: true });
const real = (min: number, max: number): NumberRule => ({ min, max, integer: false });

/** Allowed range of every numeric setting, also used for the command line. */
export const NUMBER_RULES: Readonly<Record<string, NumberRule>> = {
  maxSteps: count(0, 1e7),
  promptsPerStep: count(1, 65536),
  numGenerations: count(1, 4096),
  maxCompletionLength: count(1, 1e6),
  numIterations: count(1, 100),
  maxTokensPerMicroBatch: count(16, 2 ** 24),
  learningRate: real(0, 1),
  weightDecay: real(0, 10),
  adamBeta1: real(0, 0.999999),
  adamBeta2: real(0, 0.9999999),
  maxGradNorm: real(0, 1e9),
  warmupSteps: count(0, 1e7),
  seed: count(0, 2 ** 32 - 1),
  evalSteps: count(0, 1e7),
  evalPrompts: count(1, 1e6),
  numGenerationsEval: count(1, 4096),
  lossAlpha: real(0, 16),
  lossScaleFactor: real(1e-6, 1e9),
  lossMicroBatchSize: count(1, 65536),
  lossLambda: real(-100, 100),
  lossLambdaSpread: real(0, 1),
  refSyncSteps: count(0, 1e7),
  maxGenBatches: count(1, 1000),
  softOverlongBuffer: count(0, 1e6),
  softOverlongPenalty: real(0, 1e3),
  beta: real(0, 1e3),
  entropyCoef: real(-1e3, 1e3),
  temperature: real(1e-3, 1e3),
  epsilon: real(0, 1e3),
  epsilonHigh: real(0, 1e3),
  dualClip: real(0, 1e3),
};

/** Allowed values of every setting that is a word. */
export const CHOICES: Readonly<Record<string, readonly string[]>> = {
  preset: PRESETS,
  advantageEstimator: Object.keys(ADVANTAGES),
  scaleRewards: ["group", "batch", "none"],
  policyLoss: Object.keys(SURROGATES),
  lossAggregation: Object.keys(AGGREGATIONS),
  lossScope: Object.keys(LOSS_SCOPES),
  klEstimator: Object.keys(KL_ESTIMATORS),
  lrScheduler: ["constant", "cosine"],
  activationDtype: STORED_DTYPES,
};

/** Every setting that is on or off. */
export const SWITCHES: readonly string[] = [
  "activationCheckpointing",
  "klInReward",
  "dynamicSampling",
  "maskTruncatedCompletions",
  "overlongFiltering",
];

/** The objective with every default filled in. */
export type ResolvedObjective =
  & Required<Omit<ObjectiveOptions, OwnDefaults | "numGenerations">>
  & Pick<ObjectiveOptions, OwnDefaults>;

/**
 * Fills in the defaults of an objective and checks every value.
 *
 * @param options What the caller chose; settings of training among them are left out.
 * @param maxCompletionLength The default of `lossScaleFactor`.
 * @throws {RangeError} For a value out of range.
 */
export function resolveObjective(
  options: ObjectiveOptions,
  maxCompletionLength: number,
): ResolvedObjective {
  const defaults: ResolvedObjective = {
    advantageEstimator: "grpo",
    policyLoss: "ppo",
    lossAggregation: "deltaL",
    lossAlpha: 1,
    lossScaleFactor: maxCompletionLength,
    lossScope: "batch",
    lossMicroBatchSize: 4,
    lossLambda: 1,
    lossLambdaSpread: 0.1,
    beta: 0,
    klEstimator: "k3",
    entropyCoef: 0,
    temperature: 1,
  };
  const own: readonly OwnDefaults[] = ["scaleRewards", "epsilon", "epsilonHigh", "dualClip"];
  const given = Object.entries(options).filter(([name, value]) =>
    value !== undefined && (name in defaults || (own as readonly string[]).includes(name))
  );
  const resolved: ResolvedObjective = { ...defaults, ...Object.fromEntries(given) };
  for (const [name, value] of Object.entries(resolved)) checkSetting(name, value);
  policyLossSettings(resolved);
  return resolved;
}

/**
 * Fills in defaults and checks every value.
 *
 * @param options What the caller chose.
 * @param taskMaxCompletionLength Length limit of the task.
 * @throws {RangeError} For a value out of range or settings that do not go together; the message names the setting, its
 * value and what is allowed.
 * @throws {TypeError} For a setting that does not exist.
 */
export function resolveTrainOptions(
  options: TrainOptions,
  taskMaxCompletionLength: number,
): ResolvedTrainOptions {
  const chosen = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as TrainOptions;
  const maxCompletionLength = chosen.maxCompletionLength ?? taskMaxCompletionLength;
  if (chosen.preset !== undefined) checkSetting("preset", chosen.preset);
  const given: TrainOptions = {
    ...(chosen.klInReward ? { klEstimator: "k1" } : {}),
    ...presetOptions(chosen.preset, maxCompletionLength),
    ...chosen,
  };
  const resolved: ResolvedTrainOptions = {
    promptsPerStep: 32,
    numGenerations: 16,
    maxCompletionLength,
    miniBatchSize: "all",
    numIterations: 1,
    maxTokensPerMicroBatch: 8192,
    activationDtype: "f32",
    activationCheckpointing: false,
    klInReward: false,
    refSyncSteps: 0,
    dynamicSampling: false,
    maxGenBatches: 10,
    maskTruncatedCompletions: false,
    overlongFiltering: false,
    softOverlongBuffer: 0,
    softOverlongPenalty: 1,
    weightDecay: 0,
    adamBeta1: 0.9,
    adamBeta2: 0.999,
    maxGradNorm: 1,
    warmupSteps: 0,
    lrScheduler: "constant",
    seed: 42,
    evalSteps: 0,
    evalPrompts: 128,
    numGenerationsEval: 8,
    ...resolveObjective(given, maxCompletionLength),
    ...given,
  };
  for (const [name, value] of Object.entries(resolved)) checkSetting(name, value);
  checkTogether(resolved);
  return resolved;
}

/** Checks what one setting demands of another. */
function checkTogether(options: ResolvedTrainOptions): void {
  const { miniBatchSize, numGenerations, promptsPerStep, beta, maxCompletionLength } = options;
  if (
    miniBatchSize !== "all" &&
    (!Number.isInteger(miniBatchSize) || miniBatchSize < 1 || miniBatchSize % numGenerations !== 0)
  ) {
    throw new RangeError(
      `miniBatchSize must be "all" or a multiple of numGenerations = ${numGenerations}: current value is ${miniBatchSize}`,
    );
  }
  if (miniBatchSize !== "all" && miniBatchSize > promptsPerStep * numGenerations) {
    throw new RangeError(
      `miniBatchSize must not exceed promptsPerStep * numGenerations = ${
        promptsPerStep * numGenerations
      }: current value is ${miniBatchSize}`,
    );
  }
  if (beta === 0 && (options.klInReward || options.refSyncSteps > 0)) {
    throw new RangeError(
      `${
        options.klInReward ? "klInReward" : "refSyncSteps"
      } needs a reference policy, and beta is 0: ` +
        "give beta > 0, 0.001 to 0.1 are usual",
    );
  }
  if (options.softOverlongBuffer >= maxCompletionLength) {
    throw new RangeError(
      `softOverlongBuffer must be less than maxCompletionLength = ${maxCompletionLength}: ` +
        `current value is ${options.softOverlongBuffer}`,
    );
  }
}

/** Checks one setting against {@linkcode NUMBER_RULES}, {@linkcode CHOICES} and {@linkcode SWITCHES}. */
function checkSetting(name: string, value: unknown): void {
  const rule = NUMBER_RULES[name];
  if (rule) {
    const ok = typeof value === "number" && value >= rule.min && value <= rule.max &&
      (!rule.integer || Number.isInteger(value));
    if (!ok) {
      throw new RangeError(
        `${name} must be ${
          rule.integer ? "an integer" : "a number"
        } from ${rule.min} to ${rule.max}: current value is ${value}`,
      );
    }
    return;
  }
  const choices = CHOICES[name];
  if (choices) {
    if (!choices.includes(value as string)) {
      throw new RangeError(
        `${name} must be one of ${choices.join(", ")}: current value is ${value}`,
      );
    }
    return;
  }
  if (SWITCHES.includes(name)) {
    if (typeof value !== "boolean") {
      throw new RangeError(`${name} must be true or false: current value is ${value}`);
    }
    return;
  }
  if (name !== "miniBatchSize") {
    throw new TypeError(`There is no setting ${name}`);
  }
}
