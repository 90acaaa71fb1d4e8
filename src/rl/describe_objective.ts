/**
 * The objective of a run as formulas.
 *
 * @module
 */

import { ADVANTAGES, rewardScale } from "../objective/advantage.ts";
import { AGGREGATIONS } from "../objective/aggregation.ts";
import { KL_ESTIMATORS } from "../objective/kl.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/**
 * What a run minimises, with every setting resolved: one line each for the reward where it is shaped, the advantage, the
 * surrogate, the weights of the responses and the loss, and one for what is sampled.
 *
 * r is the reward, L the length of a response, ρ = π/π_old the ratio of a token; i counts responses, t tokens.
 *
 * @returns Pairs of a label and a formula.
 */
export function describeObjective(options: ResolvedTrainOptions): [label: string, text: string][] {
  const lines: [string, string | undefined][] = [
    ["sampling", sampling(options)],
    ["reward", reward(options)],
    ["advantage", advantage(options)],
    [
      "surrogate",
      options.objective?.surrogate
        ? `ℓ = ${options.objective.surrogate.loss} (${options.objective.name})`
        : SURROGATES[options.policyLoss].formula(surrogateSettings(options)),
    ],
    ["weights", weights(options)],
    ["loss", loss(options)],
  ];
  return lines.filter((line): line is [string, string] => line[1] !== undefined);
}

function sampling(options: ResolvedTrainOptions): string {
  const { promptsPerStep, numGenerations, maxGenBatches } = options;
  const prompts = options.dynamicSampling
    ? `${promptsPerStep} prompts with differing rewards out of at most ` +
      `${promptsPerStep * maxGenBatches}`
    : `${promptsPerStep} prompts`;
  return `${prompts}, ${numGenerations} responses each`;
}

function reward(options: ResolvedTrainOptions): string | undefined {
  const { softOverlongBuffer, softOverlongPenalty, maxCompletionLength, beta } = options;
  const parts = ["verifier"];
  if (softOverlongBuffer > 0) {
    parts.push(
      `${softOverlongPenalty} · max(0, L - ${maxCompletionLength - softOverlongBuffer}) / ` +
        `${softOverlongBuffer}`,
    );
  }
  if (options.klInReward && !options.klAfterNormalization) {
    parts.push(`${beta} · Σ_t KL_${options.klEstimator}(π ‖ π_ref)`);
  }
  return parts.length > 1 ? `r = ${parts.join(" - ")}` : undefined;
}

function advantage(options: ResolvedTrainOptions): string {
  const { advantageEstimator, overlongFiltering, maxCompletionLength } = options;
  const scaleRewards = rewardScale(advantageEstimator, options.scaleRewards);
  const filtered = overlongFiltering ? `; 0 where L = ${maxCompletionLength}` : "";
  const penalty = options.klAfterNormalization
    ? ` - ${options.beta} (Σ_t ${KL_ESTIMATORS[options.klEstimator].formula()} less its mean ` +
      "over the group)"
    : "";
  const formula = options.objective?.replaces?.includes("advantages")
    ? `advantages of ${options.objective.name}`
    : ADVANTAGES[advantageEstimator].formula({ scaleRewards });
  return `A = ${formula}${penalty}${filtered}`;
}

function weights(options: ResolvedTrainOptions): string {
  const { lossAggregation, maskTruncatedCompletions } = options;
  const left = maskTruncatedCompletions ? ", without responses cut off by the limit" : "";
  if (options.objective?.replaces?.includes("weights")) {
    return `x = weights of ${options.objective.name}${left}`;
  }
  return `x = ${
    AGGREGATIONS[lossAggregation].formula(options)
  } over the N responses of an optimizer ` +
    `step (${lossAggregation})${left}`;
}

function loss(options: ResolvedTrainOptions): string {
  const terms = ["ℓ"];
  if (options.beta > 0 && !options.klInReward) {
    terms.push(`+ ${options.beta} ${KL_ESTIMATORS[options.klEstimator].formula()}`);
  }
  const { entropyCoef } = options;
  if (entropyCoef !== 0) terms.push(`${entropyCoef > 0 ? "-" : "+"} ${Math.abs(entropyCoef)} H`);
  return `Σ_i x_i Σ_t ${terms.length > 1 ? `(${terms.join(" ")})` : terms[0]}`;
}
