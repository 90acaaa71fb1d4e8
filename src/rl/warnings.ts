/**
 * Warnings of a training run: what usually goes wrong, and what to do about it.
 *
 * @module
 */

import { truncates } from "../model/truncation.ts";
import { ADVANTAGES } from "../objective/advantage.ts";
import { mayWritePadding } from "./fit.ts";
import type { PolicyConfig } from "../model/config.ts";
import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** Steps in a row with hardly any signal before it is worth a warning. */
const PATIENCE = 5;
/** Share of responses cut off above which most of the batch says nothing about the task. */
const TRUNCATED = 0.5;
/** Share of prompts with equal rewards above which a step has hardly any gradient. */
const WITHOUT_SIGNAL = 0.9;
/** Entropy per token, in nats, below which hardly anything new is tried. */
const COLLAPSED_ENTROPY = 0.02;
/** Mean reward from which little signal and little entropy are what success looks like. */
const SOLVED = 0.95;

type Metrics = Readonly<Record<string, number>>;
type Completions = readonly (readonly number[])[];

/** A trouble with its remedy. */
interface Check {
  /** Steps in a row it has to last. */
  readonly patience: number;
  /** The warning, where a step has the trouble. */
  readonly find: (metrics: Metrics, completions: Completions) => string | undefined;
}

/** What is to be said of the settings themselves, once. */
function cautions(options: ResolvedTrainOptions): string[] {
  const { beta, klEstimator, klInReward, klAfterNormalization, scaleRewards } = options;
  const { whitens } = ADVANTAGES[options.advantageEstimator];
  const found: string[] = [];
  if (truncates(options)) {
    found.push(
      "topK, topP and minP leave tokens out of the samples that the loss goes on counting: log-probabilities and ratios are " +
        "those of the whole distribution, and the gradient is not that of the rewards of the truncated one. Temperature " +
        "alone has no such difference",
    );
  }
  if (beta === 0) return found;
  if (!klInReward && klEstimator === "k1") {
    found.push(
      "klEstimator k1 in the loss does not hold the policy to its reference: its gradient is 0 on average. Use k3Plus or k2",
    );
  }
  if (!klInReward && klEstimator === "k3") {
    found.push(
      "klEstimator k3 in the loss has not the gradient of the divergence, the further from the reference the less: " +
        "k3Plus has, with the same value",
    );
  }
  const divides = !options.objective?.advantages && (scaleRewards !== "none" || whitens);
  if (klInReward && !klAfterNormalization && divides) {
    const among = scaleRewards === "none" ? "batch's tokens" : scaleRewards;
    found.push(
      `klInReward comes before the division by the deviation of the ${among}: where rewards are equal, differences in ` +
        "divergence become advantages of order 1, small as beta may be. klAfterNormalization keeps its weight at beta",
    );
  }
  return found;
}

/** Turns what steps were like into warnings; each is given when a trouble begins, not at every step it lasts. */
export class TrainingWarnings {
  readonly #checks: readonly Check[];
  readonly #lasted: number[];
  #cautions: string[];

  /**
   * @param options Every setting of the run.
   * @param policy Whose configuration it is.
   * @param task What is learnt.
   */
  constructor(options: ResolvedTrainOptions, policy: PolicyConfig, task: Task) {
    this.#checks = [
      { patience: 1, find: (metrics) => truncation(metrics, options) },
      { patience: PATIENCE, find: (metrics) => lackOfSignal(metrics, options) },
      { patience: 1, find: (metrics) => shortBatch(metrics, options) },
      { patience: PATIENCE, find: (metrics) => collapse(metrics, options) },
      { patience: 1, find: (_, completions) => padding(completions, policy, task) },
    ];
    this.#lasted = this.#checks.map(() => 0);
    this.#cautions = cautions(options);
  }

  /**
   * Takes note of a step.
   *
   * @param metrics Its figures.
   * @param completions Token ids of its completions.
   * @returns Warnings to show now.
   */
  observe(metrics: Metrics, completions: Completions): string[] {
    const warnings = this.#cautions;
    this.#cautions = [];
    for (const [i, { patience, find }] of this.#checks.entries()) {
      const warning = find(metrics, completions);
      this.#lasted[i] = warning === undefined ? 0 : this.#lasted[i]! + 1;
      if (this.#lasted[i] === patience) warnings.push(warning!);
    }
    return warnings;
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function truncation(metrics: Metrics, options: ResolvedTrainOptions): string | undefined {
  const share = metrics["response_length/clip_ratio"] ?? 0;
  if (share <= TRUNCATED) return undefined;
  return `${percent(share)} of the responses are cut off at maxCompletionLength = ` +
    `${options.maxCompletionLength}, and what they would have said then is lost: raise it, or begin with a policy that comes to an end`;
}

function lackOfSignal(metrics: Metrics, options: ResolvedTrainOptions): string | undefined {
  const share = metrics["frac_reward_zero_std"] ?? 0;
  if (share <= WITHOUT_SIGNAL || options.numGenerations === 1) return undefined;
  if ((metrics["reward/mean"] ?? 0) >= SOLVED) {
    return `${
      percent(share)
    } of the prompts are solved by all their responses: the task is learnt, ` +
      "stop here or make it harder";
  }
  return `For ${PATIENCE} steps all responses to more than ${
    percent(WITHOUT_SIGNAL)
  } of the prompts have had equal ` +
    "rewards, which teaches nothing: begin with a better policy or easier prompts, raise numGenerations or the " +
    "temperature, or give partial rewards";
}

function shortBatch(metrics: Metrics, options: ResolvedTrainOptions): string | undefined {
  const prompts = metrics["dynamic_sampling/prompts"] ?? options.promptsPerStep;
  if (prompts >= options.promptsPerStep) return undefined;
  return `Dynamic sampling found ${prompts} of ${options.promptsPerStep} prompts with differing rewards in ` +
    `maxGenBatches = ${options.maxGenBatches} rollouts and made do with them: the task is learnt, out of reach, or ` +
    "needs more rollouts";
}

function collapse(metrics: Metrics, options: ResolvedTrainOptions): string | undefined {
  const entropy = metrics["actor/entropy"] ?? Infinity;
  if (!(entropy < COLLAPSED_ENTROPY) || (metrics["reward/mean"] ?? 0) >= SOLVED) return undefined;
  return `The entropy has fallen to ${
    entropy.toFixed(3)
  } nats per token and the policy hardly tries anything new: ` +
    `go back to an earlier checkpoint with a lower learningRate, a larger epsilonHigh or an entropyCoef above ` +
    `${options.entropyCoef}`;
}

function padding(
  completions: Completions,
  policy: PolicyConfig,
  task: Task,
): string | undefined {
  if (!mayWritePadding(policy, task)) return undefined;
  const { padTokenId } = task;
  const share = completions.filter((ids) => ids.includes(padTokenId)).length / completions.length;
  if (!(share > 0)) return undefined;
  return `${percent(share)} of the responses have padding (${
    task.vocabulary[padTokenId]
  }, id ${padTokenId}) in them, which ` +
    `other tools leave out of the texts that they judge: make the policy with padTokenId: ${padTokenId}, and it never writes it`;
}
