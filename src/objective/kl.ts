/** Estimators of the divergence from a reference policy, one token at a time. */

import type { KlEstimator } from "../ops/policy_loss.ts";

export type { KlEstimator };

/** Number of each estimator, for kernels and files; numbers are never reused, 0 is no KL term. */
export const KL_ESTIMATOR_CODES: Readonly<Record<KlEstimator, number>> = { k1: 1, k2: 2, k3: 3 };

/** Bound of d inside the exponential of `"k3"`. */
const LOG_RATIO_LIMIT = 20;
/** Bound of the value of `"k3"`. */
const K3_LIMIT = 10;

/** An estimate and its derivative. */
export interface KlEstimate {
  /** Estimate in nats. */
  value: number;
  /** d value / d ln π. */
  dLogProb: number;
}

/**
 * Estimate of KL(π ‖ π_ref) at one token and its derivative with respect to ln π.
 *
 * `"k3"` holds d to ±20 and its value to ±10, as the paper's published code (arXiv 2509.07558) and
 * verl do; where a bound holds the derivative is 0.
 *
 * @param logProb ln π(token) under the policy being trained.
 * @param refLogProb ln π_ref(token) under the reference policy.
 * @throws {RangeError} For an unknown estimator.
 */
export function klEstimate(
  logProb: number,
  refLogProb: number,
  klEstimator: KlEstimator,
): KlEstimate {
  const d = logProb - refLogProb;
  switch (klEstimator) {
    case "k1":
      return { value: d, dLogProb: 1 };
    case "k2":
      return { value: d * d / 2, dLogProb: d };
    case "k3": {
      const held = Math.min(LOG_RATIO_LIMIT, Math.max(-LOG_RATIO_LIMIT, d));
      const value = Math.expm1(-held) + held;
      if (value > K3_LIMIT) return { value: K3_LIMIT, dLogProb: 0 };
      return { value, dLogProb: -Math.expm1(-held) };
    }
    default:
      throw new RangeError(
        `klEstimator is ${klEstimator satisfies never}: choose one of ${
          Object.keys(KL_ESTIMATOR_CODES).join(", ")
        }`,
      );
  }
}
