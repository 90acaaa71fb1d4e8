/**
 * Finding the checkpoint that a command is about, and the task it was trained on.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import type { Task } from "../task/task.ts";
import { checkpointOf, latestRun } from "../run/run_directory.ts";
import { readTrainerState, TRAINER_STATE } from "../run/trainer_state.ts";
import { taskOfWarmStart } from "../run/warm_start_cache.ts";
import { taskNames } from "../tasks/mod.ts";
import { type Flag, textFlag, UsageError } from "./args.ts";
import { findTask, isModule } from "./find_task.ts";
import { RUNS } from "./runs.ts";
import { type TaskNames, taskNamesOf } from "./task_files.ts";

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
}

/**
 * Finds a checkpoint.
 *
 * @param where Folder of a run or a checkpoint; `undefined` for the latest run.
 * @param taskName The task; `undefined` for the one the checkpoint names.
 * @param data File of its problems, for a task that has one.
 * @throws {Error} If there is none, or it does not say what it was trained on.
 */
export async function findCheckpoint(
  where: string | undefined,
  taskName: string | undefined,
  data?: string,
): Promise<FoundCheckpoint> {
  const given = where ??
    await latestRun(RUNS, taskName && isModule(taskName) ? undefined : taskName);
  if (given === undefined) {
    throw new UsageError(
      `there is no run with a checkpoint below ${RUNS}: give --checkpoint <dir>`,
    );
  }
  const dir = await weightsIn(given);
  if (!await fileExists(join(dir, "config.json"))) {
    throw new Deno.errors.NotFound(`${dir} holds no checkpoint: it has no config.json`);
  }
  const names = await recordedNames(given, { task: taskName, data });
  const name = names.task ?? await recordedTask(dir);
  if (name === undefined) {
    throw new UsageError(
      `${dir} does not say what it was trained on: give --task ${taskNames.join("|")}`,
    );
  }
  return { dir, task: await findTask(name, { model: dir, data: names.data }) };
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

async function recordedTask(dir: string): Promise<string | undefined> {
  return await fileExists(join(dir, TRAINER_STATE))
    ? (await readTrainerState(dir)).task.name
    : await taskOfWarmStart(dir);
}
