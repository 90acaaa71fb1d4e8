/**
 * Every setting of training in one table: its bounds or choices, its default, what it is for, and the names other
 * trainers have for it. Checks, flags and help follow from it.
 *
 * @module
 */

import { nearest } from "../input/names.ts";
import { ADVANTAGES, REWARD_SCALES } from "../objective/advantage.ts";
import { AGGREGATIONS, LOSS_SCOPES } from "../objective/aggregation.ts";
import { KL_ESTIMATORS } from "../objective/kl.ts";
import { AGGREGATION_DEFAULTS } from "../objective/loss_weights.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import { LR_SCHEDULERS } from "../optim/schedule.ts";
import { LORA_SETTINGS } from "./lora_settings.ts";
import { MEMORY_SETTINGS } from "./memory_settings.ts";
import { PRESETS } from "./presets.ts";
import { SAMPLING_SETTINGS } from "./sampling_settings.ts";
import {
  allowed,
  type MiniBatchSetting,
  type OwnSetting,
  section,
  type Setting,
} from "./setting_kinds.ts";
import type { ResolvedTrainOptions, TrainOptions } from "./train_options.ts";

const run = section("run");
const objective = section("objective");
const reference = section("reference");
const rollouts = section("rollouts");
const overlong = section("overlong");
const optimizer = section("optimizer");
const evaluation = section("evaluation");

const ofTask = { shown: "the task's" };
const bySurrogate = { by: "the surrogate's" };
const HAS_REFERENCE = ["beta > 0", ({ beta }: ResolvedTrainOptions) => beta > 0] as const;

