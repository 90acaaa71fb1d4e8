/**
 * The comparison's numbers: each method's mean with interval, and its paired difference from the reference.
 *
 * @module
 */

import { ARMS, cellName, REFERENCE_ARM } from "./comparison_plan.ts";
import type { RunRecord } from "./comparison_run.ts";
import { monotonicityScore } from "./monotonicity.ts";
import { mean } from "../objective/moments.ts";
import { type Interval, median, studentInterval } from "./statistics.ts";

/** A figure of one run. */
export interface Measure {
  /** Key in JSON. */
  readonly name: string;
  /** Heading. */
  readonly title: string;
  /** What exactly it is. */
  readonly about: string;
  /** Digits after the point. */
  readonly digits: number;
  /** Whether a difference from the reference says something. */
  readonly compared?: boolean;
  /** Its value. */
  readonly of: (run: RunRecord) => number;
}

/** Steps whose mean reward is looked at together when the crossing of the target is timed. */
const WINDOW = 5;

/** A metric's values, absent ones left out. */
function column(run: RunRecord, name: string): number[] {
  return (run.metrics[name] ?? []).filter((value): value is number => value !== null);
}

const last = (values: readonly number[], share: number): number[] =>
  values.slice(-Math.max(1, Math.ceil(values.length * share)));

/** First step at which the mean reward of the last {@linkcode WINDOW} steps, or of all if the run has fewer, reaches the target; Infinity if none. */
function stepsToTarget(run: RunRecord): number {
  const rewards = column(run, "reward/mean");
  const window = Math.max(1, Math.min(WINDOW, rewards.length));
  for (let end = window; end <= rewards.length; end++) {
    if (mean(rewards.slice(end - window, end)) >= run.spec.cell.targetReward) return end;
  }
  return Infinity;
}

/** Share of steps whose gradient was scaled down. */
function clippedShare(run: RunRecord): number {
  const limit = Number(run.options?.maxGradNorm ?? 0);
  return mean(column(run, "actor/grad_norm").map((norm) => limit > 0 && norm > limit ? 1 : 0));
}

/** What is reported of every run. */
export const MEASURES: readonly Measure[] = [
  {
    name: "accuracy",
    title: "mean@8 at the end",
    about: "mean reward of 8 samples per held-out prompt after the last step",
    digits: 3,
    compared: true,
    of: (run) => run.evaluation.meanAtN,
  },
  {
    name: "passAt8",
    title: "pass@8 at the end",
    about: "share of held-out prompts that any of 8 samples solves",
    digits: 3,
    compared: true,
    of: (run) => run.evaluation.passAtN,
  },
  {
    name: "meanReward",
    title: "training reward, all steps",
    about: "mean reward of the rollouts over all steps, the area under the learning curve",
    digits: 3,
    compared: true,
    of: (run) => mean(column(run, "reward/mean")),
  },
  {
    name: "lateReward",
    title: "training reward, last quarter",
    about: "mean reward of the rollouts over the last quarter of the steps",
    digits: 3,
    compared: true,
    of: (run) => mean(last(column(run, "reward/mean"), 0.25)),
  },
  {
    name: "stepsToTarget",
    title: "steps to target",
    about:
      `first step at which the mean reward of ${WINDOW} steps (of all, if there are fewer) reaches the cell's target; ` +
      "infinite for a run that never does",
    digits: 1,
    of: stepsToTarget,
  },
  {
    name: "monotonicity",
    title: "monotonicity",
    about: "Spearman rank correlation of step and mean training reward (our definition)",
    digits: 2,
    of: (run) => monotonicityScore(column(run, "reward/mean")),
  },
  {
    name: "entropy",
    title: "entropy, last quarter",
    about: "mean entropy in nats of the distributions the rollouts' tokens were drawn from",
    digits: 3,
    of: (run) => mean(last(column(run, "actor/entropy"), 0.25)),
  },
  {
    name: "length",
    title: "length at the end",
    about: "mean tokens of a held-out response after the last step",
    digits: 1,
    of: (run) => run.evaluation.meanLength,
  },
  {
    name: "truncated",
    title: "cut off",
    about: "share of held-out responses that the length limit cut off",
    digits: 3,
    of: (run) => run.evaluation.truncated,
  },
  {
    name: "gradNorm",
    title: "gradient norm",
    about: "global norm before clipping, mean over all steps",
    digits: 4,
    of: (run) => mean(column(run, "actor/grad_norm")),
  },
  {
    name: "gradNormSpread",
    title: "its variation",
    about: "standard deviation over mean of the norm before clipping, over the steps of a run",
    digits: 2,
    of: (run) => {
      const norms = column(run, "actor/grad_norm");
      const m = mean(norms);
      return Math.sqrt(mean(norms.map((v) => (v - m) ** 2))) / m;
    },
  },
  {
    name: "clipped",
    title: "steps clipped",
    about: "share of steps whose gradient norm exceeded maxGradNorm",
    digits: 2,
    of: clippedShare,
  },
];

