/**
 * The flags of `train`: every setting of the library under its own name, and the run's own.
 *
 * @module
 */

import { STORED_DTYPES, type StoredDType } from "../model/policy_weights.ts";
import { findRule } from "../objective/rule.ts";
import type { ChoiceSetting, Setting, SettingSection } from "../rl/setting_kinds.ts";
import { SETTINGS } from "../rl/settings.ts";
import type { TrainOptions } from "../rl/train_options.ts";
import { choiceFlag, type Flag, type Flags, numberFlag, switchFlag, textFlag } from "./args.ts";
import { CHECKPOINT_FLAGS } from "./checkpoint_flags.ts";
import { DATASET_FLAGS } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { DEVICE_FLAGS } from "./gpu.ts";
import { PROFILE_FLAG } from "./gpu_profile.ts";
import type { FlagSection } from "./help.ts";
import { MEMORY_BUDGET_FLAG } from "./memory_flag.ts";
import { REPORT_TO_FLAG } from "./trackers.ts";

const ofTask = "the task's";

/** The flag of a setting. */
function settingFlag(setting: Setting): Flag<unknown> {
  const { help } = setting;
  const standard = setting.shown ??
    (typeof setting.default === "object" ? setting.default.by : setting.default);
  switch (setting.kind) {
    case "number":
      return numberFlag(setting, help, standard as number | string);
    case "choice":
      return ruleFlag(setting, help, standard as string);
    case "switch":
      return switchFlag(help);
    case "own":
      return textFlag("file", help, "none");
    case "miniBatch":
      return {
        parse(text: string): number | "all" {
          if (text === "all") return text;
          if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
          throw new RangeError(`give "all" or a multiple of --num-generations`);
        },
        placeholder: "n|all",
        help,
        default: standard as string,
      };
  }
}

/** A flag for a word by any of its names. */
function ruleFlag({ choices }: ChoiceSetting, help: string, standard: string): Flag<string> {
  const flag = choiceFlag(Object.keys(choices), help, standard);
  return {
    ...flag,
    parse(text: string): string {
      try {
        return findRule(choices, "", text);
      } catch {
        return flag.parse!(text);
      }
    },
  };
}

/** Flags for settings, by the same names. */
type SettingFlags = {
  [Name in keyof TrainOptions]-?: Flag<
    Name extends "objective" ? string : NonNullable<TrainOptions[Name]>
  >;
};

/** The flags of all settings, or of one section. */
function settingFlags(section?: SettingSection): SettingFlags {
  return Object.fromEntries(
    Object.entries<Setting>(SETTINGS)
      .filter(([, setting]) => section === undefined || setting.section === section)
      .map(([name, setting]) => [
        name,
        { ...settingFlag(setting), ...(setting.aliases ? { aliases: setting.aliases } : {}) },
      ]),
  ) as unknown as SettingFlags;
}

/** Flags that are settings of the library, by the same names. */
export const OPTION_FLAGS: SettingFlags = settingFlags();

/** Flags that choose the task and the run's place. */
export const RUN_FLAGS = {
  task: taskFlag("What to learn.", "parity"),
  maxSteps: OPTION_FLAGS.maxSteps,
  seed: OPTION_FLAGS.seed,
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
  merge: switchFlag("With adapters: write the model with them added to it, too, at the end."),
  profile: PROFILE_FLAG,
  ...DEVICE_FLAGS,
  memoryBudget: MEMORY_BUDGET_FLAG,
  report: { ...switchFlag("Write report.html at the end; --no-report for none."), default: "on" },
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

/** How a policy is kept on the device. */
export const STORAGE_FLAGS: Record<"dtype" | "cacheDtype", Flag<StoredDType>> = {
  dtype: choiceFlag(
    STORED_DTYPES,
    "How weights are stored on the device; everything is computed in float32.",
    "f32",
  ),
  cacheDtype: choiceFlag(
    STORED_DTYPES,
    "How keys and values are cached; f16 and bf16 halve their memory.",
    "as --dtype",
  ),
};

/** The flag that names a policy to begin from. */
export const POLICY_FLAG: Flag<string> = textFlag(
  "dir",
  "Hugging Face folder to begin from; with --warm-start-steps it is fitted to demonstrations first.",
);

const POLICY_FLAGS = { policy: POLICY_FLAG, ...STORAGE_FLAGS, ...SIZE_FLAGS };

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
  { title: "Objective", flags: settingFlags("objective") },
  { title: "Reference policy", flags: settingFlags("reference") },
  { title: "Rollouts", flags: settingFlags("rollouts") },
  { title: "Length limit", flags: settingFlags("overlong") },
  { title: "Optimizer", flags: settingFlags("optimizer") },
  { title: "Evaluation", flags: settingFlags("evaluation") },
  { title: "Warm start", flags: WARM_START_FLAGS },
  { title: "Policy", flags: POLICY_FLAGS },
];
