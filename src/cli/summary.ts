/**
 * The closing summary of a training run.
 *
 * @module
 */

import { problemsAsked } from "../rl/evaluation.ts";
import { lossCancels } from "../rl/loss_value.ts";
import { describeHeldOut, promptsAsked, seenInTraining } from "../rl/seen_in_training.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { Checkpointable } from "../run/trainer_checkpoint.ts";
import {
  bestCheckpointOf,
  type BestEvaluation,
  type RunCheckpoints,
} from "../run/run_checkpoints.ts";
import { callableHere } from "./command_name.ts";
import {
  askedAlike,
  type EvaluationFigures,
  evaluationTable,
  overlongLines,
} from "./evaluation_table.ts";
import { bold, byteSize, count, dim, duration, short, wrap } from "./style.ts";
import { PHASES, type Totals } from "./totals.ts";

/** What the summary is made of. */
export interface SummaryFacts
  extends Readonly<Pick<Checkpointable, "task" | "options" | "completedSteps">> {
  /** What this session did. */
  readonly totals: Totals;
  /** Whether it was interrupted. */
  readonly interrupted: boolean;
  /** Its checkpoints. */
  readonly checkpoints: RunCheckpoints;
  /** The evaluation before training. */
  readonly before: EvaluationFigures | undefined;
  /** The evaluation after it. */
  readonly after: EvaluationFigures | undefined;
  /** Seconds spent compiling kernels. */
  readonly compileSeconds: number;
  /** The most bytes of GPU memory. */
  readonly peakBytes: number;
  /** Folder of the run. */
  readonly dir: string;
  /** Where else its metrics are shown. */
  readonly places: readonly string[];
}

/** Column where what an entry says begins. */
const COLUMN = 12;

/**
 * The closing summary.
 *
 * @param facts What it is made of.
 * @param width Columns that its lines are to fit in.
 */
export function formatSummary(facts: SummaryFacts, width: number): string {
  const { task, totals, options, completedSteps, interrupted, before, after, dir } = facts;
  const { best, exhausted, settings } = facts.checkpoints;
  const state = interrupted
    ? `Stopped after ${completedSteps} of ${options.maxSteps} steps`
    : exhausted
    ? `Ended early, after ${completedSteps} of ${options.maxSteps} steps`
    : `Done: ${completedSteps} steps`;
  const columns = [{ title: "before", figures: before }, { title: "after", figures: after }];
  const { seed, evalPrompts } = options;
  const trainPrompts = promptsAsked(options, completedSteps);
  const seen = seenInTraining(task, { seed, evalPrompts, trainPrompts });
  const evaluated = before || after
    ? [
      ...evaluationTable(task, columns, options.numGenerationsEval),
      dim(
        (askedAlike(task, columns) ? "" : "after training: ") +
          describeHeldOut(problemsAsked(task, "eval", evalPrompts), task, seen),
      ),
      ...overlongLines(task).map(dim),
      "",
    ]
    : [];
  const next: [string, string] = interrupted
    ? ["go on with", callableHere(`deno task train --resume ${dir}`)]
    : ["look at it", callableHere(`deno task sample ${dir}`)];
  const compiling = duration(facts.compileSeconds);
  const entries: [label: string, text: string][] = [
    ["time", times(totals)],
    ...(totals.steps > 0 ? effort(totals, options) : []),
    ["compiling", `${compiling} for kernels before their first use, within the times above`],
    ["memory", `${byteSize(facts.peakBytes)} of GPU memory at most`],
    ...(best && (settings.saveBest || settings.patience > 0) ? [bestEntry(facts, best)] : []),
    ["written to", `${dir}: config.json, metrics.jsonl, completions.jsonl, checkpoint/`],
    ...facts.places.map((place): [string, string] => ["shown by", place]),
    next,
  ];
  return [
    "",
    bold(`${state} of ${task.name} in ${duration(totals.elapsed)}`),
    "",
    ...evaluated,
    ...entries.flatMap(([label, text]) =>
      wrap(text, width - COLUMN).map((line, i) => (i === 0 ? label : "").padEnd(COLUMN) + line)
    ),
  ].join("\n");
}

/** The best evaluation, where its checkpoint is, and whether it ended the run. */
function bestEntry(
  { checkpoints: { settings, exhausted }, dir }: SummaryFacts,
  { step, value }: BestEvaluation,
): [label: string, text: string] {
  const { metric, patience, saveBest } = settings;
  const text = `${metric} ${value.toFixed(4)} after step ${step}` +
    (saveBest ? `, kept in ${bestCheckpointOf(dir)}` : "") +
    (exhausted ? `; ${count(patience, "evaluation")} since then found none better` : "");
  return ["best", text];
}

/** Seconds and shares of the phases. */
function times(totals: Totals): string {
  const { elapsed } = totals;
  const parts: [string, number][] = PHASES.map((phase) => [phase, totals.seconds(phase)]);
  const rest = elapsed - parts.reduce((sum, [, seconds]) => sum + seconds, 0);
  return [...parts, ["other", rest] as const]
    .filter(([, seconds]) => seconds > 0)
    .map(([phase, seconds]) =>
      `${phase} ${duration(seconds)} (${Math.round(100 * seconds / elapsed)}%)`
    )
    .join(", ");
}

/** Speed, and what the GPU was asked for. */
function effort(totals: Totals, options: ResolvedTrainOptions): [label: string, text: string][] {
  const asked = (prefix: string) =>
    `${count(totals.mean(`${prefix}dispatches`), "dispatch", "dispatches")} in ` +
    count(totals.mean(`${prefix}submits`), "submit");
  const step = totals.mean("timing_s/step");
  const meaning = lossCancels(options)
    ? "near 0 as it should be: advantages cancel out, their gradient teaches"
    : "which says little: look at the reward";
  return [
    [
      "speed",
      `${short(totals.tokens / (step * totals.steps))} tokens/s over whole steps, ` +
      `${short(totals.tokens / totals.seconds("rollouts"))} tokens/s sampling, ` +
      `${duration(step)} per step`,
    ],
    ["per update", asked("perf/update_")],
    [
      "per step",
      `${asked("perf/")}, ` +
      `${byteSize(totals.mean("perf/bytes_to_gpu"))} to the GPU, ` +
      `${byteSize(totals.mean("perf/bytes_from_gpu"))} back`,
    ],
    ["loss", `${totals.mean("actor/pg_loss").toExponential(1)} on average, ${meaning}`],
  ];
}
