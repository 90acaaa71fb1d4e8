/**
 * Curves of runs: points from their metrics, drawn unless there is nothing to see.
 *
 * @module
 */

import { type MetricsRecord, STEP } from "../run/metrics_log.ts";
import { chart, type LinePoint, lines, type LinesOptions } from "./chart.ts";
import type { Figure } from "./page.ts";
import { errorOf, type EvaluationAt } from "./run_evaluations.ts";

/** Steps of the moving mean. */
export const WINDOW = 5;
/** Standard errors on either side of a 95 % interval. */
export const Z = 1.96;

/** A metric of some steps with its moving mean, as a line of that name. */
export function smoothed(
  steps: readonly MetricsRecord[],
  metric: string,
  series: string,
): LinePoint[] {
  const known = steps.filter((step) => typeof step[metric] === "number");
  return known.map((step, i) => {
    const window = known.slice(Math.max(0, i - WINDOW + 1), i + 1);
    const y = window.reduce((sum, w) => sum + Number(w[metric]), 0) / window.length;
    return { x: step[STEP], y, series };
  });
}

/** A figure of an evaluation with its 95 % interval, where it has one. */
export function heldOutPoint(at: EvaluationAt, name: string, series: string): LinePoint {
  const [y, error] = [at.figures[name]!, errorOf(at, name)];
  const ends = error === undefined ? {} : { low: y - Z * error, high: y + Z * error };
  return { x: at.step, y, ...ends, series };
}

/** Figures over the steps, in the order they are drawn in. */
export class RunFigures {
  /** Those drawn. */
  readonly list: Figure[] = [];

  /** Draws lines, if any point is to be seen. */
  async draw(
    points: readonly LinePoint[],
    options: Omit<LinesOptions, "x">,
    caption: string,
  ): Promise<void> {
    if (points.every(({ y }) => !Number.isFinite(y))) return;
    this.list.push({
      name: options.title.toLowerCase().replaceAll(/[ -]/g, "_"),
      svg: await chart(lines(points, { ...options, x: "step" }), `${options.title}. ${caption}`),
      caption,
    });
  }
}
