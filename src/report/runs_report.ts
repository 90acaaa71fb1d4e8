/**
 * The report of several training runs side by side.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import type { MetricsRecord } from "../run/metrics_log.ts";
import { readRunConfig, readRunMetrics, type RunConfig } from "../run/run_directory.ts";
import { chart, type LinePoint, lines } from "./chart.ts";
import { type Figure, type Page, paragraph, type Section, table } from "./page.ts";
import { entriesOf, resolvedOptions } from "./run_description.ts";
import { errorOf, type EvaluationAt, evaluationsOf, headlines } from "./run_evaluations.ts";
import { describeMethod } from "./training_report.ts";

const STEP = "training/global_step";
/** Steps of the moving mean. */
const WINDOW = 5;
/** Standard errors on either side of a 95 % interval. */
const Z = 1.96;

/** A run that is shown beside others. */
interface ShownRun {
  /** Name of its curves. */
  readonly name: string;
  readonly config: RunConfig;
  readonly steps: readonly MetricsRecord[];
  readonly evaluations: readonly EvaluationAt[];
}

/**
 * The page of several runs.
 *
 * @param dirs Their folders.
 * @throws {Deno.errors.NotFound} If one of them is not the folder of a training run.
 */
export async function runsPage(dirs: readonly string[]): Promise<Page> {
  const names = namesOf(dirs);
  const runs = await Promise.all(dirs.map((dir, i) => readRun(dir, names[i]!)));
  const sections: Section[] = [
    { title: "Results", body: resultsOf(runs) },
    { title: "Curves", body: "", figures: await curvesOf(runs) },
    { title: "Settings that differ", body: differencesOf(runs) },
  ];
  return {
    title: `${runs.length} runs of ${
      [...new Set(runs.map(({ config }) => config.task))].join(", ")
    }`,
    lead: dirs.join(", "),
    sections,
  };
}

/** The last parts of paths, or all of them where those are the same. */
function namesOf(dirs: readonly string[]): string[] {
  const last = dirs.map((dir) => basename(resolve(dir)));
  return new Set(last).size === dirs.length ? last : [...dirs];
}

async function readRun(dir: string, name: string): Promise<ShownRun> {
  const config = await readRunConfig(dir);
  const metrics = await readRunMetrics(dir);
  return {
    name,
    config,
    steps: metrics.filter((line) => typeof line["reward/mean"] === "number"),
    evaluations: evaluationsOf(metrics, config.task),
  };
}

/** The figures of the last evaluation of each run, with what they were before. */
function resultsOf(runs: readonly ShownRun[]): string {
  const names = [
    ...new Set(runs.flatMap(({ evaluations }) => evaluations.slice(-1).flatMap(headlines))),
  ];
  const text = (at: EvaluationAt | undefined, name: string) => {
    const value = at?.figures[name];
    if (value === undefined) return "–";
    const error = errorOf(at!, name);
    return value.toFixed(3) + (error === undefined ? "" : ` ± ${(Z * error).toFixed(3)}`);
  };
  return paragraph(
    "After training, and before it in brackets; ± half a 95 % interval over prompts.",
  ) +
    table(
      ["run", "method", "seed", "steps", ...names],
      runs.map(({ name, config, steps, evaluations }) => [
        name,
        describeMethod(config),
        String(config.seed ?? "–"),
        String(steps.length),
        ...names.map((figure) => {
          const [before, after] = [evaluations[0], evaluations.at(-1)];
          return before === after
            ? text(after, figure)
            : `${text(after, figure)} (${text(before, figure)})`;
        }),
      ]),
    );
}

async function curvesOf(runs: readonly ShownRun[]): Promise<Figure[]> {
  const list: Figure[] = [];
  const draw = async (
    title: string,
    y: string,
    points: readonly LinePoint[],
    caption: string,
    marked = false,
  ) => {
    if (points.every(({ y }) => !Number.isFinite(y))) return;
    const series = runs.map(({ name }) => name);
    list.push({
      name: title.toLowerCase().replaceAll(" ", "_"),
      svg: await chart(
        lines(points, { title, x: "step", y, series, points: marked }),
        `${title}. ${caption}`,
      ),
      caption,
    });
  };
  const smooth = (metric: string) =>
    runs.flatMap(({ name, steps }) => {
      const known = steps.filter((line) => typeof line[metric] === "number");
      return known.map((line, i) => {
        const window = known.slice(Math.max(0, i - WINDOW + 1), i + 1);
        const y = window.reduce((sum, w) => sum + Number(w[metric]), 0) / window.length;
        return { x: line[STEP], y, series: name };
      });
    });
  const caption = `Mean of ${WINDOW} steps.`;
  await draw("Training reward", "mean reward", smooth("reward/mean"), caption);
  await draw(
    "Held-out problems",
    "mean reward",
    runs.flatMap(({ name, evaluations }) =>
      evaluations.flatMap((at) => {
        const figure = headlines(at)[0];
        if (figure === undefined) return [];
        const [y, error] = [at.figures[figure]!, errorOf(at, figure)];
        const ends = error === undefined ? {} : { low: y - Z * error, high: y + Z * error };
        return [{ x: at.step, y, ...ends, series: name }];
      })
    ),
    "Mean reward of samples, with its 95 % interval over prompts.",
    true,
  );
  await draw("Response length", "tokens", smooth("response_length/mean"), caption);
  await draw("Entropy", "nats per token", smooth("actor/entropy"), caption);
  await draw("Gradient norm before clipping", "global norm", smooth("actor/grad_norm"), caption);
  return list;
}

/** Settings, shape and device in which the runs are not all alike. */
function differencesOf(runs: readonly ShownRun[]): string {
  const settings = runs.map(({ config }) => {
    const { task, dtype, numbers, options, policy } = config;
    return new Map<string, string>(
      [
        ["task", task] as const,
        ...entriesOf(resolvedOptions(options)),
        ...entriesOf(policy),
        ...entriesOf({ dtype, numbers }),
      ].map(([name, value]) => [name, JSON.stringify(value) ?? "–"]),
    );
  });
  const names = [...new Set(settings.flatMap((map) => [...map.keys()]))]
    .filter((name) => new Set(settings.map((map) => map.get(name))).size > 1);
  if (names.length === 0) return paragraph("None: the runs have the same settings.");
  return table(
    ["setting", ...runs.map(({ name }) => name)],
    names.map((
      name,
    ) => [name, ...settings.map((map) => (map.get(name) ?? "–").replaceAll('"', ""))]),
  );
}
