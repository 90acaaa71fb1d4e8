/**
 * What the policy-gradient loss reads, and its numbers.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import type { Param } from "../gpu/command.ts";
import type { Dim, Tensor } from "../gpu/tensor.ts";
import type { KlEstimator } from "../objective/kl.ts";
import type { OwnSurrogate } from "../objective/own_objective.ts";
import type { PolicyLoss } from "../objective/surrogate.ts";

/** What `policyLoss` reads. N items, B responses in the batch, M the longest response. */
export interface PolicyLossInputs {
  /** ln π of each item under the policy being trained, shape (N). */
  logProbs: Tensor;
  /** Entropy at each item, shape (N). */
  entropies: Tensor;
  /** Response b of each item, shape (N), u32. */
  itemSequences: Tensor;
  /** Position t of each item in its response, shape (N), u32. */
  itemPositions: Tensor;
  /** Number of items N. */
  items: Dim;
  /** ln π of every token under the policy that sampled it, shape (B, M). */
  oldLogProbs: Tensor;
  /** Advantage of each response, shape (B). */
  advantages: Tensor;
  /** Weight of each response in the loss, shape (B). */
  weights: Tensor;
  /** ln π of every token under the reference policy, shape (B, M); needed by a `klEstimator`. */
  refLogProbs?: Tensor | undefined;
  /**
   * First item and one past the last of each response present, shape (S, 2), u32; needed by `"gspo"` and `"gmpo"`.
   */
  itemRanges?: Tensor;
}

/** Options of `policyLoss`; what a surrogate does not use is ignored. */
export interface PolicyLossNumbers {
  /** The surrogate ℓ. */
  policyLoss: PolicyLoss;
  /** Lower bound ε: of the ratio below 1, of ln r for `"gmpo"`, of π - π_old for `"dppo"`. */
  epsilon: Param;
  /** Upper bound of the same. */
  epsilonHigh: Param;
  /** Bound of the ratio for `"ppo"` where A < 0 and for `"dppo"`; 0 for none. */
  dualClip: Param;
  /** Temperature of `"sapo"` where A > 0. */
  sapoTemperaturePos: Param;
  /** Temperature of `"sapo"` where A <= 0. */
  sapoTemperatureNeg: Param;
  /** A surrogate of one's own in place of `policyLoss`. */
  own?: OwnSurrogate | undefined;
  /** Estimator of KL(π ‖ π_ref); none by default. */
  klEstimator?: KlEstimator | undefined;
  /** Coefficient of the divergence. Default 0, which still reports it. */
  beta?: Param;
  /** Coefficient of the entropy bonus. Default 0. */
  entropyCoef?: Param;
  /** Name below the current scope. Default `"policy_loss"`. */
  name?: string;
}

/** Every field of {@linkcode PolicyLossInputs}. */
export const INPUTS: readonly string[] = namesOf<PolicyLossInputs>({
  logProbs: true,
  entropies: true,
  itemSequences: true,
  itemPositions: true,
  items: true,
  oldLogProbs: true,
  advantages: true,
  weights: true,
  refLogProbs: true,
  itemRanges: true,
});

/** Every field of {@linkcode PolicyLossNumbers}. */
export const NUMBERS: readonly string[] = namesOf<PolicyLossNumbers>({
  policyLoss: true,
  epsilon: true,
  epsilonHigh: true,
  dualClip: true,
  sapoTemperaturePos: true,
  sapoTemperatureNeg: true,
  own: true,
  klEstimator: true,
  beta: true,
  entropyCoef: true,
  name: true,
});
