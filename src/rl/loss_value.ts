/**
 * What the value of the loss says.
 *
 * @module
 */

import { policyLossSettings } from "../objective/surrogate.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/**
 * Whether the policy loss of every step is 0 but for rounding.
 *
 * On-policy every ratio is 1, so that the surrogates of the ratio have the value Σ_i x_i L_i (-A_i). It is 0 where the
 * advantages add up to 0 in the proportions that the weights give to whole responses, x_i L_i: in equal ones where x ∝ 1/L,
 * by tokens where x is the same for all. Its gradient is another matter.
 *
 * @param options Every setting.
 */
export function lossCancels(options: ResolvedTrainOptions): boolean {
  const { numIterations, miniBatchSize, overlongFiltering, maskTruncatedCompletions } = options;
  const onPolicy = numIterations === 1 && miniBatchSize === "all";
  // Responses that are left out are missing from sums that were 0 with them.
  if (!onPolicy || overlongFiltering || maskTruncatedCompletions) return false;
  const { policyLoss, sapoTemperaturePos, sapoTemperatureNeg } = policyLossSettings(options);
  const ofRatio = policyLoss === "ppo" || policyLoss === "gspo" || policyLoss === "gmpo" ||
    (policyLoss === "sapo" && sapoTemperaturePos === sapoTemperatureNeg);
  return ofRatio && addUpToNothing(options);
}

function addUpToNothing(options: ResolvedTrainOptions): boolean {
  const { lossAggregation, lossAlpha } = options;
  const perResponse = lossAggregation === "grpo" ||
    (lossAggregation === "deltaL" && lossAlpha === 1);
  const perToken = lossAggregation === "dapo" || lossAggregation === "drGrpo" ||
    lossAggregation === "seqSum" || (lossAggregation === "deltaL" && lossAlpha === 0);
  switch (options.advantageEstimator) {
    case "grpo":
    case "drGrpo":
    case "rloo":
    case "maxRl":
      return perResponse;
    case "opo":
      return perToken || lossAggregation === "promptMean";
    case "reinforcePlusPlus":
    case "reinforcePlusPlusBaseline":
      return perToken;
    case "passK":
      return false;
  }
}
