/**
 * The evaluations of a training run, from its metrics.
 *
 * @module
 */

import { type MetricsRecord, STEP } from "../run/metrics_log.ts";

/** Evaluations by step: the metrics below `eval/<task>/`. */
export interface EvaluationAt {
  /** Steps done before it. */
  readonly step: number;
  /** What it found, by name below that. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The evaluations of a run. */
export function evaluationsOf(metrics: readonly MetricsRecord[], task: string): EvaluationAt[] {
  const prefix = `eval/${task}/`;
  return metrics.flatMap((record) => {
    const figures = Object.entries(record).flatMap(([name, value]) =>
      name.startsWith(prefix) && typeof value === "number"
        ? [[name.slice(prefix.length), value] as const]
        : []
    );
    return figures.length > 0 ? [{ step: record[STEP], figures: Object.fromEntries(figures) }] : [];
  });
}

/** Suffix of the standard error of a figure. */
export const ERROR = "_error";

/** The standard error of a figure; `undefined` where there is none, as of a single prompt. */
export function errorOf({ figures }: EvaluationAt, name: string): number | undefined {
  const error = figures[name + ERROR];
  return Number.isFinite(error) ? error : undefined;
}

/** The figures that sum an evaluation up: mean@N, pass@N and greedy. */
export function headlines({ figures }: EvaluationAt): string[] {
  const names = Object.keys(figures).filter((name) => !name.endsWith(ERROR));
  const meanAt = names.filter((name) => name.startsWith("mean@"));
  // pass@1, pass@2 … lie between mean@N and pass@N.
  const passAt = names.filter((name) => name.startsWith("pass@")).slice(-1);
  return [...meanAt, ...passAt, ...names.filter((name) => name === "greedy")];
}

/** Whether mean rewards are shares of right samples, as where every reward is 0 or 1. */
export function isAccuracy({ figures }: EvaluationAt): boolean {
  const mean = Object.entries(figures).find(([name]) => /^mean@\d+$/.test(name))?.[1];
  return mean === undefined || Math.abs(mean - (figures["pass@1"] ?? mean)) < 1e-9;
}
