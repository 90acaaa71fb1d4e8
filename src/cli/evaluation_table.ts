/**
 * Evaluations side by side.
 *
 * @module
 */

import type { Task } from "../task/task.ts";
import type { MetricsRecord } from "../run/metrics_log.ts";
import { rewardInterval, shareInterval } from "../rl/evaluation_interval.ts";
import { percent } from "./style.ts";

/** The figures of an evaluation, by the names of the metrics. */
export type EvaluationFigures = Readonly<Record<string, number>>;

/** One column of {@linkcode evaluationTable}. */
export interface EvaluationColumn {
  /** Its heading; shown where there are several. */
  readonly title: string;
  /** Its figures; what is missing is shown as a dash. */
  readonly figures: EvaluationFigures | undefined;
}

/** What to say of prompts that are too long, if there are some. */
export function overlongLines({ overlongPrompts = 0, maxPromptLength }: Task): string[] {
  if (overlongPrompts === 0) return [];
  const [prompts, are] = overlongPrompts === 1 ? ["prompt", "is"] : ["prompts", "are"];
  return [`${overlongPrompts} ${prompts} of more than ${maxPromptLength} tokens ${are} left out`];
}

/** Names of the reward functions that figures speak of. */
function functionNames(task: Task, columns: readonly EvaluationColumn[]): string[] {
  const [prefix, suffix] = [`eval/${task.name}/rewards/`, "/mean"];
  const names = columns.flatMap(({ figures }) => Object.keys(figures ?? {}))
    .filter((name) => name.startsWith(prefix) && name.endsWith(suffix))
    .map((name) => name.slice(prefix.length, -suffix.length));
  return [...new Set(names)];
}

/** Whether a mean reward is the share of right samples; so where there is none, which is shown as a dash anyway. */
function isAccuracy(mean: number | undefined, right: number | undefined): boolean {
  return mean === undefined || (right !== undefined && Math.abs(mean - right) < 1e-9);
}

/** The evaluation after a step, 0 for that before training, as a run's own metrics have it. */
export function evaluationAt(
  metrics: readonly MetricsRecord[],
  task: Task,
  step: number,
): EvaluationFigures | undefined {
  const line = metrics.find((record) => record["training/global_step"] === step);
  const figures = Object.entries(line ?? {}).filter((entry): entry is [string, number] =>
    entry[0].startsWith(`eval/${task.name}/`) && typeof entry[1] === "number"
  );
  return figures.length > 0 ? Object.fromEntries(figures) : undefined;
}

/** Whether all evaluations asked as many prompts, so that one number speaks of each. */
export function askedAlike(task: Task, columns: readonly EvaluationColumn[]): boolean {
  const asked = columns.flatMap(({ figures }) => figures?.[`eval/${task.name}/prompts`] ?? []);
  return new Set(asked).size <= 1;
}

/** 95 % intervals of an evaluation's mean and greedy reward, as far as they are known. */
export interface EvaluationIntervals {
  /** Of the mean reward of N samples. */
  readonly meanAtN?: readonly [low: number, high: number];
  /** Of the greedy reward. */
  readonly greedy?: readonly [low: number, high: number];
}

/** The intervals of an evaluation; that of a greedy reward only where it is a share of right answers. */
export function evaluationIntervals(
  task: Task,
  figures: EvaluationFigures,
  numGenerations: number,
): EvaluationIntervals {
  const of = (name: string) => figures[`eval/${task.name}/${name}`];
  const name = `mean@${numGenerations}`;
  const [mean, error, prompts, greedy] = [
    of(name),
    of(`${name}_error`),
    of("prompts"),
    of("greedy"),
  ];
  if (mean === undefined || error === undefined || prompts === undefined) return {};
  if (!isAccuracy(mean, of("pass@1"))) return { meanAtN: rewardInterval(mean, error) };
  return {
    meanAtN: shareInterval(mean, prompts, numGenerations, error),
    ...(greedy === undefined ? {} : { greedy: shareInterval(greedy, prompts) }),
  };
}

/** A table: one row per figure, one column per evaluation. */
export function evaluationTable(
  task: Task,
  columns: readonly EvaluationColumn[],
  numGenerations: number,
): string[] {
  const n = numGenerations;
  const figure = ({ figures }: EvaluationColumn, name: string) =>
    figures?.[`eval/${task.name}/${name}`];
  // A mean reward is an accuracy only where it is the share of right samples.
  const shares = columns.every((column) =>
    isAccuracy(figure(column, `mean@${n}`), figure(column, "pass@1"))
  );
  const [accuracy, show] = shares
    ? ["accuracy", percent]
    : ["reward", (value: number) => value.toFixed(3)];
  const intervals = columns.map(({ figures = {} }) => evaluationIntervals(task, figures, n));
  const row = (
    label: string,
    name: string,
    show: (value: number) => string,
  ): [string, string[]] => [
    label,
    columns.map((column) => {
      const value = figure(column, name);
      return value === undefined ? "–" : show(value);
    }),
  ];
  const interval = (of: keyof EvaluationIntervals): [string, string[]][] =>
    intervals.every((known) => known[of] === undefined) ? [] : [[
      "  95 % interval",
      intervals.map((known) =>
        known[of]?.map((end) => show(end).replace(" %", "")).join("–") ?? "–"
      ),
    ]];
  const rows: [label: string, cells: string[]][] = [
    row(`${shares ? accuracy : `mean ${accuracy}`} (mean@${n})`, `mean@${n}`, show),
    ...interval("meanAtN"),
    ...(shares || n === 1 ? [] : [row("solved (pass@1)", "pass@1", percent)]),
    row(`solved by any of ${n} (pass@${n})`, `pass@${n}`, percent),
    row(`greedy ${accuracy}`, "greedy", show),
    ...interval("greedy"),
    ...functionNames(task, columns).map((name) =>
      row(`${name}, mean`, `rewards/${name}/mean`, (value) => value.toFixed(3))
    ),
    row("mean length, tokens", "response_length/mean", (value) => value.toFixed(1)),
    row("cut off by the limit", "response_length/clip_ratio", percent),
    ...(askedAlike(task, columns) ? [] : [row("prompts asked", "prompts", String)]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  const cell = Math.max(
    10,
    2 + Math.max(...rows.flatMap(([, cells]) => cells).map((c) => c.length)),
  );
  const line = (label: string, cells: readonly string[]) =>
    label.padEnd(width) + cells.map((text) => text.padStart(cell)).join("");
  return [
    ...(columns.length > 1 ? [line("", columns.map(({ title }) => title))] : []),
    ...rows.map(([label, cells]) => line(label, cells)),
  ];
}