/** One method's row. */
export interface ArmRow {
  /** Id of the arm, or `"warm-start"`. */
  readonly arm: string;
  /** Its name. */
  readonly title: string;
  /** Seeds finished. */
  readonly seeds: readonly number[];
  /** Runs that stopped early. */
  readonly failures: number;
  /** Interval of each measure over seeds; of `stepsToTarget` the median and how many reached it. */
  readonly measures: Readonly<Record<string, Interval>>;
  /** Interval of each compared measure's difference from the reference, over the seeds both have. */
  readonly differences: Readonly<Record<string, Interval>>;
  /** Runs that reached the target. */
  readonly reached: number;
}

/** Rows of one cell at one learning rate. */
export interface CellTable {
  /** Name of the cell. */
  readonly cell: string;
  /** Step size. */
  readonly learningRate: number;
  /** Multiple of the cell's own learning rate. */
  readonly learningRateFactor: number;
  /** Target of `stepsToTarget`. */
  readonly targetReward: number;
  /** One per method, in the order of {@linkcode ARMS}; the warm start first. */
  readonly rows: readonly ArmRow[];
  /** Whether all runs began from the same weights, without which nothing is paired. */
  readonly sameWarmStart: boolean;
  /** Adapters the runs were made on. */
  readonly adapters: readonly string[];
}

/** Name of a record's cell. */
export function cellOf({ spec }: RunRecord): string {
  return cellName(spec.cell);
}

/** Groups runs by cell and learning rate and computes every row. */
export function comparisonTables(runs: readonly RunRecord[]): CellTable[] {
  const groups = Map.groupBy(
    runs.filter(({ spec }) => spec.arm),
    (run) => `${cellOf(run)} ${run.spec.learningRate}`,
  );
  return [...groups.values()].map((group) => {
    const { cell, learningRate } = group[0]!.spec;
    const name = cellOf(group[0]!);
    const starts = runs.filter((run) => !run.spec.arm && cellOf(run) === name);
    const reference = group.filter(({ spec }) => spec.arm!.id === REFERENCE_ARM);
    const rows = ARMS
      .map(({ id, title }) => ({
        id,
        title,
        runs: group.filter(({ spec }) => spec.arm!.id === id),
      }))
      .filter(({ runs }) => runs.length > 0)
      .map(({ id, title, runs }) => armRow(id, title, runs, id === REFERENCE_ARM ? [] : reference));
    if (starts.length > 0) rows.unshift(startRow(starts));
    const all = [...starts, ...group];
    return {
      cell: name,
      learningRate,
      learningRateFactor: Number((learningRate / cell.learningRate).toPrecision(3)),
      targetReward: cell.targetReward,
      rows,
      sameWarmStart: new Set(all.map(({ warmStart }) => warmStart)).size === 1,
      adapters: [...new Set(all.map((run) => run.provenance.adapter.description))],
    };
  });
}

/** The warm start has an evaluation and no steps. */
function startRow(runs: readonly RunRecord[]): ArmRow {
  const evaluated = MEASURES.filter(({ name }) =>
    ["accuracy", "passAt8", "length", "truncated"].includes(name)
  );
  return {
    arm: "warm-start",
    title: "warm start",
    seeds: seedsOf(runs),
    failures: 0,
    measures: Object.fromEntries(
      evaluated.map(({ name, of }) => [name, studentInterval(runs.map(of))]),
    ),
    differences: {},
    reached: 0,
  };
}

function armRow(
  arm: string,
  title: string,
  runs: readonly RunRecord[],
  reference: readonly RunRecord[],
): ArmRow {
  const measures: Record<string, Interval> = {};
  const differences: Record<string, Interval> = {};
  for (const { name, of, compared } of MEASURES) {
    const values = runs.map(of);
    measures[name] = name === "stepsToTarget"
      ? { mean: median(values), low: NaN, high: NaN, n: values.length }
      : studentInterval(values);
    if (!compared || reference.length === 0) continue;
    const pairs = runs.flatMap((run) => {
      const other = reference.find(({ spec }) => spec.seed === run.spec.seed);
      return other ? [of(run) - of(other)] : [];
    });
    if (pairs.length > 0) differences[name] = studentInterval(pairs);
  }
  return {
    arm,
    title,
    seeds: seedsOf(runs),
    failures: runs.filter(({ failure }) => failure !== undefined).length,
    measures,
    differences,
    reached: runs.filter((run) => stepsToTarget(run) < Infinity).length,
  };
}

function seedsOf(runs: readonly RunRecord[]): number[] {
  return runs.map(({ spec }) => spec.seed).sort((a, b) => a - b);
}
