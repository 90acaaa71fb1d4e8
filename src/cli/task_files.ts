/**
 * The files that a run's task is made of, recorded with the run, so that nobody has to name them again.
 *
 * @module
 */

import { fileExists, isJsonObject } from "../files/json_file.ts";
import { digestFile } from "../run/fingerprint.ts";
import type { DatasetSettings, TaskNames } from "./dataset_flags.ts";
import { nameOfFile } from "./dataset_task.ts";
import { isModule } from "./find_task.ts";

/** A file as it was. */
interface RecordedFile {
  /** Its path, as it was given. */
  readonly path: string;
  /** SHA-256 of its content. */
  readonly sha256: string;
}

/** The module of a task and the file of its problems, of those that it has. */
export interface TaskFiles {
  /** The module. */
  readonly task?: RecordedFile;
  /** The problems. */
  readonly data?: RecordedFile;
  /** How the problems are read and judged, for a task that is nothing but its file. */
  readonly dataset?: DatasetSettings;
}

/**
 * Records the files of a task.
 *
 * @param names What was given.
 */
export async function recordTaskFiles({ task, data, dataset }: TaskNames): Promise<TaskFiles> {
  const record = async (path: string) => ({ path, sha256: await digestFile(path) });
  return {
    ...(task !== undefined && isModule(task) ? { task: await record(task) } : {}),
    ...(data !== undefined ? { data: await record(data) } : {}),
    ...(task === undefined && data !== undefined
      ? { dataset: { name: nameOfFile(data), ...dataset } }
      : dataset === undefined
      ? {}
      : { dataset }),
  };
}

/**
 * What names the task of a run: what was given now, otherwise what the run recorded.
 *
 * @param given What was given.
 * @param config The run's config.json.
 * @param run Folder of the run, for messages.
 * @throws {Error} If a recorded file is gone or has changed, with the flag that decides.
 */
export async function taskNamesOf(
  given: TaskNames,
  config: Readonly<Record<string, unknown>>,
  run: string,
): Promise<TaskNames> {
  const { taskFiles } = config;
  if (!isJsonObject(taskFiles)) return given;
  // Another task than the run's has other problems.
  const data = given.data ??
    (given.task === undefined || given.task === config.task
      ? await unchanged(taskFiles.data, "--data", run)
      : undefined);
  const recorded = isJsonObject(taskFiles.dataset) ? taskFiles.dataset as DatasetSettings : {};
  const dataset = given.task === undefined ? { ...recorded, ...given.dataset } : given.dataset;
  return {
    task: given.task ?? await unchanged(taskFiles.task, "--task", run),
    data,
    ...(dataset && Object.keys(dataset).length > 0 ? { dataset } : {}),
  };
}

async function unchanged(file: unknown, flag: string, run: string): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const { path, sha256 } = (isJsonObject(file) ? file : {}) as Partial<RecordedFile>;
  if (typeof path !== "string" || typeof sha256 !== "string") {
    throw new TypeError(
      `${run}/config.json is damaged: ${JSON.stringify(file)} is no path with its SHA-256`,
    );
  }
  if (!await fileExists(path)) {
    throw new Deno.errors.NotFound(
      `${path}, which ${run} was begun with, does not exist: say where it is with ${flag}`,
    );
  }
  if (await digestFile(path) !== sha256) {
    throw new RangeError(
      `${path} is not as it was when ${run} was begun (its SHA-256 differs): to take it as it is ` +
        `now, give ${flag} ${path}`,
    );
  }
  return path;
}
