/**
 * The report of several training runs side by side.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import type { MetricsRecord } from "../run/metrics_log.ts";
import { readRunConfig, readRunMetrics, type RunConfig } from "../run/run_directory.ts";
import { type Figure, type Page, paragraph, type Section, table } from "./page.ts";
import { readEngineRun } from "./engine_run.ts";
import { entriesOf, resolvedOptions } from "./run_description.ts";
import { errorOf, type EvaluationAt, evaluationsOf, headlines } from "./run_evaluations.ts";
import { heldOutPoint, RunFigures, smoothed, WINDOW, Z } from "./run_figures.ts";
import { describeMethod } from "./training_report.ts";

/** A run that is shown beside others. */
interface ShownRun {
  /** Name of its curves. */
  readonly name: string;
  readonly config: RunConfig;
  readonly steps: readonly MetricsRecord[];
  readonly evaluations: readonly EvaluationAt[];
}

/**
 * The page of several runs, also of TRL's and verl's.
 *
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
    title: `${runs.length} run${runs.length > 1 ? "s" : ""} of ${
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
  const { config, metrics } = await readEngineRun(dir) ??
    { config: await readRunConfig(dir), metrics: await readRunMetrics(dir) };
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
  const figures = new RunFigures();
  const series = runs.map(({ name }) => name);
  const smooth = async (title: string, y: string, metric: string) =>
    await figures.draw(
      runs.flatMap(({ name, steps }) => smoothed(steps, metric, name)),
      { title, y, series },
      `Mean of ${WINDOW} steps.`,
    );
  await smooth("Training reward", "mean reward", "reward/mean");
  await figures.draw(
    runs.flatMap(({ name, evaluations }) =>
      evaluations.flatMap((at) =>
        headlines(at).slice(0, 1).map((figure) => heldOutPoint(at, figure, name))
      )
    ),
    { title: "Held-out problems", y: "mean reward", series, points: true },
    "Mean reward of samples, with its 95 % interval over prompts.",
  );
  await smooth("Response length", "tokens", "response_length/mean");
  await smooth("Entropy", "nats per token", "actor/entropy");
  await smooth("Gradient norm before clipping", "global norm", "actor/grad_norm");
  return figures.list;
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