/** Every setting. */
export const SETTINGS = {
  maxSteps: run.count(0, 1e7, { by: "the task's" }, "Rollout steps.", {
    aliases: ["steps", "totalTrainingSteps", "numSteps", "iterations"],
  }),
  seed: run.count(0, 2 ** 32 - 1, 42, "Seed of weights, prompts and sampling."),
  preset: objective.choice(
    PRESETS,
    { by: "none" },
    "A published method; its settings are the defaults of the others.",
  ),
  lossAggregation: objective.choice(
    AGGREGATIONS,
    "deltaL",
    "How tokens' losses become one number.",
    { aliases: ["lossAggMode", "lossType", "lossReduction"] },
  ),
  lossAlpha: objective.real(
    0,
    16,
    AGGREGATION_DEFAULTS.lossAlpha,
    "Exponent of delta-l: 0 is dr-grpo, 1 has the least variance.",
    { aliases: ["alpha"] },
  ),
  lossScaleFactor: objective.real(
    1e-6,
    1e9,
    { by: "--max-completion-length" },
    "The constant M of delta-l and dr-grpo.",
  ),
  lossScope: objective.choice(
    LOSS_SCOPES,
    AGGREGATION_DEFAULTS.lossScope,
    "Responses that delta-l normalises over.",
  ),
  lossMicroBatchSize: objective.count(
    1,
    65536,
    AGGREGATION_DEFAULTS.lossMicroBatchSize,
    "Responses per micro-batch of dapo-micro-batch.",
  ),
  lossLambda: objective.real(
    -100,
    100,
    AGGREGATION_DEFAULTS.lossLambda,
    "Exponent of lambda-grpo: 0 is dapo, above 0 prefers length.",
    { aliases: ["lambda"] },
  ),
  lossLambdaSpread: objective.real(
    0,
    1,
    AGGREGATION_DEFAULTS.lossLambdaSpread,
    "How strongly lambda-grpo tells lengths apart.",
  ),
  advantageEstimator: objective.choice(ADVANTAGES, "grpo", "How rewards become advantages.", {
    aliases: ["advEstimator"],
  }),
  scaleRewards: objective.choice(
    REWARD_SCALES,
    { by: "the estimator's" },
    "Divisor of the centred rewards.",
    { aliases: ["normAdvByStdInGrpo"] },
  ),
  objective: {
    kind: "own",
    section: "objective",
    default: { by: "none" },
    help: "A module that exports advantages, weights or a surrogate, in place of these rules.",
    aliases: ["customPgLossReducerFunctionPath", "customLoss"],
  } as OwnSetting,
  policyLoss: objective.choice(SURROGATES, "ppo", "The surrogate.", {
    aliases: ["lossMode", "policyLossType", "importanceSamplingLevel"],
  }),
  epsilon: objective.real(0, 1e3, bySurrogate, "Lower clip bound.", {
    aliases: ["clipRatio", "clipRatioLow", "epsClip", "epsilonLow", "cliprange"],
  }),
  epsilonHigh: objective.real(0, 1e3, bySurrogate, "Upper clip bound.", {
    aliases: ["clipRatioHigh", "epsClipHigh"],
  }),
  dualClip: objective.real(0, 1e3, bySurrogate, "Bound for negative advantages; 0 for none.", {
    aliases: ["clipRatioC", "delta"],
  }),
  sapoTemperaturePos: objective.real(
    1e-6,
    1e3,
    SURROGATES.sapo.defaults.sapoTemperaturePos!,
    "Temperature of sapo where the advantage is positive.",
  ),
  sapoTemperatureNeg: objective.real(
    1e-6,
    1e3,
    SURROGATES.sapo.defaults.sapoTemperatureNeg!,
    "Temperature of sapo elsewhere.",
  ),
  entropyCoef: objective.real(-1e3, 1e3, 0, "Coefficient of the entropy bonus.", {
    aliases: ["entropyCoeff", "entropyLossCoef"],
  }),
  beta: reference.real(0, 1e3, 0, "Weight of the divergence from the first policy; 0 for none.", {
    aliases: ["klCoef", "klCoeff", "klLossCoef", "klBeta", "initKlCoef"],
  }),
  klEstimator: reference.choice(
    KL_ESTIMATORS,
    { by: "k3, in rewards k1" },
    "Its estimator.",
    { aliases: ["klLossType", "klPenalty", "klType"], needs: HAS_REFERENCE },
  ),
  klInReward: reference.toggle("Take it off the rewards instead of adding it to the loss.", {
    aliases: ["useKlInReward"],
  }),
  klAfterNormalization: reference.toggle(
    "Take it off the advantages, after rewards were divided by their deviation.",
    { needs: ["klInReward", ({ klInReward }) => klInReward] },
  ),
  refSyncSteps: reference.count(0, 1e7, 0, "Steps between renewals of the reference; 0 for none.", {
    aliases: ["refModelSyncSteps", "refUpdateInterval"],
  }),
  promptsPerStep: rollouts.count(1, 65536, 32, "Different prompts per step.", {
    ...ofTask,
    aliases: ["batchSize", "trainBatchSize", "perDeviceTrainBatchSize", "generationBatchSize"],
  }),
  numGenerations: rollouts.count(1, 4096, 16, "Responses per prompt.", {
    ...ofTask,
    aliases: ["n", "groupSize", "rolloutN", "numSamples", "samplesPerPrompt"],
  }),
  ...SAMPLING_SETTINGS,
  maxCompletionLength: overlong.count(
    1,
    1e6,
    { by: "the task's" },
    "The most tokens of a response.",
    { aliases: ["maxResponseLength", "maxNewTokens", "maxTokens", "maxLength"] },
  ),
  maskTruncatedCompletions: overlong.toggle(
    "Leave responses cut off by the limit out of the loss.",
    { aliases: ["overlongFilter"] },
  ),
  overlongFiltering: overlong.toggle("Give responses that fill the limit advantage 0.", {
    aliases: ["filterOverlongResponse"],
  }),
  softOverlongBuffer: overlong.count(
    0,
    1e6,
    0,
    "Last tokens before the limit that lower the reward; 0 for none.",
    { aliases: ["overlongBuffer", "overlongBufferLen", "softPunishCache"] },
  ),
  softOverlongPenalty: overlong.real(0, 1e3, 1, "What they take off it in all.", {
    aliases: ["overlongPenaltyFactor", "penaltyFactor"],
    needs: ["softOverlongBuffer > 0", ({ softOverlongBuffer }) => softOverlongBuffer > 0],
  }),
  learningRate: optimizer.real(0, 1, { by: "the task's" }, "Step size of AdamW.", {
    aliases: ["lr"],
  }),
  lrScheduler: optimizer.choice(LR_SCHEDULERS, "constant", "Learning rate after warm-up.", {
    aliases: ["lrSchedulerType", "lrSchedule", "scheduler", "warmupStyle"],
  }),
  warmupSteps: optimizer.count(0, 1e7, 0, "Optimizer steps of linear warm-up.", {
    aliases: ["lrWarmupSteps", "numWarmupSteps"],
  }),
  weightDecay: optimizer.real(0, 10, 0, "Decoupled weight decay.", { aliases: ["wd"] }),
  adamBeta1: optimizer.real(0, 0.999999, 0.9, "Decay of the first moment.", { aliases: ["beta1"] }),
  adamBeta2: optimizer.real(0, 0.9999999, 0.999, "Decay of the second moment.", {
    aliases: ["beta2"],
  }),
  maxGradNorm: optimizer.real(0, 1e9, 1, "Clip gradients to this norm; 0 for never.", {
    aliases: ["gradClip", "clipGrad", "gradientClipping", "maxNorm"],
  }),
  miniBatchSize: {
    kind: "miniBatch",
    section: "optimizer",
    default: "all",
    help: "Responses per optimizer step.",
    aliases: ["ppoMiniBatchSize"],
  } as MiniBatchSetting,
  numIterations: optimizer.count(1, 100, 1, "Passes over each rollout.", {
    aliases: ["ppoEpochs", "mu", "updateEpochs", "numPpoEpochs"],
  }),
  ...MEMORY_SETTINGS,
  ...LORA_SETTINGS,
  evalSteps: evaluation.count(
    0,
    1e7,
    0,
    "Steps between evaluations while training, besides those before and after; 0 for none.",
    { aliases: ["testFreq", "evalInterval", "valPeriod"] },
  ),
  evalPrompts: evaluation.count(1, 1e6, 128, "Held-out prompts of an evaluation.", {
    aliases: ["evalBatchSize", "numEvalPrompts", "valBatchSize"],
  }),
  numGenerationsEval: evaluation.count(1, 4096, 8, "Samples per prompt of an evaluation.", {
    aliases: ["valN", "evalNumGenerations"],
  }),
} satisfies Readonly<Record<keyof TrainOptions, Setting>>;

/** A setting by name. */
export function settingOf(name: string): Setting {
  if (!Object.hasOwn(SETTINGS, name)) {
    const near = nearestSetting(name);
    throw new TypeError(`There is no setting ${name}${near ? `: did you mean ${near}?` : ""}`);
  }
  return SETTINGS[name as keyof typeof SETTINGS];
}

/** The setting that a name which is none may have meant: what another trainer calls so, or one spelt alike. */
export function nearestSetting(name: string): keyof TrainOptions | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_.]/g, "");
  const settings = Object.entries<Setting>(SETTINGS);
  const same = settings.find(([own, { aliases = [] }]) =>
    [own, ...aliases].some((known) => plain(known) === plain(name))
  );
  return (same?.[0] ?? nearest(name, settings.map(([own]) => own))) as
    | keyof TrainOptions
    | undefined;
}

/**
 * Checks one setting.
 *
 * @throws {RangeError} For a value out of range; the message says what is allowed.
 * @throws {TypeError} For a setting that does not exist.
 */
export function checkSetting(name: string, value: unknown): void {
  const setting = settingOf(name);
  const [valid, what] = allowed(setting, value);
  if (!valid) throw new RangeError(`${name} must be ${what}: current value is ${value}`);
}
