/** Policy-gradient losses over scored tokens, in float64. */

/** The textbook surrogates. */
export type Surrogate =
  | { kind: "reinforce" }
  | { kind: "ppo"; epsilon: number; epsilonHigh?: number; dualClip?: number };

/** Estimators of KL(π ‖ π_ref) from one sample (http://joschu.net/blog/kl-approx.html). */
export type KlEstimator = "k1" | "k2" | "k3";

/** A batch of N scored tokens of B responses, and the loss to take of it. */
export interface PolicyLossInput {
  /** ln π(token) under the policy being trained [N]. */
  logProbs: ArrayLike<number>;
  /** ln π_old(token) under the policy that sampled [N]. */
  oldLogProbs: ArrayLike<number>;
  /** Response each token belongs to [N]. */
  sequences: ArrayLike<number>;
  /** Advantage of each response [B]. */
  advantages: ArrayLike<number>;
  /** Weight of each response in the loss [B]. */
  weights: ArrayLike<number>;
  /** Surrogate of the policy gradient. */
  surrogate: Surrogate;
  /** KL term: ln π_ref(token) [N], estimator and coefficient. */
  kl?: { refLogProbs: ArrayLike<number>; estimator: KlEstimator; coefficient: number };
  /** Entropy bonus: entropy at each token [N] and coefficient. */
  entropy?: { entropies: ArrayLike<number>; coefficient: number };
}

/**
 * loss = Σ_i weight_i Σ_t (surrogate_it + klCoefficient · kl_it - entropyCoefficient · H_it).
 *
 * @returns `loss` and the unweighted loss of every token [N].
 */
export function policyLoss(input: PolicyLossInput): { loss: number; tokenLosses: Float64Array } {
  const tokenLosses = new Float64Array(input.logProbs.length);
  let loss = 0;
  for (let n = 0; n < tokenLosses.length; n++) {
    const sequence = input.sequences[n]!;
    const logProb = input.logProbs[n]!;
    let token = surrogateLoss(
      logProb,
      input.oldLogProbs[n]!,
      input.advantages[sequence]!,
      input.surrogate,
    );
    if (input.kl) {
      const { refLogProbs, estimator, coefficient } = input.kl;
      token += coefficient * klEstimate(logProb, refLogProbs[n]!, estimator);
    }
    if (input.entropy) token -= input.entropy.coefficient * input.entropy.entropies[n]!;
    tokenLosses[n] = token;
    loss += input.weights[sequence]! * token;
  }
  return { loss, tokenLosses };
}

/**
 * Loss of one token.
 *
 * reinforce: -A · ln π. ppo: max(-A ρ, -A clip(ρ, 1-ε, 1+ε_high)) with ρ = π/π_old, the
 * log-ratio held to ±20; with dual clip c, no more than -A c where A < 0 (arXiv 1912.09729).
 */
export function surrogateLoss(
  logProb: number,
  oldLogProb: number,
  advantage: number,
  surrogate: Surrogate,
): number {
  if (surrogate.kind === "reinforce") return -advantage * logProb;
  const { epsilon, epsilonHigh = epsilon, dualClip } = surrogate;
  const ratio = Math.exp(clamp(logProb - oldLogProb, -20, 20));
  const clipped = clamp(ratio, 1 - epsilon, 1 + epsilonHigh);
  const pessimistic = Math.max(-advantage * ratio, -advantage * clipped);
  if (dualClip === undefined || advantage >= 0) return pessimistic;
  return Math.min(pessimistic, -advantage * dualClip);
}

/** k1 = ln π/π_ref; k2 = k1²/2; k3 = π_ref/π - 1 - ln π_ref/π, held to ±10 as in verl. */
export function klEstimate(logProb: number, refLogProb: number, estimator: KlEstimator): number {
  const logRatio = logProb - refLogProb;
  if (estimator === "k1") return logRatio;
  if (estimator === "k2") return logRatio ** 2 / 2;
  const reversed = clamp(-logRatio, -20, 20);
  return clamp(Math.exp(reversed) - 1 - reversed, -10, 10);
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, x));
}
