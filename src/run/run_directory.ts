/**
 * The folder of a training run: `config.json`, `metrics.jsonl`, `completions.jsonl`, `checkpoint/`.
 */

import { join } from "node:path";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import type { Evaluation } from "../rl/evaluation.ts";
import { evaluationMetrics } from "../rl/evaluation_metrics.ts";
import type { Task } from "../task/task.ts";
import type { StepReport } from "../rl/step_report.ts";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import { completionLines } from "./completion_lines.ts";
import { MetricsLog, type MetricsRecord, readMetrics, STEP } from "./metrics_log.ts";
import { RunLock } from "./run_lock.ts";
import { TRAINER_STATE } from "./trainer_state.ts";

/** What `config.json` says; plain data. */
export type RunConfig = Readonly<Record<string, unknown>> & {
  /** The task's name. */
  readonly task: string;
};

/** Settings of a {@linkcode RunDirectory}. */
export interface RunDirectoryOptions {
  /** Completions kept of each step, as many of each prompt as there is room for. Default 32. */
  readonly completionsPerStep?: number;
}

/** What was appended about a step. */
export interface StepLines {
  /** To metrics.jsonl. */
  readonly line: MetricsRecord;
  /** To completions.jsonl. */
  readonly completions: readonly MetricsRecord[];
}

const CONFIG = "config.json";
const METRICS = "metrics.jsonl";
const COMPLETIONS = "completions.jsonl";
const CHECKPOINT = "checkpoint";
/** The folder of a run, open for writing. */
export class RunDirectory implements Disposable {
  /** Where it lies. */
  readonly path: string;
  readonly #metrics: MetricsLog;
  readonly #completions: MetricsLog;
  readonly #completionsPerStep: number;
  readonly #held: DisposableStack;

  private constructor(
    path: string,
    lock: RunLock,
    { completionsPerStep = 32 }: RunDirectoryOptions,
    resumeStep = 0,
  ) {
    this.path = path;
    this.#completionsPerStep = completionsPerStep;
    using held = new DisposableStack();
    held.use(lock);
    this.#metrics = held.use(MetricsLog.open(join(path, METRICS), { resumeStep }));
    this.#completions = held.use(MetricsLog.open(join(path, COMPLETIONS), { resumeStep }));
    this.#held = held.move();
  }

  /**
   * Makes the folder of a new run.
   *
   * @param path Where; made with its parents.
   * @param config What to record in `config.json`.
   * @throws {Deno.errors.AlreadyExists} If there is something in it already.
   */
  static async create(
    path: string,
    config: RunConfig,
    options: RunDirectoryOptions = {},
  ): Promise<RunDirectory> {
    await refuseExisting(path);
    await Deno.mkdir(path, { recursive: true });
    const lock = RunLock.take(path);
    await writeConfig(path, config);
    return new RunDirectory(path, lock, options);
  }

  /**
   * Makes the folder of a new run under the first free name of `<name>-1`, `<name>-2`, …
   *
   * @param parent Where runs lie; made if it is not there.
   * @param name What the run is of, such as its task.
   */
  static async createNext(
    parent: string,
    name: string,
    config: RunConfig,
    options: RunDirectoryOptions = {},
  ): Promise<RunDirectory> {
    await Deno.mkdir(parent, { recursive: true });
    for (let number = 1;; number++) {
      const path = join(parent, `${name}-${number}`);
      try {
        // Fails where the folder exists, so two runs begun at once get two names.
        await Deno.mkdir(path);
      } catch (error) {
        if (error instanceof Deno.errors.AlreadyExists) continue;
        throw error;
      }
      return await RunDirectory.create(path, config, options);
    }
  }

  /**
   * Opens the folder of a run that goes on from its checkpoint.
   *
   * Lines of steps after the checkpoint's, which the run writes again, are dropped.
   *
   * @param lock Its lock, taken before the checkpoint was read; released with the folder.
   * @param step Steps the checkpoint has done.
   * @param config What `config.json` shall say from now on.
   */
  static async resume(
    path: string,
    lock: RunLock,
    step: number,
    config: RunConfig,
    options: RunDirectoryOptions = {},
  ): Promise<RunDirectory> {
    // The logs first: where one is damaged, the run stays as it is.
    const run = new RunDirectory(path, lock, options, step);
    try {
      await writeConfig(path, config);
      return run;
    } catch (error) {
      run.close();
      throw error;
    }
  }

