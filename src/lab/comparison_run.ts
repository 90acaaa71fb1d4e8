/**
 * One run of a comparison, and the file it leaves.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { join } from "node:path";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import type { Policy } from "../model/policy.ts";
import { harmonicMean } from "./statistics.ts";
import type { Evaluation } from "../rl/evaluation.ts";
import type { Task } from "../task/task.ts";
import type { TrainOptions } from "../rl/train_options.ts";
import type { CompletionRecord, StepReport } from "../rl/step_report.ts";
import { Trainer } from "../rl/trainer.ts";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import { digest } from "../run/fingerprint.ts";
import type { RunSpec } from "./comparison_plan.ts";
import { sampleResponses } from "./gradient_pool.ts";
import type { Provenance } from "./provenance.ts";

/** A finished run, as its file holds it. */
export interface RunRecord {
  /** What was run. */
  readonly spec: RunSpec;
  /** Digest of the settings, by which a file is known to belong to them. */
  readonly settings: string;
  /** Digest of the warm start's weights. */
  readonly warmStart: string;
  /** Every setting of training; `null` for the warm start itself. */
  readonly options: Readonly<Record<string, unknown>> | null;
  /** Figures of every step by name, `metrics[name][step]`; absent values and NaN are `null`. */
  readonly metrics: Readonly<Record<string, readonly (number | null)[]>>;
  /** The evaluation at the end, on held-out prompts that depend on the seed alone. */
  readonly evaluation: Evaluation;
  /** Completions of the first and the last step: prompt, completion and reward of each. */
  readonly samples: { readonly first: readonly RunSample[]; readonly last: readonly RunSample[] };
  /** Why training stopped early, if it did. The evaluation is then of the last good policy. */
  readonly failure?: string;
  /** Seconds of wall time, the evaluation included. */
  readonly seconds: number;
  /** What it ran on. */
  readonly provenance: Provenance;
}

/** A completion as text. */
export interface RunSample {
  /** The prompt. */
  readonly prompt: string;
  /** The completion. */
  readonly completion: string;
  /** Its reward. */
  readonly reward: number | null;
  /** Its length in tokens. */
  readonly length: number;
}

/** What a run needs beside its specification. */
export interface RunContext {
  /** The task of the specification. */
  readonly task: Task;
  /** A policy with the warm start's weights; training changes it. */
  readonly policy: Policy;
  /** Digest of those weights. */
  readonly warmStart: string;
  /** What it runs on. */
  readonly provenance: Provenance;
  /** Called after every step; training is abandoned where it gives true. */
  readonly afterStep?: (report: StepReport) => Promise<boolean>;
}

const CONTEXT = namesOf<RunContext>({
  task: true,
  policy: true,
  warmStart: true,
  provenance: true,
  afterStep: true,
});

/** Samples kept of a step. */
const SAMPLES = 8;
/** Rollout whose lengths {@linkcode Arm.matchScale} goes by; its problems are those of no run's seed. */
const [SCALE_SEED, SCALE_PROMPTS] = [0, 64];

/**
 * Runs one specification.
 *
 * @returns Its record, or `undefined` if `afterStep` abandoned it.
 */
