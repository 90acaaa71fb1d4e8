/**
 * The flags of `train`: every setting of the library under its own name, and the run's own.
 *
 * @module
 */

import { STORED_DTYPES, type StoredDType } from "../model/parameters.ts";
import { parseLossAggregation } from "../objective/loss_weights.ts";
import {
  CHOICES,
  NUMBER_RULES,
  type ResolvedTrainOptions,
  resolveTrainOptions,
  type TrainOptions,
} from "../rl/train_options.ts";
import {
  choiceFlag,
  type Flag,
  type Flags,
  kebab,
  numberFlag,
  switchFlag,
  textFlag,
} from "./args.ts";
import { CHECKPOINT_FLAGS } from "./checkpoint_flags.ts";
import { DATASET_FLAGS } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { TUNED_FLAG } from "./gpu.ts";
import { PROFILE_FLAG } from "./gpu_profile.ts";
import type { FlagSection } from "./help.ts";
import { REPORT_TO_FLAG } from "./trackers.ts";

/** The library's defaults; what depends on the task is said in words. */
const DEFAULTS: ResolvedTrainOptions = resolveTrainOptions({ maxSteps: 0, learningRate: 0 }, 1);

const ofTask = "the task's";
const ofSurrogate = "the surrogate's";

/** A flag for a number that the library checks. */
function setting(
  name: keyof TrainOptions,
  help: string,
  standard: string | number = DEFAULTS[name] as number,
): Flag<number> {
  return numberFlag(NUMBER_RULES[name]!, help, standard);
}

/** A flag for a word that the library checks. */
function choice<K extends keyof TrainOptions>(
  name: K,
  help: string,
  standard: string | undefined = DEFAULTS[name] as string | undefined,
): Flag<NonNullable<TrainOptions[K]>> {
  type Value = NonNullable<TrainOptions[K]>;
  return choiceFlag(CHOICES[name]! as readonly string[], help, standard) as Flag<Value>;
}

const lossAggregation = {
  ...choice("lossAggregation", "How tokens' losses become one number."),
  parse(text: string): NonNullable<TrainOptions["lossAggregation"]> {
    try {
      return parseLossAggregation(text);
    } catch {
      throw new RangeError(`give one of ${CHOICES.lossAggregation!.map(kebab).join(", ")}`);
    }
  },
};

const miniBatchSize: Flag<number | "all"> = {
  parse(text: string): number | "all" {
    if (text === "all") return text;
    if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
    throw new RangeError(`give "all" or a multiple of --num-generations`);
  },
  placeholder: "n|all",
  help: "Responses per optimizer step.",
  default: DEFAULTS.miniBatchSize,
};

/** Flags that choose the task and the run's place. */
export const RUN_FLAGS = {
  task: taskFlag("What to learn.", "parity"),
  maxSteps: setting("maxSteps", "Rollout steps.", ofTask),
  seed: setting("seed", "Seed of weights, prompts and sampling."),
  out: textFlag("dir", "Folder of the run.", "runs/<task>-<number>"),
  ...CHECKPOINT_FLAGS,
  logCompletions: numberFlag(
    { min: 0, max: 1e6, integer: true },
    "Completions kept of each step in completions.jsonl, as many of each prompt.",
    32,
  ),
  resume: {
    ...textFlag("dir|latest", "Go on from the checkpoint of a run; alone: of the latest one."),
    alone: "latest",
  },
  serve: {
    ...numberFlag(
      { min: 0, max: 65535, integer: true },
      "Show the run on a live page at this port, to this machine only; alone: at 8000.",
    ),
    placeholder: "port",
    alone: 8000,
  },
  reportTo: REPORT_TO_FLAG,
  profile: PROFILE_FLAG,
  tuned: TUNED_FLAG,
  report: {
    ...switchFlag("Write report.html at the end; --no-report for none."),
    default: "on",
  },
  quiet: switchFlag("Print no progress, only the summary."),
  verbose: switchFlag("Print where in the code an error arose."),
};

