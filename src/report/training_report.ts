/**
 * The report of a training run.
 *
 * @module
 */

import { join } from "node:path";
import { fileExists } from "../files/json_file.ts";
import { type MetricsRecord, readTexts, STEP } from "../run/metrics_log.ts";
import { readRunConfig, readRunMetrics, type RunConfig } from "../run/run_directory.ts";
import {
  facts,
  type Page,
  paragraph,
  samplePairs,
  type Section,
  type ShownSample,
  table,
} from "./page.ts";
import { describeRun, entriesOf } from "./run_description.ts";
import {
  ERROR,
  errorOf,
  type EvaluationAt,
  evaluationsOf,
  headlines,
  isAccuracy,
} from "./run_evaluations.ts";
import { Z } from "./run_figures.ts";
import { trainingCurves } from "./training_curves.ts";

/** Completions shown of a step. */
const SHOWN = 6;

/** Reads a run's folder and writes its page. */
export async function trainingPage(dir: string): Promise<Page> {
  const config = await readRunConfig(dir);
  const metrics = await readRunMetrics(dir);
  const steps = metrics.filter((record) => typeof record["reward/mean"] === "number");
  const evaluations = evaluationsOf(metrics, config.task);
  const last = metrics.at(-1)?.[STEP] ?? 0;
  const drawn = await trainingCurves(config, steps, evaluations);
  const sections: Section[] = [
    { title: "Result", body: resultOf(evaluations, steps) },
    {
      title: "Curves",
      body: drawn.length > 0 ? "" : paragraph("No step has been made."),
      figures: drawn,
    },
  ];
  const samples = await completions(dir);
  if (samples) sections.push({ title: "Completions, first and last step", body: samples });
  sections.push(...describeRun(config));
  return {
    title: `${config.task}: ${last} steps of ${describeMethod(config)}`,
    lead: `Seed ${config.seed ?? "–"}, ${dir}`,
    sections,
  };
}

/** The rule of a run, with its exponent where it has one. */
export function describeMethod({ options }: RunConfig): string {
  const { lossAggregation, lossAlpha, objective } = Object.fromEntries(entriesOf(options));
  const own = Object.fromEntries(entriesOf(objective)).name;
  if (own !== undefined) return String(own);
  return lossAggregation === "deltaL"
    ? `ΔL α = ${lossAlpha}`
    : String(lossAggregation ?? "training");
}

function resultOf(evaluations: readonly EvaluationAt[], steps: readonly MetricsRecord[]): string {
  const [before, after] = [evaluations[0], evaluations.at(-1)];
  const text = (at: EvaluationAt | undefined, name: string) => {
    const value = at?.figures[name];
    if (value === undefined) return "–";
    if (name === "prompts") return String(value);
    if (name.startsWith("rewards/")) return value.toFixed(3);
    if (!/@|greedy|clip_ratio/.test(name)) return value.toFixed(name === "entropy" ? 2 : 1);
    if (/^mean@|greedy/.test(name) && !isAccuracy(at!)) return value.toFixed(3);
    const error = errorOf(at!, name);
    return `${(100 * value).toFixed(1)} %` +
      (error === undefined ? "" : ` ± ${(100 * Z * error).toFixed(1)}`);
  };
  const names = Object.keys(after?.figures ?? {}).filter((name) => !name.endsWith(ERROR));
  const trained = before !== after;
  const seconds = steps.reduce((sum, s) => sum + Number(s["timing_s/step"] ?? 0), 0);
  const time = seconds < 120 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} minutes`;
  return facts([
    ...(after ? headlines(after) : []).map((name) =>
      [name, text(after, name), trained ? `before ${text(before, name)}` : ""] as const
    ),
    ["steps", String(steps.length), seconds > 0 ? time : ""],
  ]) + (after === undefined ? paragraph("No evaluation has been made.") : table(
    ["held-out problems (± half a 95 % interval)", ...(trained ? ["before", "after"] : ["now"])],
    names.map((name) => [name, ...(trained ? [text(before, name)] : []), text(after, name)]),
  ));
}

/** Completions of the first and the last step, if the run kept any. */
async function completions(dir: string): Promise<string | undefined> {
  const path = join(dir, "completions.jsonl");
  if (!await fileExists(path)) return undefined;
  const records = await readTexts(path);
  const [first, last] = [records[0]?.[STEP], records.at(-1)?.[STEP]];
  if (first === undefined || last === undefined) return undefined;
  const of = (step: number) =>
    differentPrompts(records.filter((record) => record[STEP] === step) as unknown as ShownSample[]);
  return samplePairs([`step ${first}`, `step ${last}`], [of(first), of(last)]);
}

/** Completions of different prompts; of the same ones again where there are too few. */
function differentPrompts(samples: readonly ShownSample[]): ShownSample[] {
  const groups = [...Map.groupBy(samples, ({ prompt }) => prompt).values()].map(differentAnswers);
  const most = Math.max(0, ...groups.map((group) => group.length));
  const rounds = Array.from({ length: most }, (_, i) => groups.flatMap((group) => group[i] ?? []));
  return rounds.flat().slice(0, SHOWN);
}

/** Each completion of a prompt once. */
function differentAnswers(samples: readonly ShownSample[]): ShownSample[] {
  return [...new Map(samples.map((sample) => [sample.completion, sample])).values()];
}
