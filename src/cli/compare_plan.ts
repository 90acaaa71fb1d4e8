/**
 * What `compare` runs: a preset, or methods on a task of the user's choice.
 *
 * @module
 */

import { armById, ARMS, type Block, type Cell } from "../lab/comparison_plan.ts";
import type { ComparisonPlan } from "../lab/comparison_folder.ts";
import { COMPARISON_PRESETS, type PresetName } from "../lab/comparison_presets.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import type { PolicyConfig } from "../model/config.ts";
import { resolveTrainOptions } from "../rl/resolve_options.ts";
import { SETTINGS } from "../rl/settings.ts";
import { taskFingerprint, weightsDigest } from "../run/fingerprint.ts";
import { maxRewardOf } from "../task/solved.ts";
import type { Task } from "../task/task.ts";
import { taskByName, taskNames } from "../tasks/mod.ts";
import {
  choiceFlag,
  type Flag,
  type FlagValues,
  kebab,
  namingFlags,
  numberFlag,
  textFlag,
  UsageError,
} from "./args.ts";
import { weightsIn } from "./checkpoint.ts";
import { DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { findTask, taskFlag } from "./find_task.ts";
import { newPolicyConfig } from "./policy_size.ts";

/** A flag of several values with commas between. */
function listFlag<T>(one: Flag<T>, help: string, standard: string): Flag<readonly T[]> {
  return {
    parse: (text) => [...new Set(text.split(",").map((part) => one.parse!(part)))],
    placeholder: `${one.placeholder},…`,
    help,
    default: standard,
  };
}

const methods = choiceFlag(ARMS.map(({ id }) => id), "");
const learningRate = numberFlag(SETTINGS.learningRate, "");

/** Flags that say what is compared. */
export const PLAN_FLAGS = {
  preset: choiceFlag(
    Object.keys(COMPARISON_PRESETS) as PresetName[],
    "What to run: minutes, up to two hours, or a GPU's day.",
    "default",
  ),
  task: taskFlag("What to learn, in place of a preset.", "the preset's"),
  ...DATASET_FLAGS,
  policy: textFlag(
    "dir",
    "With --task: folder of the policy that all runs begin with.",
    "a warm start",
  ),
  methods: listFlag(methods, "Methods to compare.", "the preset's; with --task one of each family"),
  learningRate: listFlag(learningRate, "With --task: step sizes, each a table.", "the task's"),
  maxSteps: numberFlag(SETTINGS.maxSteps, "With --task: steps of a run.", "the task's"),
  evalPrompts: numberFlag(SETTINGS.evalPrompts, "With --task: held-out prompts.", 128),
  targetReward: numberFlag(
    { min: -1e9, max: 1e9, integer: false },
    "With --task: mean reward whose first crossing is timed.",
    "half the task's most",
  ),
  seeds: numberFlag(
    { min: 1, max: 1000, integer: true },
    "Seeds of every method.",
    "the preset's; with --task 3",
  ),
};

/** What is compared, and where it begins. */
export interface PlannedComparison extends ComparisonPlan {
  /** The task of a cell. */
  readonly taskOf: (cell: Cell) => Task;
  /** Folder of the policy that all runs begin with; `undefined` for warm starts. */
  readonly policy: string | undefined;
}

type Values = FlagValues<typeof PLAN_FLAGS>;

/** One of each family, as the presets have it. */
const FAMILIES = ["delta-l-1", "grpo", "dapo", "dr-grpo-std"];

/**
 * Decides what to compare.
 *
 * @throws {UsageError} For flags that do not go together.
 */
export async function planComparison(values: Values): Promise<PlannedComparison> {
  if (values.task !== undefined || values.data !== undefined) return await ofTask(values);
  const stray = (["policy", "learningRate", "maxSteps", "evalPrompts", "targetReward"] as const)
    .find((name) => values[name] !== undefined);
  if (stray !== undefined) {
    throw new UsageError(`--${kebab(stray)} goes with --task: presets have their own`);
  }
  const title = values.preset ?? "default";
  const chosen = ({ arms, seeds, ...block }: Block): Block => ({
    ...block,
    arms: values.methods === undefined ? arms : arms.filter((arm) => values.methods!.includes(arm)),
    seeds: values.seeds ?? seeds,
  });
  const blocks = COMPARISON_PRESETS[title].map(chosen).filter(({ arms }) => arms.length > 0);
  return { title, blocks, taskOf: ({ task }) => taskByName(task), policy: undefined };
}

async function ofTask(values: Values): Promise<PlannedComparison> {
  if (values.preset !== undefined) throw new UsageError("--preset does not go with --task");
  const policy = values.policy === undefined ? undefined : await weightsIn(values.policy);
  const task = await findTask(namesOf(values), policy);
  const { methods = FAMILIES, seeds = 3 } = values;
  methods.forEach(armById);
  const options = resolved(values, task);
  const [rate, ...others] = values.learningRate ?? [options.learningRate];
  const size = policy === undefined
    ? newPolicyConfig(task, {}, options.maxCompletionLength)
    : await configOf(policy);
  const isBuiltIn = values.task !== undefined && taskNames.includes(values.task) &&
    policy === undefined;
  const { maxCompletionLength, promptsPerStep, numGenerations, maxSteps } = options;
  const cell: Cell = {
    task: task.name,
    policy: {},
    warmStart: {},
    ...(isBuiltIn ? {} : {
      name: `${task.name}-${size.hiddenSize}x${size.numHiddenLayers}-${maxCompletionLength}`,
      fingerprint: taskFingerprint(task),
    }),
    ...(policy === undefined ? {} : { start: await weightsDigest(policy) }),
    maxCompletionLength,
    promptsPerStep,
    numGenerations,
    maxSteps,
    learningRate: rate!,
    targetReward: values.targetReward ?? maxRewardOf(task) / 2,
    evalPrompts: values.evalPrompts ?? 128,
  };
  const learningRates = [rate!, ...others].map((other) => other / rate!);
  const blocks = [{ cell, arms: [...methods], seeds, learningRates }];
  return { title: task.name, blocks, taskOf: () => task, policy };
}

/** The task's settings with those that were given. */
function resolved({ maxSteps, learningRate }: Values, task: Task) {
  const { rl } = task.defaults;
  return namingFlags(PLAN_FLAGS, () =>
    resolveTrainOptions({
      ...rl,
      maxSteps: maxSteps ?? rl.maxSteps,
      learningRate: learningRate?.[0] ?? rl.learningRate,
    }, task.maxCompletionLength));
}

async function configOf(dir: string): Promise<PolicyConfig> {
  using checkpoint = await loadCheckpoint(dir);
  return checkpoint.config;
}