/** Flags of the warm start. */
export const WARM_START_FLAGS = {
  warmStartSteps: numberFlag(
    { min: 0, max: 1e7, integer: true },
    "Optimizer steps of the warm start; 0 for none.",
    ofTask,
  ),
  warmStartBatchSize: numberFlag(
    { min: 1, max: 65536, integer: true },
    "Demonstrations per step of the warm start.",
    ofTask,
  ),
  warmStartLearningRate: numberFlag(
    { min: 1e-12, max: 1, integer: false },
    "Peak learning rate of the warm start.",
    ofTask,
  ),
};

const size = (help: string, standard = ofTask) =>
  numberFlag({ min: 1, max: 2 ** 18, integer: true }, help, standard);

/** Flags of the policy's shape. */
export const SIZE_FLAGS = {
  hiddenSize: size("Width of the policy."),
  numHiddenLayers: size("Its layers."),
  numAttentionHeads: size("Its query heads."),
  numKeyValueHeads: size("Its key and value heads."),
  headDim: size("Width of a head.", "--hidden-size / --num-attention-heads"),
  intermediateSize: size("Width of its feed-forward."),
  tieWordEmbeddings: {
    ...switchFlag("Embed tokens with the output head; --no-tie-word-embeddings for one each."),
    default: "the task's",
  },
};

/** Flags of what is minimised. */
const OBJECTIVE_FLAGS = {
  preset: choice("preset", "A published method; its settings are the defaults of the others."),
  lossAggregation,
  lossAlpha: setting("lossAlpha", "Exponent of delta-l: 0 is dr-grpo, 1 has the least variance."),
  lossScaleFactor: setting(
    "lossScaleFactor",
    "The constant M of delta-l and dr-grpo.",
    "--max-completion-length",
  ),
  lossScope: choice("lossScope", "Responses that delta-l normalises over."),
  lossMicroBatchSize: setting(
    "lossMicroBatchSize",
    "Responses per micro-batch of dapo-micro-batch.",
  ),
  lossLambda: setting("lossLambda", "Exponent of lambda-grpo: 0 is dapo, above 0 prefers length."),
  lossLambdaSpread: setting("lossLambdaSpread", "How strongly lambda-grpo tells lengths apart."),
  advantageEstimator: choice("advantageEstimator", "How rewards become advantages."),
  scaleRewards: choice("scaleRewards", "Divisor of the centred rewards.", "the estimator's"),
  policyLoss: choice("policyLoss", "The surrogate."),
  epsilon: setting("epsilon", "Lower clip bound.", ofSurrogate),
  epsilonHigh: setting("epsilonHigh", "Upper clip bound.", ofSurrogate),
  dualClip: setting("dualClip", "Bound for negative advantages; 0 for none.", ofSurrogate),
  entropyCoef: setting("entropyCoef", "Coefficient of the entropy bonus."),
};

/** Flags of the reference policy. */
const REFERENCE_FLAGS = {
  beta: setting("beta", "Weight of the divergence from the first policy; 0 for none."),
  klEstimator: choice("klEstimator", "Its estimator."),
  klInReward: switchFlag("Take it off the rewards instead of adding it to the loss."),
  refSyncSteps: setting("refSyncSteps", "Steps between renewals of the reference; 0 for never."),
};

/** Flags of responses that reach the length limit. */
const OVERLONG_FLAGS = {
  maxCompletionLength: setting("maxCompletionLength", "The most tokens of a response.", ofTask),
  maskTruncatedCompletions: switchFlag("Leave responses cut off by the limit out of the loss."),
  overlongFiltering: switchFlag("Give responses that fill the limit advantage 0."),
  softOverlongBuffer: setting(
    "softOverlongBuffer",
    "Last tokens before the limit that lower the reward; 0 for none.",
  ),
  softOverlongPenalty: setting("softOverlongPenalty", "What they take off it in all."),
};

