/**
 * The objective of a run as formulas.
 *
 * @module
 */

import type { AdvantageEstimator, RewardScale } from "../objective/advantage.ts";
import { type PolicyLossSettings, policyLossSettings } from "../objective/surrogate.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/**
 * What a run minimises, with every setting resolved: one line each for the reward where it is shaped, the advantage, the
 * surrogate, the weights of the responses and the loss, and one for what is sampled.
 *
 * r is the reward, L the length of a response, ρ = π/π_old the ratio of a token; i counts responses, t tokens.
 *
 * @param options Every setting.
 * @returns Pairs of a label and a formula.
 */
export function describeObjective(options: ResolvedTrainOptions): [label: string, text: string][] {
  const lines: [string, string | undefined][] = [
    ["sampling", sampling(options)],
    ["reward", reward(options)],
    ["advantage", advantage(options)],
    ["surrogate", surrogate(policyLossSettings(options))],
    ["weights", weights(options)],
    ["loss", loss(options)],
  ];
  return lines.filter((line): line is [string, string] => line[1] !== undefined);
}

function sampling(options: ResolvedTrainOptions): string {
  const { promptsPerStep, numGenerations, maxGenBatches } = options;
  const prompts = options.dynamicSampling
    ? `${promptsPerStep} prompts with differing rewards out of at most ${
      promptsPerStep * maxGenBatches
    }`
    : `${promptsPerStep} prompts`;
  return `${prompts}, ${numGenerations} responses each`;
}

function reward(options: ResolvedTrainOptions): string | undefined {
  const { softOverlongBuffer, softOverlongPenalty, maxCompletionLength, beta } = options;
  const parts = ["verifier"];
  if (softOverlongBuffer > 0) {
    parts.push(
      `${softOverlongPenalty} · max(0, L - ${
        maxCompletionLength - softOverlongBuffer
      }) / ${softOverlongBuffer}`,
    );
  }
  if (options.klInReward) parts.push(`${beta} · Σ_t KL_${options.klEstimator}(π ‖ π_ref)`);
  return parts.length > 1 ? `r = ${parts.join(" - ")}` : undefined;
}

const ADVANTAGES: Readonly<Record<AdvantageEstimator, string>> = {
  grpo: "(r - mean of the group)",
  drGrpo: "r - mean of the group",
  rloo: "r - mean of the others of the group",
  opo: "r - mean of the group weighted by L",
  passK: "(best - second best of the group) for the best response, 0 for the others",
  maxRl: "(r - mean of the group) / mean of the group",
  reinforcePlusPlus: "r whitened over all tokens of the batch",
  reinforcePlusPlusBaseline: "r - mean of the group, whitened over all tokens of the batch",
};

function advantage(options: ResolvedTrainOptions): string {
  const { advantageEstimator, overlongFiltering, maxCompletionLength } = options;
  const scaled = advantageEstimator === "grpo" || advantageEstimator === "passK";
  const scale: RewardScale = options.scaleRewards ?? (scaled ? "group" : "none");
  const divisor = scale === "none" ? "" : ` / (σ of the ${scale} + 1e-6)`;
  const filtered = overlongFiltering ? `; 0 where L = ${maxCompletionLength}` : "";
  return `A = ${ADVANTAGES[advantageEstimator]}${divisor}${filtered}`;
}

function surrogate(settings: PolicyLossSettings): string {
  const { policyLoss, epsilon, epsilonHigh, dualClip } = settings;
  const low = short(1 - epsilon);
  const high = short(1 + epsilonHigh);
  switch (policyLoss) {
    case "reinforce":
      return "ℓ = -A ln π";
    case "ppo":
      return `ℓ = max(-A ρ, -A clip(ρ, ${low}, ${high}))` +
        (dualClip > 0 ? `, at most ${dualClip} |A| where A < 0` : "");
    case "cispo":
      return `ℓ = -sg(clip(ρ, ${low}, ${high})) A ln π`;
    case "sapo":
      return `ℓ = -A (4/τ) sigmoid(τ (ρ - 1)), τ = ${settings.sapoTemperaturePos} where A > 0, else ${settings.sapoTemperatureNeg}`;
    case "dppo":
      return `ℓ = -sg(ρ${dualClip > 0 ? `, at most ${dualClip}` : ""}) A ln π; ` +
        `0 where π - π_old > ${epsilonHigh} with A > 0 or < -${epsilon} with A <= 0`;
    case "gspo":
      return `ℓ = max(-A s, -A clip(s, ${low}, ${high})), s = exp(mean_t ln ρ)`;
    case "gmpo":
      return `ℓ = -A exp(mean_t of ln ρ, at most ${epsilonHigh} where A > 0 and at least -${epsilon} where A < 0)`;
  }
}

function weights(options: ResolvedTrainOptions): string {
  const { lossAggregation, lossAlpha, lossScope, maskTruncatedCompletions } = options;
  const M = options.lossScaleFactor;
  const powers = { batch: "rollout batch", miniBatch: "mini-batch", group: "prompt's group" };
  const rules = {
    grpo: "1 / (N L)",
    dapo: "1 / Σ L",
    drGrpo: `1 / (N ${M})`,
    deltaL: lossScope === "miniBatch"
      ? `L^-${lossAlpha} / (${M} Σ L^-${lossAlpha})`
      : `1 / (N ${M}) · L^-${lossAlpha} / (mean of L^-${lossAlpha} over the ${powers[lossScope]})`,
    seqSum: "1 / N",
    promptMean: "1 / (P Σ L of the group)",
    lambdaGrpo: `G softmax of (1 + ${options.lossLambdaSpread} z)^${options.lossLambda} over the ` +
      "prompt's group / Σ L, z the standardised L,",
    dapoMicroBatch: `1 / (K Σ L of ${options.lossMicroBatchSize} neighbours)`,
  };
  const left = maskTruncatedCompletions ? ", without responses cut off by the limit" : "";
  return `x = ${
    rules[lossAggregation]
  } over the N responses of an optimizer step (${lossAggregation})${left}`;
}

function loss(options: ResolvedTrainOptions): string {
  const terms = ["ℓ"];
  if (options.beta > 0 && !options.klInReward) {
    terms.push(`+ ${options.beta} KL_${options.klEstimator}(π ‖ π_ref)`);
  }
  const { entropyCoef } = options;
  if (entropyCoef !== 0) terms.push(`${entropyCoef > 0 ? "-" : "+"} ${Math.abs(entropyCoef)} H`);
  return `Σ_i x_i Σ_t ${terms.length > 1 ? `(${terms.join(" ")})` : terms[0]}`;
}

/** Without the digits that binary fractions leave: 1 + 0.28 is 1.28. */
function short(value: number): number {
  return Number(value.toPrecision(8));
}
