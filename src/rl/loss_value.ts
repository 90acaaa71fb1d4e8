/**
 * What the value of the loss says.
 *
 * @module
 */

import { ADVANTAGES } from "../objective/advantage.ts";
import { AGGREGATIONS } from "../objective/aggregation.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/**
 * Whether the policy loss of every step is 0 but for rounding.
 *
 * On-policy every ratio is 1, so that the surrogates of the ratio have the value Σ_i x_i L_i (-A_i). It is 0 where the
 * advantages add up to 0 in the proportions that the weights give to whole responses, x_i L_i: in equal ones where x ∝ 1/L,
 * by tokens where x is the same for all. Its gradient is another matter.
 */
export function lossCancels(options: ResolvedTrainOptions): boolean {
  const { numIterations, miniBatchSize, overlongFiltering, maskTruncatedCompletions } = options;
  const onPolicy = numIterations === 1 && miniBatchSize === "all";
  // Responses that are left out are missing from sums that were 0 with them.
  const own = options.objective !== undefined || options.klAfterNormalization;
  if (!onPolicy || overlongFiltering || maskTruncatedCompletions || own) return false;
  const rule = SURROGATES[options.policyLoss];
  return rule.ofRatio?.(surrogateSettings(options)) === true && addUpToNothing(options);
}

function addUpToNothing(options: ResolvedTrainOptions): boolean {
  const { byLength = false } = SURROGATES[options.policyLoss];
  const say = AGGREGATIONS[options.lossAggregation].proportion?.(options);
  const proportion = !byLength
    ? say
    : say === "response"
    ? "token"
    : say === "groupResponse"
    ? "groupToken"
    : undefined;
  const { centred } = ADVANTAGES[options.advantageEstimator];
  switch (centred) {
    case "response":
      return proportion === "response" || proportion === "groupResponse";
    case "groupToken":
      return proportion === "token" || proportion === "groupToken";
    case "token":
      return proportion === "token";
    default:
      return false;
  }
}
