/**
 * The curves of a training run.
 *
 * @module
 */

import { type MetricsRecord, STEP } from "../run/metrics_log.ts";
import type { RunConfig } from "../run/run_directory.ts";
import type { LinePoint } from "./chart.ts";
import type { Figure } from "./page.ts";
import { entriesOf } from "./run_description.ts";
import { type EvaluationAt, headlines, isAccuracy } from "./run_evaluations.ts";
import { heldOutPoint, RunFigures, smoothed, WINDOW, Z } from "./run_figures.ts";

/**
 * The figures of a run.
 *
 * @param config Its settings.
 * @param steps Its lines that are of steps.
 * @param evaluations Its evaluations.
 */
export async function trainingCurves(
  { options }: RunConfig,
  steps: readonly MetricsRecord[],
  evaluations: readonly EvaluationAt[],
): Promise<Figure[]> {
  const { promptsPerStep = 1, numGenerations = 1, maxGradNorm, maxCompletionLength } = Object
    .fromEntries(entriesOf(options)) as Record<string, number | undefined>;
  const samples = promptsPerStep * numGenerations;
  const number = (record: MetricsRecord, name: string) => {
    const value = record[name];
    return typeof value === "number" ? value : NaN;
  };
  const each = (name: string, series: string): LinePoint[] =>
    steps.map((s) => ({ x: s[STEP], y: number(s, name), series }));
  const figures = new RunFigures();
  await figures.draw(
    steps.map((s) => {
      const half = Z * number(s, "reward/std") / Math.sqrt(samples);
      const y = number(s, "reward/mean");
      return { x: s[STEP], y, low: y - half, high: y + half, series: "reward" };
    }),
    { title: "Training reward", y: "mean reward" },
    `Mean reward of each step's ${samples} completions; band: 95 % interval, completions taken as independent.`,
  );
  await figures.draw(
    rewardFunctions(steps).flatMap((name) => smoothed(steps, `rewards/${name}/mean`, name)),
    { title: "Reward functions", y: "mean reward" },
    `What each function gave, mean of ${WINDOW} steps, before weights.`,
  );
  // Rewards beyond 1 are no shares, and would be cut off.
  const shares = evaluations.every(isAccuracy);
  await figures.draw(
    evaluations.flatMap((at) => headlines(at).map((name) => heldOutPoint(at, name, name))),
    {
      title: "Held-out problems",
      y: shares ? "share" : "mean reward, or share",
      domain: shares ? [0, 1] : undefined,
      points: true,
    },
    "Mean reward with its 95 % interval, share of problems that any sample solves, and greedy decoding.",
  );
  await figures.draw(
    [
      ...steps.map((s) => {
        const y = number(s, "response_length/mean");
        const sd = number(s, "response_length/std");
        return { x: s[STEP], y, low: Math.max(0, y - sd), high: y + sd, series: "all" };
      }),
      ...smoothed(steps, "response_length/correct_mean", "right answers"),
      ...smoothed(steps, "response_length/incorrect_mean", "wrong answers"),
    ],
    { title: "Response length", y: "tokens", series: ["all", "right answers", "wrong answers"] },
    `Mean; band: ± one standard deviation of the lengths. Right and wrong answers: mean of ${WINDOW} steps.` +
      (maxCompletionLength ? ` The limit is ${maxCompletionLength}.` : ""),
  );
  await figures.draw(
    [
      ...each("actor/entropy", "each step"),
      ...smoothed(steps, "actor/entropy", `mean of ${WINDOW} steps`),
    ],
    { title: "Entropy", y: "nats per token" },
    "Mean entropy of the distributions that the tokens of a step were drawn from.",
  );
  await figures.draw(
    [
      ...each("actor/grad_norm", "each step"),
      ...smoothed(steps, "actor/grad_norm", `mean of ${WINDOW} steps`),
    ],
    { title: "Gradient norm before clipping", y: "global norm" },
    maxGradNorm ? `Clipped to ${maxGradNorm}.` : "Never clipped.",
  );
  await figures.draw(
    [
      ...each("frac_reward_zero_std", "groups without signal"),
      ...each("response_length/clip_ratio", "responses cut off"),
    ],
    { title: "Lost to learning", y: "share", domain: [0, 1] },
    "Groups whose rewards are all equal teach nothing; responses at the length limit have no end.",
  );
  return figures.list;
}

/** Names of the reward functions that steps tell of. */
function rewardFunctions(steps: readonly MetricsRecord[]): string[] {
  const names = steps.flatMap((step) => Object.keys(step))
    .flatMap((name) => /^rewards\/(.+)\/mean$/.exec(name)?.[1] ?? []);
  return [...new Set(names)];
}
