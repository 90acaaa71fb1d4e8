/**
 * The checkpoints of a run: the latest, some before it, and the best.
 *
 * `checkpoint/` is the latest, `checkpoint-<step>/` those before it, `checkpoint-best/` that of the
 * best evaluation so far. Each is complete whenever the process stops. Which evaluation was the best
 * and how many have followed it is read from the run's metrics, so that a resumed run goes on as one
 * that was never stopped.
 *
 * @module
 */

import { join } from "node:path";
import { fileSystem, recoverDirectory, removeDirectory } from "../files/atomic_directory.ts";
import { fileExists } from "../files/json_file.ts";
import { type MetricsRecord, STEP } from "./metrics_log.ts";
import { checkpointOf } from "./run_directory.ts";
import { type Checkpointable, saveTrainerCheckpoint } from "./trainer_checkpoint.ts";
import { completedStepsOf } from "./trainer_state.ts";

/** What is kept of a run. */
export interface CheckpointSettings {
  /** Checkpoints kept, the latest among them. */
  readonly keepCheckpoints: number;
  /** Figure of evaluations, the greater the better, that decides which checkpoint is the best. */
  readonly metric: string;
  /** Whether the best checkpoint is kept. */
  readonly saveBest: boolean;
  /** Evaluations in a row without a better one that end the run; 0 for any number. */
  readonly patience: number;
}

/** The best evaluation so far. */
export interface BestEvaluation {
  /** Steps done when it was made. */
  readonly step: number;
  /** What it found. */
  readonly value: number;
}

/** The checkpoints of a run, open for writing. */
export class RunCheckpoints {
  /** What is kept. */
  readonly settings: CheckpointSettings;
  /** Step of the latest checkpoint. */
  savedStep: number;
  readonly #run: string;
  #best: BestEvaluation | undefined;
  #sinceBest = 0;

  private constructor(run: string, settings: CheckpointSettings, savedStep: number) {
    this.#run = run;
    this.settings = settings;
    this.savedStep = savedStep;
  }

  /**
   * Opens the checkpoints of a run.
   *
   * @param settings What to keep.
   * @param trainer The run as it is now.
   * @param metrics Its lines up to now. Evaluations before now count where the best of them was kept.
   */
  static async open(
    run: string,
    settings: CheckpointSettings,
    trainer: Checkpointable,
    metrics: readonly MetricsRecord[],
  ): Promise<RunCheckpoints> {
    const now = trainer.completedSteps;
    const checkpoints = new RunCheckpoints(run, settings, now);
    if (settings.saveBest) await recoverDirectory(bestCheckpointOf(run));
    for (const line of metrics) checkpoints.#observe(line);
    const best = checkpoints.#best;
    if (!settings.saveBest || best === undefined) return checkpoints;
    if (best.step === now) {
      // The process may have been stopped between the two.
      await checkpoints.#saveBest(trainer);
    } else if (await completedStepsOf(bestCheckpointOf(run)) !== best.step) {
      checkpoints.#best = undefined;
      checkpoints.#sinceBest = 0;
    }
    return checkpoints;
  }

  /** The best evaluation so far. */
  get best(): BestEvaluation | undefined {
    return this.#best;
  }

  /** Whether as many evaluations as the patience allows have brought nothing better. */
  get exhausted(): boolean {
    const { patience } = this.settings;
    return patience > 0 && this.#sinceBest >= patience;
  }

  /**
   * Writes the latest checkpoint. The one before it is kept or removed.
   *
   * @throws {RangeError} If a weight is not finite; all checkpoints then stay as they are.
   */
  async save(trainer: Checkpointable): Promise<void> {
    const { keepCheckpoints } = this.settings;
    await saveTrainerCheckpoint(
      checkpointOf(this.#run),
      trainer,
      keepCheckpoints > 1 ? (old) => keepAside(this.#run, old) : undefined,
    );
    this.savedStep = trainer.completedSteps;
    await this.#prune();
  }

  /**
   * Takes note of an evaluation. If it is the best so far, the latest checkpoint becomes that of this
   * step, so that a resumed run never lies behind its best checkpoint, and then the best.
   *
   * @param trainer The run as it was evaluated.
   * @param line The step and the evaluation's figures.
   * @throws {RangeError} If the metric is none of them.
   */
  async evaluated(trainer: Checkpointable, line: MetricsRecord): Promise<void> {
    const { metric, saveBest, patience } = this.settings;
    if ((saveBest || patience > 0) && !(metric in line)) {
      const names = Object.keys(line).filter((name) => name.startsWith("eval/"));
      throw new RangeError(`there is no figure ${metric}: evaluations have ${names.join(", ")}`);
    }
    if (!this.#observe(line) || !saveBest) return;
    if (this.savedStep !== trainer.completedSteps) await this.save(trainer);
    await this.#saveBest(trainer);
  }

  /** Counts an evaluation; tells whether it is the best so far. */
  #observe(line: MetricsRecord): boolean {
    const value = line[this.settings.metric];
    if (typeof value !== "number") return false;
    if (!(value > (this.#best?.value ?? -Infinity))) {
      this.#sinceBest++;
      return false;
    }
    this.#best = { step: line[STEP], value };
    this.#sinceBest = 0;
    return true;
  }

  async #saveBest(trainer: Checkpointable): Promise<void> {
    const dir = bestCheckpointOf(this.#run);
    if (await completedStepsOf(dir) === trainer.completedSteps) return;
    await saveTrainerCheckpoint(dir, trainer);
  }

  /** Removes what is more than is to be kept. */
  async #prune(): Promise<void> {
    const { keepCheckpoints } = this.settings;
    const before = (await earlierCheckpoints(this.#run)).filter(({ step }) =>
      step < this.savedStep
    );
    for (const { dir } of before.slice(0, Math.max(0, before.length - (keepCheckpoints - 1)))) {
      await removeDirectory(dir);
    }
  }
}

/** Where the best checkpoint of the run at `path` lies. */
export function bestCheckpointOf(path: string): string {
  return join(path, "checkpoint-best");
}

/** The checkpoints of a run before the latest, oldest first. */
export async function earlierCheckpoints(
  run: string,
): Promise<{ readonly step: number; readonly dir: string }[]> {
  const found: { step: number; dir: string }[] = [];
  for await (const { name } of Deno.readDir(run)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step !== undefined) found.push({ step: Number(step), dir: join(run, name) });
  }
  return found.sort((a, b) => a.step - b.step);
}

/**
 * Brings the latest checkpoint of a run back into order after its process was stopped.
 *
 * @param run The run's folder.
 * @param keepCheckpoints Checkpoints it keeps.
 * @returns Whether there is one.
 */
export async function recoverCheckpoint(run: string, keepCheckpoints: number): Promise<boolean> {
  for await (const { name } of Deno.readDir(run)) {
    // Left by a removal that was stopped.
    if (/^checkpoint-\d+\.old$/.test(name)) await fileSystem.remove(join(run, name));
  }
  const retire = (old: string) => keepAside(run, old);
  return await recoverDirectory(
    checkpointOf(run),
    keepCheckpoints > 1 ? { ...fileSystem, retire } : fileSystem,
  );
}

/** Gives a checkpoint that is the latest no more the name of its step. */
async function keepAside(run: string, old: string): Promise<void> {
  const step = await completedStepsOf(old);
  const dir = join(run, `checkpoint-${step}`);
  // Of the same step, which was resumed from and saved again.
  const latest = await completedStepsOf(checkpointOf(run));
  if (step === undefined || step === latest || await fileExists(dir)) await fileSystem.remove(old);
  else await fileSystem.rename(old, dir);
}
