/**
 * What an update reports about itself, under verl's names.
 *
 * @module
 */

import { POLICY_LOSS_STATS as AT } from "../ops/policy_loss.ts";
import { effectiveSampleSize } from "../objective/estimator_statistics.ts";

/** Statistics over the optimizer steps of an update. */
export class UpdateTotals {
  readonly #sums = new Float64Array(16);
  #gradNorm = 0;
  #learningRate = 0;
  #steps = 0;
  #logProbDiffMax = 0;

  /**
   * Counts an optimizer step.
   *
   * @param stats What the loss reported, laid out as `POLICY_LOSS_STATS`.
   * @param gradNorm Norm of the gradient before clipping.
   * @param learningRate Its step size.
   */
  add(stats: Float32Array, gradNorm: number, learningRate: number): void {
    for (const [i, value] of stats.entries()) this.#sums[i]! += value;
    this.#logProbDiffMax = Math.max(this.#logProbDiffMax, stats[AT.logProbDiffMax]!);
    this.#gradNorm += gradNorm;
    this.#learningRate = learningRate;
    this.#steps++;
  }

  #perItem(i: number): number {
    return this.#sums[i]! / Math.max(1, this.#sums[AT.items]!);
  }

  /** Mean estimate of the divergence from the reference per token. */
  get kl(): number {
    return this.#perItem(AT.klSum);
  }

  /** Means over the steps or over the tokens of the loss. */
  metrics(): Record<string, number> {
    const perItem = (i: number) => this.#perItem(i);
    const perStep = (total: number) => total / Math.max(1, this.#steps);
    return {
      "actor/pg_loss": perStep(this.#sums[AT.policyLoss]!),
      "actor/loss": perStep(this.#sums[AT.loss]!),
      "actor/grad_norm": perStep(this.#gradNorm),
      "actor/lr": this.#learningRate,
      "actor/clipfrac": perItem(AT.clippedLow) + perItem(AT.clippedHigh) + perItem(AT.dualClipped),
      "actor/clipfrac_low": perItem(AT.clippedLow),
      "actor/clipfrac_high": perItem(AT.clippedHigh),
      "actor/ppo_kl": perItem(AT.ppoKlSum),
      "actor/loss_tokens": perStep(this.#sums[AT.items]!),
      "rollout_corr/logp_diff_max": this.#logProbDiffMax,
    };
  }
}

/** Mean and range of the advantages of a batch. */
export function advantageMetrics(advantages: Float32Array): Record<string, number> {
  if (advantages.length === 0) return {};
  return {
    "advantages/mean": advantages.reduce((a, b) => a + b) / advantages.length,
    "advantages/max": advantages.reduce((a, b) => Math.max(a, b)),
    "advantages/min": advantages.reduce((a, b) => Math.min(a, b)),
  };
}

/** How unevenly the responses of a batch count. */
export function weightMetrics(weights: Float64Array): Record<string, number> {
  const total = weights.reduce((a, b) => a + b, 0);
  const n = weights.length;
  return {
    // Relative to equal weights, so that 1 means that every response counts alike.
    "loss/weight_max": total > 0 ? weights.reduce((a, w) => Math.max(a, w), 0) * n / total : 0,
    "loss/weight_ess": total > 0 ? effectiveSampleSize(weights) / n : 0,
  };
}
