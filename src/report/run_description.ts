/**
 * What a training run was: its objective as formulas, its settings, and how to make it again.
 *
 * @module
 */

import { rewardScale } from "../objective/advantage.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { describeObjective } from "../rl/describe_objective.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { RunConfig } from "../run/run_directory.ts";
import { code, definitions, paragraph, type Section, settings } from "./page.ts";

/** Names and values of an object; none for what is no object. */
export function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

/** The sections about what was run. */
export function describeRun(config: RunConfig): Section[] {
  const { options, policy, dtype, cacheDtype, adapter, versions, numbers, kernels } = config;
  const known = (entries: object): [string, unknown][] =>
    Object.entries(entries).filter(([, value]) => value !== undefined);
  const stored = known({ dtype, cacheDtype });
  const more = known({ numbers, kernels });
  return [
    { title: "What was run", body: objectiveOf(config) + commandsOf(config) },
    {
      title: "Settings",
      body: settings([...entriesOf(resolvedOptions(options)), ...runSettings(config)]),
    },
    { title: "Policy", body: settings([...entriesOf(policy), ...stored]) },
    {
      title: "What it ran on",
      body: settings([...entriesOf(adapter), ...more, ...entriesOf(versions)]),
    },
  ];
}

/** Whether the settings are those of a run of this version, so that a formula can be made of them. */
function isComplete(options: unknown): options is ResolvedTrainOptions {
  const { policyLoss, lossAggregation, advantageEstimator, promptsPerStep } = Object.fromEntries(
    entriesOf(options),
  );
  return [policyLoss, lossAggregation, advantageEstimator].every((v) => typeof v === "string") &&
    typeof promptsPerStep === "number";
}

/** The settings with what the surrogate and the estimator take where nothing was given. */
export function resolvedOptions(options: unknown): unknown {
  if (!isComplete(options)) return options;
  const { advantageEstimator, scaleRewards } = options;
  return {
    ...options,
    ...surrogateSettings(options),
    scaleRewards: rewardScale(advantageEstimator, scaleRewards),
  };
}

/** The run's own settings, beside those of training. */
function runSettings(config: RunConfig): [string, unknown][] {
  const names = ["saveSteps", "keepCheckpoints", "saveBest", "patience", "logCompletions"];
  return names.filter((name) => config[name] !== undefined).map((name) => [name, config[name]]);
}

function objectiveOf(config: RunConfig): string {
  const lines: [string, string][] = isComplete(config.options)
    ? describeObjective(config.options)
    : [];
  const start = sourceOf(config.source);
  return definitions([
    ["task", taskOf(config)],
    ...(start ? [["policy", start] as const] : []),
    ...lines,
  ]) +
    (lines.length > 0
      ? paragraph(
        "r is the reward, L the length of a response, ρ = π/π_old the ratio of a token; i counts " +
          "responses, t tokens. What is minimised is the loss.",
      )
      : "");
}

function taskOf({ task, taskFiles }: RunConfig): string {
  const files = entriesOf(taskFiles).map(([, file]) => Object.fromEntries(entriesOf(file)).path);
  return files.length > 0 ? `${task} (${files.join(", ")})` : task;
}

/** Where the policy came from, in words. */
function sourceOf(source: unknown): string | undefined {
  const { kind, dir, seed, recipe } = Object.fromEntries(entriesOf(source));
  if (kind === "folder") return `that of ${dir}`;
  if (kind === "random") return `random weights of seed ${seed}`;
  if (kind !== "warmStart") return undefined;
  const { steps, batchSize, learningRate, seed: first } = Object.fromEntries(entriesOf(recipe));
  return `random weights of seed ${first}, then a warm start: ${steps} steps of ${batchSize} ` +
    `demonstrations with a peak learning rate of ${learningRate}`;
}

function commandsOf({ command, started, resumed }: RunConfig): string {
  const sessions = [
    { about: `begun ${started ?? ""}`.trim(), command },
    ...(Array.isArray(resumed) ? resumed : []).map(({ step, at, command }) => ({
      about: `resumed after step ${step}, ${at}`,
      command,
    })),
  ].filter((session): session is { about: string; command: string } =>
    typeof session.command === "string"
  );
  if (sessions.length === 0) return "";
  return sessions.map((session) => code(session.command, session.about)).join("\n") + paragraph(
    "The same commands on a device with the same numbers and the same version give the same bytes; " +
      "with --out in another folder.",
  );
}
