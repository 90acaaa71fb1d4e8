/**
 * The update: from a rollout to optimizer steps.
 *
 * @module
 */

import type { Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { PromptGroup } from "../model/packing.ts";
import type { Policy } from "../model/policy.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";
import { softOverlongPunishment } from "../objective/overlong.ts";
import { policyLossSettings } from "../objective/policy_loss.ts";
import { Coefficients } from "./coefficients.ts";
import { Learner } from "./learner.ts";
import type { Reference } from "./reference.ts";
import type { Rollout } from "./rollout.ts";
import { judged, teaching } from "./signal.ts";
import { rewardsDiffer } from "../task/solved.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";
import { advantageMetrics, UpdateTotals, weightMetrics } from "./update_metrics.ts";

/** What an update did. */
export interface UpdateReport {
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
  /** Advantage of each response. */
  readonly advantages: Float32Array;
}

/** Turns rollouts into optimizer steps. */
export class Updater {
  /** Optimizer steps of one update. */
  readonly optimizerStepsPerUpdate: number;

  readonly #options: ResolvedTrainOptions;
  readonly #optimizer: AdamW;
  readonly #reference: Reference | undefined;
  readonly #coefficients: Coefficients;
  readonly #learner: Learner;
  readonly #miniBatch: number;

  private constructor(
    options: ResolvedTrainOptions,
    parts: {
      optimizer: AdamW;
      reference: Reference | undefined;
      coefficients: Coefficients;
      learner: Learner;
    },
  ) {
    this.#options = options;
    this.#optimizer = parts.optimizer;
    this.#reference = parts.reference;
    this.#coefficients = parts.coefficients;
    this.#learner = parts.learner;
    const responses = options.promptsPerStep * options.numGenerations;
    this.#miniBatch = options.miniBatchSize === "all" ? responses : options.miniBatchSize;
    this.optimizerStepsPerUpdate = options.numIterations * Math.ceil(responses / this.#miniBatch);
  }

  /**
   * Takes the memory and compiles the plans.
   *
   * @param policy The policy.
   * @param parts The `optimizer` over all its parameters, where the log-probabilities of the sampler will be
   * (`oldLogProbs`, B, M), and the `reference` if there is one.
   * @param options Every setting.
   */
  static async create(
    policy: Policy,
    parts: { optimizer: AdamW; oldLogProbs: Tensor; reference: Reference | undefined },
    options: ResolvedTrainOptions,
  ): Promise<Updater> {
    const { oldLogProbs, reference } = parts;
    const responses = options.promptsPerStep * options.numGenerations;
    const coefficients = await Coefficients.create(policy.gpu, responses, options);
    const { advantages, weights } = coefficients;
    const learner = await Learner.create(
      policy,
      {
        advantages,
        weights,
        oldLogProbs,
        refLogProbs: reference?.logProbs,
      },
      {
        ...policyLossSettings(options),
        temperature: options.temperature,
        beta: options.klInReward ? 0 : options.beta,
        entropyCoef: options.entropyCoef,
        klEstimator: reference && !options.klInReward ? options.klEstimator : undefined,
      },
      {
        maxTokens: options.maxTokensPerMicroBatch,
        activationDtype: options.activationDtype,
        activationCheckpointing: options.activationCheckpointing,
      },
    );
    return new Updater(options, { ...parts, coefficients, learner });
  }

  /**
   * All optimizer steps on one rollout.
   *
   * Responses that can teach nothing have no part in the gradient unless there is a divergence or entropy term, and are
   * then not computed at all; they still count in the weights of the others.
   *
   * @param rollout Completions and rewards; without any, nothing happens.
   * @param at `learningRate` by the share of the update's optimizer steps done, and the training `step` for messages.
   * @throws {Error} If a sampled probability, a loss or a gradient is not finite.
   */
  async update(
    rollout: Rollout,
    at: { learningRate: (done: number) => number; step: number },
  ): Promise<UpdateReport> {
    const options = this.#options;
    await this.#checkSampled(rollout, at.step);
    const { rewards, penalties, metrics } = await this.#shapeRewards(rollout);
    const lengths = rollout.completions.map((c) => c.length);
    const scoredLengths = lengths.map((length, b) =>
      options.maskTruncatedCompletions && rollout.truncated[b] ? 0 : length
    );
    const withheld = lengths.map((length) =>
      options.overlongFiltering && length >= options.maxCompletionLength
    );
    const { numGenerations, advantageEstimator } = options;
    const coefficients = this.#coefficients;
    const own = coefficients.upload({ rewards, lengths, scoredLengths, penalties, withheld });
    const teaches = own
      ? Array.from(own, (advantage) => advantage !== 0)
      : teaching(rewards, numGenerations, advantageEstimator);
    const onlyRewards = options.beta === 0 ||
      (options.klInReward && !options.klAfterNormalization);
    const onlyAdvantage = onlyRewards && options.entropyCoef === 0;
    const counts = (b: number) =>
      rewards[b] !== null && scoredLengths[b]! > 0 &&
      !(onlyAdvantage && (!teaches[b] || withheld[b]));

    const totals = new UpdateTotals();
    const weights = new Float64Array(lengths.length);
    let advantages: Float32Array = new Float32Array(lengths.length);
    let before: Work[] = [coefficients.advantagePlan];
    const steps = options.numIterations * Math.ceil(lengths.length / this.#miniBatch);
    let taken = 0;
    for (let iteration = 0; iteration < options.numIterations; iteration++) {
      for (let start = 0; start < lengths.length; start += this.#miniBatch) {
        const end = Math.min(start + this.#miniBatch, lengths.length);
        const groups = promptGroups(rollout, start, end, counts);
        coefficients.select({ start, end });
        this.#optimizer.options.learningRate = at.learningRate(taken++ / steps);
        const { stats, gradNorm, read } = await this.#learner.step(groups, {
          before: [...before, coefficients.weightPlan],
          optimizer: this.#optimizer,
          read: [coefficients.advantages, coefficients.weights],
          label: `Step ${at.step}`,
        });
        before = [];
        advantages = read[0] as Float32Array;
        weights.set(read[1]!.subarray(start, end), start);
        totals.add(stats, gradNorm, this.#optimizer.options.learningRate);
      }
    }
    return {
      advantages,
      metrics: {
        ...metrics,
        ...advantageMetrics(advantages),
        ...totals.metrics(),
        ...(this.#reference && !options.klInReward ? { "actor/kl": totals.kl } : {}),
        ...weightMetrics(weights),
      },
    };
  }

  /**
   * Rewards as the advantages are to see them: what the verifier gave, less the punishment of overlong responses and the
   * divergence from the reference. The reference scores the rollout on the way, also where the divergence is in the loss.
   */
  async #shapeRewards(
    rollout: Rollout,
  ): Promise<{
    rewards: (number | null)[];
    penalties: number[] | undefined;
    metrics: Record<string, number>;
  }> {
    const options = this.#options;
    const reference = this.#reference;
    const lengths = rollout.completions.map((c) => c.length);
    const metrics: Record<string, number> = {};
    let penalties: number[] | undefined;
    let rewards = rollout.rewards.map((reward, b) =>
      reward === null ? null : reward + softOverlongPunishment(lengths[b]!, options)
    );
    reference?.score(promptGroups(rollout, 0, lengths.length, () => true));
    if (reference && options.klInReward) {
      const divergence = await reference.divergence(lengths);
      const weighted = Array.from(divergence, (kl) => options.beta * kl);
      if (options.klAfterNormalization) {
        penalties = lessGroupMean(weighted, rewards, options.numGenerations);
      } else {
        rewards = rewards.map((reward, b) => reward === null ? null : reward - weighted[b]!);
      }
      metrics["actor/kl"] = sum(divergence) / Math.max(1, sum(lengths));
    }
    if (options.klInReward || options.softOverlongBuffer > 0) {
      const given = judged(rewards);
      metrics["reward/shaped_mean"] = sum(given) / Math.max(1, given.length);
      // The advantages compare what punishment and divergence left of the rewards.
      metrics["frac_reward_zero_std"] = shareWithoutSignal(rewards, options.numGenerations);
    }
    return { rewards, penalties, metrics };
  }

  /** A policy with a weight that is not finite samples all the same; its entropies tell. */
  async #checkSampled(rollout: Rollout, step: number): Promise<void> {
    const bad = rollout.entropySums.findIndex((entropy) => !Number.isFinite(entropy));
    if (bad < 0) return;
    const groups = promptGroups(rollout, 0, rollout.completions.length, () => true);
    throw new Error(
      `Step ${step}: completion ${bad} was sampled from probabilities that are not finite. ${await this
        .#learner
        .explain(groups)}`,
    );
  }

  /** Releases the memory. */
  destroy(): void {
    this.#learner.destroy();
    this.#coefficients.destroy();
  }
}

/** Prompts of the responses start … end - 1 with those that count. */
function promptGroups(
  rollout: Rollout,
  start: number,
  end: number,
  counts: (b: number) => boolean,
): PromptGroup[] {
  const { numGenerations, problems, completions } = rollout;
  const groups: PromptGroup[] = [];
  for (let first = start; first < end; first += numGenerations) {
    const responses = [];
    for (let b = first; b < Math.min(first + numGenerations, end); b++) {
      if (counts(b)) responses.push({ sequence: b, tokens: completions[b]! });
    }
    if (responses.length === 0) continue;
    groups.push({ prompt: problems[Math.floor(first / numGenerations)]!.promptIds, responses });
  }
  return groups;
}

/** Values less their mean over the judged responses of each group. */
function lessGroupMean(
  values: readonly number[],
  rewards: readonly (number | null)[],
  numGenerations: number,
): number[] {
  return values.map((value, b) => {
    const first = b - b % numGenerations;
    const group = values.slice(first, first + numGenerations)
      .filter((_, g) => rewards[first + g] !== null);
    return value - sum(group) / Math.max(1, group.length);
  });
}

/** Share of prompts whose rewards do not differ. */
function shareWithoutSignal(rewards: readonly (number | null)[], numGenerations: number): number {
  const prompts = rewards.length / numGenerations;
  let without = 0;
  for (let p = 0; p < prompts; p++) {
    const group = rewards.slice(p * numGenerations, (p + 1) * numGenerations);
    if (!rewardsDiffer(judged(group))) without++;
  }
  return prompts === 0 ? 1 : without / prompts;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