  /** Where the run's checkpoint lies. */
  get checkpointPath(): string {
    return checkpointOf(this.path);
  }

  /**
   * Appends what a step did: one line of metrics, and completions with their text.
   *
   * @param task Whose ids they are.
   * @param evaluation What an evaluation after the step found.
   * @returns The lines.
   */
  append(report: StepReport, task: Task, evaluation?: Evaluation): StepLines {
    const line = {
      [STEP]: report.step,
      ...report.metrics,
      ...(evaluation ? evaluationMetrics(task, evaluation) : {}),
    };
    this.#metrics.append(line);
    const completions = completionLines(report, task, this.#completionsPerStep);
    for (const completion of completions) this.#completions.append(completion);
    return { line, completions };
  }

  /**
   * Appends an evaluation that was not made with its step: the one before training, or one that the
   * end of a session left to the next.
   *
   * @returns The line, without what it said of the step before.
   */
  appendEvaluation(step: number, task: Task, evaluation: Evaluation): StepLines {
    const line = { [STEP]: step, ...evaluationMetrics(task, evaluation) };
    this.#metrics.amend(line);
    return { line, completions: [] };
  }

  /** Brings the logs to disk, closes them and releases the lock. */
  close(): void {
    this.#held.dispose();
  }

  /** Closes it at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Refuses a folder for something new that has something in it.
 *
 * @param remedy What to do, where it is not for a run.
 * @throws {Deno.errors.AlreadyExists} Saying what to do instead.
 */
export async function refuseExisting(
  path: string,
  remedy: string = "give another folder, or resume the run in it",
): Promise<void> {
  if (!await fileExists(path)) return;
  if (!(await Deno.stat(path)).isDirectory) {
    throw new Deno.errors.AlreadyExists(`${path} is a file: give a folder`);
  }
  for await (const _ of Deno.readDir(path)) {
    throw new Deno.errors.AlreadyExists(`${path} is not empty: ${remedy}`);
  }
}

async function writeConfig(path: string, config: RunConfig): Promise<void> {
  await writeFileAtomic(join(path, CONFIG), JSON.stringify(config, null, 2) + "\n");
}

/** Where the checkpoint of the run at `path` lies. */
export function checkpointOf(path: string): string {
  return join(path, CHECKPOINT);
}

/**
 * What a run recorded about itself.
 *
 * @throws {Deno.errors.NotFound} If `path` is not the folder of a run.
 * @throws {SyntaxError | TypeError} If its config.json is damaged.
 */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const file = join(path, CONFIG);
  if (!await fileExists(file)) {
    throw new Deno.errors.NotFound(`${path} is not the folder of a run: it has no ${CONFIG}`);
  }
  const config = await readJsonObject(file);
  if (typeof config.task !== "string") {
    throw new TypeError(`${file} is not of a run: task is ${JSON.stringify(config.task)}`);
  }
  return config as RunConfig;
}

/** The lines of a run's metrics. */
export async function readRunMetrics(path: string): Promise<MetricsRecord[]> {
  const file = join(path, METRICS);
  return await fileExists(file) ? await readMetrics(file) : [];
}

/**
 * The run whose checkpoint was written last.
 *
 * @param parent Where runs lie.
 * @param task Only runs of this task.
 * @returns Its folder, `undefined` if there is none.
 */
export async function latestRun(parent: string, task?: string): Promise<string | undefined> {
  let latest: { path: string; time: number } | undefined;
  if (!await fileExists(parent)) return undefined;
  for await (const { name, isDirectory } of Deno.readDir(parent)) {
    if (!isDirectory) continue;
    const path = join(parent, name);
    if (!await fileExists(join(path, CONFIG))) continue;
    if (task !== undefined && (await readRunConfig(path)).task !== task) continue;
    // Only its writer may recover a folder, so the names a stopped replacement leaves count too.
    for (const suffix of ["", ".ready", ".old"]) {
      const state = join(checkpointOf(path) + suffix, TRAINER_STATE);
      if (!await fileExists(state)) continue;
      const time = (await Deno.stat(state)).mtime?.getTime() ?? 0;
      if (!latest || time > latest.time) latest = { path, time };
    }
  }
  return latest?.path;
}
