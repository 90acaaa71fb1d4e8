/**
 * Finding the checkpoint that a command is about, and the task it was trained on.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { explainMissing } from "../files/model_folder.ts";
import { readLoraFolder } from "../model/lora_folder.ts";
import type { PolicyStorageOptions } from "../model/policy_storage.ts";
import { type ResolvedTruncation, truncationOf } from "../model/truncation.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { Task } from "../task/task.ts";
import { checkpointOf, latestRun } from "../run/run_directory.ts";
import {
  glanceAtState,
  readTrainerState,
  TRAINER_STATE,
  type TrainerState,
} from "../run/trainer_state.ts";
import { taskOfWarmStart } from "../run/warm_start_cache.ts";
import { taskNames } from "../tasks/mod.ts";
import { type Flag, textFlag, UsageError } from "./args.ts";
import { refuseMisspelt } from "./folders.ts";
import { findTask, isModule } from "./find_task.ts";
import { RUNS } from "./runs.ts";
import { isFile, type TaskNames } from "./dataset_flags.ts";
import { taskNamesOf } from "./task_files.ts";

/** The flag that names a checkpoint. */
export const CHECKPOINT_FLAG: Flag<string> = textFlag(
  "dir",
  "Folder of a run or of a Hugging Face checkpoint.",
  "the latest run",
);

/** A checkpoint and its task. */
export interface FoundCheckpoint {
  /** A Hugging Face folder. */
  readonly dir: string;
  /** The task. */
  readonly task: Task;
  /** What the run it belongs to recorded, where it belongs to one. */
  readonly state: TrainerState | undefined;
}

/** Settings of a run that another look at its checkpoint takes over, unless flags say otherwise. */
export type RecordedSettings =
  & Pick<
    ResolvedTrainOptions,
    "temperature" | "maxCompletionLength" | "seed" | "evalPrompts" | "numGenerationsEval"
  >
  & ResolvedTruncation
  & Pick<PolicyStorageOptions, "dtype" | "cacheDtype">;

/**
 * The settings that a checkpoint was trained with, or the defaults where it is no run's.
 *
 * @param found The checkpoint; its limit of length counts for its own task alone.
 */
export function settingsOf(
  { task, state }: Pick<FoundCheckpoint, "task" | "state">,
): RecordedSettings {
  const { temperature = 1, seed = 42, evalPrompts = 128, numGenerationsEval = 8 } =
    state?.options ?? {};
  const own = state?.task.name === task.name;
  return {
    temperature,
    ...truncationOf(state?.options ?? {}),
    maxCompletionLength: own ? state!.options.maxCompletionLength : task.maxCompletionLength,
    seed,
    evalPrompts,
    numGenerationsEval,
    dtype: state?.dtype,
    cacheDtype: state?.cacheDtype,
  };
}

/**
 * Finds a checkpoint.
 *
 * @param where Folder of a run or a checkpoint; `undefined` for the latest run.
 * @param asked What names the task; what is missing is as the checkpoint's run has it.
 * @throws {Error} If there is none, or it does not say what it was trained on.
 */
export async function findCheckpoint(
  where: string | undefined,
  asked: TaskNames,
): Promise<FoundCheckpoint> {
  const { task: taskName } = asked;
  const given = where ??
    await latestRun(RUNS, taskName && isModule(taskName) ? undefined : taskName);
  if (given === undefined) {
    throw new UsageError(
      `there is no run with a checkpoint below ${RUNS}: give --checkpoint <dir>`,
    );
  }
  await refuseMisspelt(given);
  const dir = await weightsIn(given);
  if (!await fileExists(join(dir, "config.json")) && !await readLoraFolder(dir)) {
    if (!await fileExists(dir)) throw await explainMissing(dir, "config.json");
    throw new Deno.errors.NotFound(`${dir} holds no checkpoint: it has no config.json`);
  }
  if (await isRunWithoutCheckpoint(dir)) {
    throw new Deno.errors.NotFound(`${dir} is a run that has no checkpoint: begin it anew`);
  }
  const names = await recordedNames(given, asked);
  // What was asked for by name needs the state for its settings alone, whatever became of the other files.
  const state = names.task !== undefined || !await fileExists(join(dir, TRAINER_STATE))
    ? await glanceAtState(dir)
    : await readTrainerState(dir);
  const name = isFile(names)
    ? undefined
    : names.task ?? state?.task.name ?? await taskOfWarmStart(dir);
  if (name === undefined && names.data === undefined) {
    throw new UsageError(
      `${dir} does not say what it was trained on: give --task ${taskNames.join("|")}, or a file ` +
        "with --data and --reward",
    );
  }
  return { dir, state, task: await findTask({ ...names, task: name }, dir) };
}

/** A run's own config.json names its task, that of a model its architecture. */
async function isRunWithoutCheckpoint(dir: string): Promise<boolean> {
  const path = join(dir, "config.json");
  if (!await fileExists(path)) return false;
  const { task, model_type: modelType } = await readJsonObject(path);
  return typeof task === "string" && modelType === undefined;
}

/** The folder of the weights that a folder stands for: a run's checkpoint, otherwise itself. */
export async function weightsIn(dir: string): Promise<string> {
  return await checkpointIn(dir) ?? dir;
}

/** The checkpoint of a run; one whose replacement was stopped half-way lies under the other names. */
async function checkpointIn(run: string): Promise<string | undefined> {
  for (const suffix of ["", ".ready", ".old"]) {
    const dir = checkpointOf(run) + suffix;
    if (await fileExists(dir)) return dir;
  }
  return undefined;
}

/** What names the task: what was given, otherwise what the run recorded that the folder is, or is a checkpoint of. */
async function recordedNames(folder: string, given: TaskNames): Promise<TaskNames> {
  const run = await weightsIn(folder) === folder ? dirname(resolve(folder)) : folder;
  const path = join(run, "config.json");
  const isOfRun = run === folder || /^checkpoint(-|$)/.test(basename(resolve(folder)));
  if (!isOfRun || !await fileExists(path)) return given;
  return await taskNamesOf(given, await readJsonObject(path), run);
}