/** Flags of sampling. */
const ROLLOUT_FLAGS = {
  promptsPerStep: setting("promptsPerStep", "Different prompts per step.", ofTask),
  numGenerations: setting("numGenerations", "Responses per prompt.", ofTask),
  temperature: setting("temperature", "Softmax temperature."),
  dynamicSampling: switchFlag("Train on prompts only whose rewards differ, sampling more."),
  maxGenBatches: setting("maxGenBatches", "The most rollouts of a step of dynamic sampling."),
};

/** Flags of the optimizer. */
const OPTIMIZER_FLAGS = {
  learningRate: setting("learningRate", "Step size of AdamW.", ofTask),
  lrScheduler: choice("lrScheduler", "Learning rate after warm-up."),
  warmupSteps: setting("warmupSteps", "Optimizer steps of linear warm-up."),
  weightDecay: setting("weightDecay", "Decoupled weight decay."),
  adamBeta1: setting("adamBeta1", "Decay of the first moment."),
  adamBeta2: setting("adamBeta2", "Decay of the second moment."),
  maxGradNorm: setting("maxGradNorm", "Clip gradients to this norm; 0 for never."),
  miniBatchSize,
  numIterations: setting("numIterations", "Passes over each rollout."),
  maxTokensPerMicroBatch: setting(
    "maxTokensPerMicroBatch",
    "Packed tokens per pass; bounds memory.",
  ),
  activationDtype: choice(
    "activationDtype",
    "How activations wait for the backward pass; f16 halves their memory and costs time.",
  ),
  activationCheckpointing: switchFlag("Compute activations again instead of keeping them."),
};

/** Flags of evaluation while training. */
const EVALUATION_FLAGS = {
  evalSteps: setting("evalSteps", "Steps between evaluations; 0 for before and after only."),
  evalPrompts: setting("evalPrompts", "Held-out prompts of an evaluation."),
  numGenerationsEval: setting("numGenerationsEval", "Samples per prompt of an evaluation."),
};

/** Flags that are settings of the library, by the same names. */
export const OPTION_FLAGS = {
  maxSteps: RUN_FLAGS.maxSteps,
  seed: RUN_FLAGS.seed,
  ...OBJECTIVE_FLAGS,
  ...REFERENCE_FLAGS,
  ...ROLLOUT_FLAGS,
  ...OVERLONG_FLAGS,
  ...OPTIMIZER_FLAGS,
  ...EVALUATION_FLAGS,
};

/** How a policy is kept on the device. */
export const DTYPE_FLAG: Flag<StoredDType> = choiceFlag(
  STORED_DTYPES,
  "How weights and cache are stored on the device; everything is computed in float32.",
  "f32",
);

/** The flag that names a policy to begin from. */
export const POLICY_FLAG: Flag<string> = textFlag(
  "dir",
  "Hugging Face folder to begin from; with --warm-start-steps it is fitted to demonstrations first.",
);

const POLICY_FLAGS = {
  policy: POLICY_FLAG,
  dtype: DTYPE_FLAG,
  ...SIZE_FLAGS,
};

/** All flags of `train`. */
export const TRAIN_FLAGS = {
  ...RUN_FLAGS,
  ...DATASET_FLAGS,
  ...OPTION_FLAGS,
  ...WARM_START_FLAGS,
  ...POLICY_FLAGS,
} satisfies Flags;

/** They as `--help` lists them. */
export const TRAIN_SECTIONS: readonly FlagSection[] = [
  { title: "Run", flags: RUN_FLAGS },
  { title: "Prompts of a file", flags: DATASET_FLAGS },
  { title: "Objective", flags: OBJECTIVE_FLAGS },
  { title: "Reference policy", flags: REFERENCE_FLAGS },
  { title: "Rollouts", flags: ROLLOUT_FLAGS },
  { title: "Length limit", flags: OVERLONG_FLAGS },
  { title: "Optimizer", flags: OPTIMIZER_FLAGS },
  { title: "Evaluation", flags: EVALUATION_FLAGS },
  { title: "Warm start", flags: WARM_START_FLAGS },
  { title: "Policy", flags: POLICY_FLAGS },
];
