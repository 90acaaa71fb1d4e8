/**
 * The update: from a rollout to optimizer steps.
 *
 * @module
 */

import { Readback, type Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { PromptGroup } from "../model/packing.ts";
import type { Policy } from "../model/policy.ts";
import { POLICY_LOSS_STATS as AT } from "../ops/policy_loss.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";
import { groupAdvantages } from "./advantage.ts";
import { lossWeights } from "./aggregation.ts";
import { Credit } from "./credit.ts";
import { effectiveSampleSize } from "./estimator_statistics.ts";
import { Learner } from "./learner.ts";
import { policyLossSettings } from "./policy_loss.ts";
import type { Rollout } from "./rollout.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** What an update did. */
export interface UpdateReport {
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
  /** Advantage of each response. */
  readonly advantages: Float64Array;
}

/** Turns rollouts into optimizer steps. */
export class Updater {
  /** Optimizer steps of one update. */
  readonly optimizerStepsPerUpdate: number;

  readonly #policy: Policy;
  readonly #options: ResolvedTrainOptions;
  readonly #optimizer: AdamW;
  readonly #credit: Credit;
  readonly #learner: Learner;
  readonly #readback: Readback;
  readonly #miniBatch: number;

  private constructor(
    policy: Policy,
    options: ResolvedTrainOptions,
    parts: { optimizer: AdamW; credit: Credit; learner: Learner },
  ) {
    this.#policy = policy;
    this.#options = options;
    this.#optimizer = parts.optimizer;
    this.#credit = parts.credit;
    this.#learner = parts.learner;
    this.#readback = new Readback(policy.gpu, [parts.learner.stats, parts.optimizer.gradNorm]);
    const responses = options.promptsPerStep * options.numGenerations;
    this.#miniBatch = options.miniBatchSize === "all" ? responses : options.miniBatchSize;
    this.optimizerStepsPerUpdate = options.numIterations * Math.ceil(responses / this.#miniBatch);
  }

  /**
   * Takes the memory and compiles the plans.
   *
   * @param policy The policy.
   * @param optimizer Over all its parameters.
   * @param oldLogProbs Where the sampler leaves its log-probabilities (B, M).
   * @param options Every setting.
   */
  static async create(
    policy: Policy,
    optimizer: AdamW,
    oldLogProbs: Tensor,
    options: ResolvedTrainOptions,
  ): Promise<Updater> {
    const responses = options.promptsPerStep * options.numGenerations;
    const credit = await Credit.create(policy.gpu, responses, options);
    const { advantages, weights } = credit;
    const learner = await Learner.create(policy, { advantages, weights, oldLogProbs }, {
      ...policyLossSettings(options),
      temperature: options.temperature,
      beta: options.beta,
      entropyCoef: options.entropyCoef,
    }, options.maxTokensPerMicroBatch);
    return new Updater(policy, options, { optimizer, credit, learner });
  }

  /**
   * All optimizer steps on one rollout.
   *
   * Responses with advantage zero have no part in the gradient unless there is a divergence or entropy term, and are
   * then not computed at all; they still count in the weights of the others.
   *
   * @param rollout Completions and rewards.
   * @param at `learningRate` by optimizer step, and the training `step` for messages.
   * @throws {Error} If a loss or gradient is not finite.
   */
  async update(
    rollout: Rollout,
    at: { learningRate: (optimizerStep: number) => number; step: number },
  ): Promise<UpdateReport> {
    const options = this.#options;
    const { numGenerations, numIterations } = options;
    const lengths = rollout.completions.map((c, b) =>
      options.maskTruncatedCompletions && rollout.truncated[b] ? 0 : c.length
    );
    const advantages = groupAdvantages(rollout.rewards, numGenerations, {
      advantageEstimator: options.advantageEstimator,
      lengths: rollout.completions.map((c) => c.length),
      ...(options.scaleRewards ? { scaleRewards: options.scaleRewards } : {}),
    });
    const onlyAdvantage = options.beta === 0 && options.entropyCoef === 0;
    const counts = (b: number) => lengths[b]! > 0 && !(onlyAdvantage && advantages[b] === 0);
    this.#credit.upload(rollout.rewards, lengths);

    const totals = new Totals();
    let before: Work[] = [this.#credit.advantagePlan];
    for (let iteration = 0; iteration < numIterations; iteration++) {
      for (let start = 0; start < rollout.completions.length; start += this.#miniBatch) {
        const end = Math.min(start + this.#miniBatch, rollout.completions.length);
        const groups = promptGroups(rollout, start, end, counts);
        this.#credit.select({ start, end });
        this.#optimizer.options.learningRate = at.learningRate(this.#optimizer.stepCount);
        this.#learner.accumulate(
          groups,
          [...before, this.#credit.weightPlan, { clear: this.#learner.stats }],
          [this.#optimizer.plan],
          this.#readback,
        );
        before = [];
        const [stats, [gradNorm]] = await this.#readback.take() as [Float32Array, Float32Array];
        this.#policy.gpu.check();
        await this.#checkFinite(stats, gradNorm!, groups, at.step);
        this.#optimizer.advance();
        totals.add(stats, gradNorm!, this.#optimizer.options.learningRate);
      }
    }
    const weights = lossWeights(lengths, options);
    return { advantages, metrics: { ...totals.metrics(), ...weightMetrics(weights) } };
  }

  async #checkFinite(
    stats: Float32Array,
    gradNorm: number,
    groups: readonly PromptGroup[],
    step: number,
  ): Promise<void> {
    const loss = stats[AT.loss]!;
    if (Number.isFinite(loss) && Number.isFinite(gradNorm) && stats[AT.notFinite] === 0) return;
    const where = await this.#learner.locateNonFinite(groups);
    throw new Error(
      `Step ${step}: the loss is ${loss}, the gradient norm ${gradNorm}. First value that is not finite: ${
        where ?? "none when run again"
      }. The parameters are as the last good optimizer step left them; resume from the checkpoint with a lower ` +
        "learning rate",
    );
  }

  /** Releases the memory. */
  destroy(): void {
    this.#readback.destroy();
    this.#learner.destroy();
    this.#credit.destroy();
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

/** Statistics over the optimizer steps of an update. */
class Totals {
  readonly #sums = new Float64Array(16);
  #gradNorm = 0;
  #learningRate = 0;
  #steps = 0;
  #logProbDiffMax = 0;

  add(stats: Float32Array, gradNorm: number, learningRate: number): void {
    for (const [i, value] of stats.entries()) this.#sums[i]! += value;
    this.#logProbDiffMax = Math.max(this.#logProbDiffMax, stats[AT.logProbDiffMax]!);
    this.#gradNorm += gradNorm;
    this.#learningRate = learningRate;
    this.#steps++;
  }

  metrics(): Record<string, number> {
    const sums = this.#sums;
    const items = sums[AT.items]!;
    const perItem = (i: number) => items > 0 ? sums[i]! / items : 0;
    return {
      "actor/pg_loss": sums[AT.policyLoss]! / this.#steps,
      "actor/loss": sums[AT.loss]! / this.#steps,
      "actor/entropy": perItem(AT.entropySum),
      "actor/grad_norm": this.#gradNorm / this.#steps,
      "actor/lr": this.#learningRate,
      "actor/clipfrac": perItem(AT.clippedLow) + perItem(AT.clippedHigh) + perItem(AT.dualClipped),
      "actor/clipfrac_low": perItem(AT.clippedLow),
      "actor/clipfrac_high": perItem(AT.clippedHigh),
      "actor/ppo_kl": perItem(AT.ppoKlSum),
      "actor/loss_tokens": items / this.#steps,
      "rollout_corr/logp_diff_max": this.#logProbDiffMax,
    };
  }
}

function weightMetrics(weights: Float64Array): Record<string, number> {
  const total = weights.reduce((sum, w) => sum + w, 0);
  const n = weights.length;
  return {
    // Relative to equal weights, so that 1 means that every response counts alike.
    "loss/weight_max": total > 0 ? weights.reduce((a, w) => Math.max(a, w), 0) * n / total : 0,
    "loss/weight_ess": total > 0 ? effectiveSampleSize(weights) / n : 0,
  };
}
