/**
 * The report of a training run.
 *
 * @module
 */

import { join } from "node:path";
import { fileExists } from "../files/json_file.ts";
import { type MetricsRecord, readMetrics } from "../run/metrics_log.ts";
import { readRunConfig, readRunMetrics, type RunConfig } from "../run/run_directory.ts";
import { chart, type LinePoint, lines } from "./chart.ts";
import {
  facts,
  type Figure,
  type Page,
  paragraph,
  samplePairs,
  type Section,
  settings,
  type ShownSample,
  table,
} from "./page.ts";

const STEP = "training/global_step";
/** Completions shown of a step. */
const SHOWN = 6;
/** Steps of the moving mean. */
const WINDOW = 5;
/** Standard errors on either side of a 95 % interval. */
const Z = 1.96;

/** Reads a run's folder and writes its page. */
export async function trainingPage(dir: string): Promise<Page> {
  const config = await readRunConfig(dir);
  const metrics = await readRunMetrics(dir);
  const steps = metrics.filter((record) => typeof record["reward/mean"] === "number");
  const evaluations = evaluationsOf(metrics, config.task);
  const last = metrics.at(-1)?.[STEP] ?? 0;
  const drawn = await curves(config, steps, evaluations);
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
  const { task: _task, options, policy, dtype, adapter, versions, ...rest } = config;
  const stored: [string, unknown][] = dtype === undefined ? [] : [["dtype", dtype]];
  sections.push(
    { title: "Settings", body: settings(entries(options)) },
    { title: "Policy", body: settings([...entries(policy), ...stored]) },
    {
      title: "What it ran on",
      body: settings([...entries(rest), ...entries(adapter), ...entries(versions)]),
    },
  );
  return {
    title: `${config.task}: ${last} steps of ${describeMethod(config)}`,
    lead: `Seed ${config.seed ?? "–"}, ${dir}`,
    sections,
  };
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function describeMethod({ options }: RunConfig): string {
  const { lossAggregation, lossAlpha } = Object.fromEntries(entries(options));
  return lossAggregation === "deltaL"
    ? `ΔL α = ${lossAlpha}`
    : String(lossAggregation ?? "training");
}

/** Evaluations by step: the metrics below `eval/<task>/`. */
interface EvaluationAt {
  readonly step: number;
  readonly figures: Readonly<Record<string, number>>;
}

function evaluationsOf(metrics: readonly MetricsRecord[], task: string): EvaluationAt[] {
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
const ERROR = "_error";

/** The figures that sum an evaluation up: mean@N, pass@N and greedy. */
function headlines({ figures }: EvaluationAt): string[] {
  const names = Object.keys(figures).filter((name) => !name.endsWith(ERROR));
  const meanAt = names.filter((name) => name.startsWith("mean@"));
  // pass@1, pass@2 … lie between mean@N and pass@N.
  const passAt = names.filter((name) => name.startsWith("pass@")).slice(-1);
  return [...meanAt, ...passAt, ...names.filter((name) => name === "greedy")];
}

/** Whether mean rewards are shares of right samples, as where every reward is 0 or 1. */
function isAccuracy({ figures }: EvaluationAt): boolean {
  const mean = Object.entries(figures).find(([name]) => /^mean@\d+$/.test(name))?.[1];
  return mean === undefined || Math.abs(mean - (figures["pass@1"] ?? mean)) < 1e-9;
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
    const error = at!.figures[name + ERROR];
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

/** A metric with its moving mean. */
function smoothed(steps: readonly MetricsRecord[], name: string, title: string): LinePoint[] {
  const points = steps.filter((s) => typeof s[name] === "number");
  return points.map((s, i) => {
    const window = points.slice(Math.max(0, i - WINDOW + 1), i + 1);
    const y = window.reduce((sum, w) => sum + Number(w[name]), 0) / window.length;
    return { x: s[STEP], y, series: title };
  });
}

async function curves(
  { options }: RunConfig,
  steps: readonly MetricsRecord[],
  evaluations: readonly EvaluationAt[],
): Promise<Figure[]> {
  const { promptsPerStep = 1, numGenerations = 1, maxGradNorm, maxCompletionLength } = Object
    .fromEntries(entries(options)) as Record<string, number | undefined>;
  const samples = promptsPerStep * numGenerations;
  const number = (record: MetricsRecord, name: string) => {
    const value = record[name];
    return typeof value === "number" ? value : NaN;
  };
  const each = (name: string, series: string): LinePoint[] =>
    steps.map((s) => ({ x: s[STEP], y: number(s, name), series }));
  const list: Figure[] = [];
  const draw = async (
    points: readonly LinePoint[],
    options: Parameters<typeof lines>[1],
    caption: string,
  ) => {
    if (points.every(({ y }) => !Number.isFinite(y))) return;
    list.push({
      name: options.title.toLowerCase().replaceAll(/[ -]/g, "_"),
      svg: await chart(lines(points, options), `${options.title}. ${caption}`),
      caption,
    });
  };
  await draw(
    steps.map((s) => {
      const half = Z * number(s, "reward/std") / Math.sqrt(samples);
      const y = number(s, "reward/mean");
      return { x: s[STEP], y, low: y - half, high: y + half, series: "reward" };
    }),
    { title: "Training reward", x: "step", y: "mean reward" },
    `Mean reward of each step's ${samples} completions; band: 95 % interval, completions taken as independent.`,
  );
  await draw(
    evaluations.flatMap((at) =>
      headlines(at).map((name) => {
        const y = at.figures[name]!;
        const error = at.figures[name + ERROR];
        const ends = error === undefined ? {} : { low: y - Z * error, high: y + Z * error };
        return { x: at.step, y, ...ends, series: name };
      })
    ),
    { title: "Held-out problems", x: "step", y: "share", domain: [0, 1], points: true },
    "Mean reward with its 95 % interval, share of problems that any sample solves, and greedy decoding.",
  );
  await draw(
    [
      ...steps.map((s) => {
        const y = number(s, "response_length/mean");
        const sd = number(s, "response_length/std");
        return { x: s[STEP], y, low: Math.max(0, y - sd), high: y + sd, series: "all" };
      }),
      ...smoothed(steps, "response_length/correct_mean", "right answers"),
      ...smoothed(steps, "response_length/incorrect_mean", "wrong answers"),
    ],
    {
      title: "Response length",
      x: "step",
      y: "tokens",
      series: ["all", "right answers", "wrong answers"],
    },
    `Mean; band: ± one standard deviation of the lengths. Right and wrong answers: mean of ${WINDOW} steps.` +
      (maxCompletionLength ? ` The limit is ${maxCompletionLength}.` : ""),
  );
  await draw(
    [
      ...each("actor/entropy", "each step"),
      ...smoothed(steps, "actor/entropy", `mean of ${WINDOW} steps`),
    ],
    { title: "Entropy", x: "step", y: "nats per token" },
    "Mean entropy of the distributions that the tokens of a step were drawn from.",
  );
  await draw(
    [
      ...each("actor/grad_norm", "each step"),
      ...smoothed(steps, "actor/grad_norm", `mean of ${WINDOW} steps`),
    ],
    { title: "Gradient norm before clipping", x: "step", y: "global norm" },
    maxGradNorm ? `Clipped to ${maxGradNorm}.` : "Never clipped.",
  );
  await draw(
    [
      ...each("frac_reward_zero_std", "groups without signal"),
      ...each("response_length/clip_ratio", "responses cut off"),
    ],
    { title: "Lost to learning", x: "step", y: "share", domain: [0, 1] },
    "Groups whose rewards are all equal teach nothing; responses at the length limit have no end.",
  );
  return list;
}

/** Completions of the first and the last step, if the run kept any. */
async function completions(dir: string): Promise<string | undefined> {
  const path = join(dir, "completions.jsonl");
  if (!await fileExists(path)) return undefined;
  const records = await readMetrics(path);
  const [first, last] = [records[0]?.[STEP], records.at(-1)?.[STEP]];
  if (first === undefined || last === undefined) return undefined;
  const of = (step: number) =>
    records.filter((record) => record[STEP] === step).slice(0, SHOWN) as unknown as ShownSample[];
  return samplePairs([`step ${first}`, `step ${last}`], [of(first), of(last)]);
}
