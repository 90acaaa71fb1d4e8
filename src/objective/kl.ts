/** Estimators of the divergence from a reference policy, one token at a time. */

import { checkNumber } from "./check_numbers.ts";
import { type Rule, ruleOf } from "./rule.ts";

/**
 * Estimator of KL(π ‖ π_ref) from one token sampled from π, with d = ln π - ln π_ref
 * (http://joschu.net/blog/kl-approx.html). Where it stands in the loss, its gradient counts; taken off the rewards, its
 * value.
 *
 * - `"k1"`: d. Unbiased but of either sign; as a loss term its gradient is zero on average.
 * - `"k2"`: d²/2. Its gradient is that of the divergence on average.
 * - `"k3"`: e^-d - 1 + d. Unbiased and never negative; its gradient is that of KL(π_ref ‖ π), not of the divergence.
 * - `"k3Plus"`: the value of `"k3"` with the gradient of `"k2"`, which are those of the divergence; verl's `k3+`
 *   (arXiv 2505.17508).
 */
export type KlEstimator = "k1" | "k2" | "k3" | "k3Plus";

/** An estimate and its derivative. */
export interface KlEstimate {
  /** Estimate in nats. */
  value: number;
  /** d value / d ln π, or what is put in its place. */
  dLogProb: number;
}

/** An estimator; `verl` is the value of its `kl_loss_type` and `kl_penalty`. */
export interface KlRule extends Rule<void> {
  readonly verl: string;
  /** The estimate from d. */
  readonly compute: (d: number) => KlEstimate;
}

/** Bound of d inside the exponential of `"k3"`. */
const LOG_RATIO_LIMIT = 20;
/** Bound of the value of `"k3"`. */
const K3_LIMIT = 10;

function k3(d: number): KlEstimate {
  const held = Math.min(LOG_RATIO_LIMIT, Math.max(-LOG_RATIO_LIMIT, d));
  const value = Math.expm1(-held) + held;
  if (value > K3_LIMIT) return { value: K3_LIMIT, dLogProb: 0 };
  return { value, dLogProb: -Math.expm1(-held) };
}

/** Every estimator; the kernel's 0 is no term. */
export const KL_ESTIMATORS: Readonly<Record<KlEstimator, KlRule>> = {
  k1: {
    code: 1,
    verl: "kl",
    formula: () => "KL_k1(π ‖ π_ref)",
    compute: (d) => ({ value: d, dLogProb: 1 }),
  },
  k2: {
    code: 2,
    verl: "mse",
    formula: () => "KL_k2(π ‖ π_ref)",
    compute: (d) => ({ value: d * d / 2, dLogProb: d }),
  },
  k3: { code: 3, verl: "low_var_kl", formula: () => "KL_k3(π ‖ π_ref)", compute: k3 },
  k3Plus: {
    code: 4,
    verl: "k3+",
    aliases: ["low_var_kl+"],
    formula: () => "KL_k3(π ‖ π_ref) with the gradient of k2",
    compute: (d) => ({ value: k3(d).value, dLogProb: d }),
  },
};

/**
 * Estimate of KL(π ‖ π_ref) at one token and its derivative with respect to ln π.
 *
 * `"k3"` holds d to ±20 and its value to ±10, as the paper's published code (arXiv 2509.07558) and
 * verl do; where a bound holds the derivative is 0.
 *
 * @param logProb ln π(token) under the policy being trained.
 * @param refLogProb ln π_ref(token) under the reference policy.
 * @throws {RangeError} For an unknown estimator, or a log-probability that is not a finite number.
 */
export function klEstimate(
  logProb: number,
  refLogProb: number,
  klEstimator: KlEstimator,
): KlEstimate {
  checkNumber(logProb, "logProb");
  checkNumber(refLogProb, "refLogProb");
  return ruleOf(KL_ESTIMATORS, "klEstimator", klEstimator).compute(logProb - refLogProb);
}