export async function runComparison(
  spec: RunSpec,
  context: RunContext,
): Promise<RunRecord | undefined> {
  checkNames("runComparison", context, CONTEXT);
  const { cell, arm, seed } = spec;
  const { task, policy, afterStep } = context;
  const start = performance.now();
  const options: TrainOptions = {
    maxSteps: arm ? cell.maxSteps : 0,
    learningRate: spec.learningRate,
    promptsPerStep: cell.promptsPerStep,
    numGenerations: cell.numGenerations,
    maxCompletionLength: cell.maxCompletionLength,
    evalPrompts: cell.evalPrompts,
    seed,
    ...(arm?.objective ?? {}),
    ...(arm?.matchScale ? { lossScaleFactor: await warmStartHarmonicLength(spec, context) } : {}),
  };
  const trainer = await Trainer.create(policy, task, options);
  const metrics = new Columns();
  const samples: { first: RunSample[]; last: RunSample[] } = { first: [], last: [] };
  let failure: string | undefined;
  try {
    while (trainer.completedSteps < options.maxSteps) {
      let report: StepReport;
      try {
        report = await trainer.next();
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        // A run whose numbers overflow is a result; anything else is a reason to run it again.
        if (!message.includes("not finite")) throw error;
        failure = message;
        break;
      }
      metrics.add(report.metrics);
      const kept = report.completions.slice(0, SAMPLES).map((c) => sampleOf(task, c));
      if (report.step === 1) samples.first = kept;
      samples.last = kept;
      if (await afterStep?.(report)) return undefined;
    }
    const evaluation = await trainer.evaluate();
    return {
      spec,
      settings: settingsDigest(spec),
      warmStart: context.warmStart,
      options: arm ? { ...trainer.options } : null,
      metrics: metrics.columns,
      evaluation,
      samples,
      ...(failure === undefined ? {} : { failure }),
      seconds: (performance.now() - start) / 1000,
      provenance: context.provenance,
    };
  } finally {
    trainer.destroy();
  }
}

/** Harmonic mean length of the warm start's responses. */
async function warmStartHarmonicLength(
  { cell }: RunSpec,
  { policy, task }: RunContext,
): Promise<number> {
  const { promptsPerStep, numGenerations, maxCompletionLength } = cell;
  const prompts = promptsPerStep * Math.ceil(SCALE_PROMPTS / promptsPerStep);
  const sampling = {
    prompts,
    numGenerations,
    maxCompletionLength,
    temperature: 1,
    seed: SCALE_SEED,
  };
  const rollouts = await sampleResponses(policy, task, sampling, promptsPerStep);
  return harmonicMean(rollouts.flatMap(({ completions }) => completions.map((c) => c.length)));
}

function sampleOf(task: Task, { promptIds, completionIds, reward }: CompletionRecord): RunSample {
  return {
    prompt: task.describe(promptIds),
    completion: task.describe(completionIds),
    reward,
    length: completionIds.length,
  };
}

/** Figures step by step, one list per name. */
class Columns {
  readonly columns: Record<string, (number | null)[]> = {};
  #rows = 0;

  add(row: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(row)) {
      const column = this.columns[name] ??= new Array(this.#rows).fill(null);
      // Six digits are more than any of them is good for, and keep the files small.
      column.push(Number.isFinite(value) ? Number(value.toPrecision(6)) : null);
    }
    this.#rows++;
    for (const column of Object.values(this.columns)) {
      if (column.length < this.#rows) column.push(null);
    }
  }
}

/** What tells the settings of two specifications apart. */
export function settingsDigest(spec: RunSpec): string {
  return digest(spec).slice(0, 16);
}

/** The file of a run. */
export function runFile(dir: string, spec: RunSpec): string {
  return join(dir, "runs", `${spec.id}.json`);
}

/** Keeps a finished run; the file is there as a whole or not at all. */
export async function saveRun(dir: string, record: RunRecord): Promise<void> {
  await Deno.mkdir(join(dir, "runs"), { recursive: true });
  await writeFileAtomic(runFile(dir, record.spec), JSON.stringify(record) + "\n");
}

/**
 * Reads a finished run.
 *
 * @returns `undefined` if it is not finished.
 * @throws {RangeError} If the file is of other settings.
 */
export async function loadRun(dir: string, spec: RunSpec): Promise<RunRecord | undefined> {
  const path = runFile(dir, spec);
  if (!await fileExists(path)) return undefined;
  const record = await readJsonObject(path) as unknown as RunRecord;
  if (record.settings !== settingsDigest(spec)) {
    throw new RangeError(
      `${path} was made with other settings than this comparison has: give another folder`,
    );
  }
  return record;
}
