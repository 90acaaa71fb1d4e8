/** Policy-gradient losses over scored tokens, in float64. */

/** The textbook surrogates. */
export type Surrogate =
  | { kind: "reinforce" }
  | { kind: "ppo"; epsilon: number; epsilonHigh?: number; dualClip?: number }
  | { kind: "cispo"; epsilon: number; epsilonHigh: number }
  | { kind: "sapo"; temperaturePos: number; temperatureNeg: number }
  | { kind: "dppo"; epsilon: number; epsilonHigh: number; ratioLimit: number }
  | { kind: "gspo"; epsilon: number; epsilonHigh: number }
  | { kind: "gmpo"; epsilon: number; epsilonHigh: number };

/** Estimators of KL(π ‖ π_ref) from one sample (http://joschu.net/blog/kl-approx.html). */
export type KlEstimator = "k1" | "k2" | "k3" | "k3Plus";

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
  for (let sequence = 0; sequence < input.weights.length; sequence++) {
    const tokens: number[] = [];
    for (let n = 0; n < tokenLosses.length; n++) {
      if (input.sequences[n] === sequence) tokens.push(n);
    }
    const surrogates = surrogateLosses(
      tokens.map((n) => input.logProbs[n]!),
      tokens.map((n) => input.oldLogProbs[n]!),
      input.advantages[sequence]!,
      input.surrogate,
    );
    tokens.forEach((n, t) => {
      let token = surrogates[t]!;
      if (input.kl) {
        const { refLogProbs, estimator, coefficient } = input.kl;
        token += coefficient * klEstimate(input.logProbs[n]!, refLogProbs[n]!, estimator);
      }
      if (input.entropy) token -= input.entropy.coefficient * input.entropy.entropies[n]!;
      tokenLosses[n] = token;
      loss += input.weights[sequence]! * token;
    });
  }
  return { loss, tokenLosses };
}

/**
 * Loss of every token of one response [L], from ln π and ln π_old [L] and the advantage A.
 *
 * With ρ = π/π_old, every log-ratio held to ±20:
 * - reinforce: -A ln π.
 * - ppo: max(-A ρ, -A clip(ρ, 1-ε, 1+ε_high)); with dual clip c, no more than -A c where A < 0.
 * - cispo: -clip(ρ, 1-ε, 1+ε_high) A ln π.
 * - sapo: -A (4/τ) sigmoid(τ (ρ - 1)).
 * - dppo: -min(ρ, limit) A ln π, but 0 where π - π_old leaves [-ε, ε_high] in the direction A pulls.
 * - gspo: ppo with exp(mean_t ln ρ_t) for ρ, the same value at every token.
 * - gmpo: -A exp(mean_t d_t), with sgn(A) d = min(sgn(A) ln ρ, sgn(A) clip(ln ρ, -ε, ε_high)).
 *
 * @param heldLogProbs ln π wherever cispo and dppo stop the gradient; equal to ln π by default.
 */
export function surrogateLosses(
  logProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantage: number,
  surrogate: Surrogate,
  heldLogProbs: ArrayLike<number> = logProbs,
): Float64Array {
  const length = logProbs.length;
  const logRatio = (t: number) => clamp(logProbs[t]! - oldLogProbs[t]!, -20, 20);
  const heldRatio = (t: number) => Math.exp(clamp(heldLogProbs[t]! - oldLogProbs[t]!, -20, 20));
  const everyToken = (rule: (t: number) => number) =>
    Float64Array.from({ length }, (_, t) => rule(t));
  const clippedObjective = (ratio: number, low: number, high: number) =>
    Math.max(-advantage * ratio, -advantage * clamp(ratio, 1 - low, 1 + high));

  switch (surrogate.kind) {
    case "reinforce":
      return everyToken((t) => -advantage * logProbs[t]!);
    case "ppo": {
      const { epsilon, epsilonHigh = epsilon, dualClip } = surrogate;
      return everyToken((t) => {
        const loss = clippedObjective(Math.exp(logRatio(t)), epsilon, epsilonHigh);
        return dualClip === undefined || advantage >= 0
          ? loss
          : Math.min(loss, -advantage * dualClip);
      });
    }
    case "cispo": {
      const { epsilon, epsilonHigh } = surrogate;
      return everyToken((t) =>
        -clamp(heldRatio(t), 1 - epsilon, 1 + epsilonHigh) * advantage * logProbs[t]!
      );
    }
    case "sapo": {
      const tau = advantage > 0 ? surrogate.temperaturePos : surrogate.temperatureNeg;
      return everyToken((t) =>
        -advantage * (4 / tau) / (1 + Math.exp(-tau * (Math.exp(logRatio(t)) - 1)))
      );
    }
    case "dppo": {
      const { epsilon, epsilonHigh, ratioLimit } = surrogate;
      return everyToken((t) => {
        const gap = Math.exp(heldLogProbs[t]!) - Math.exp(oldLogProbs[t]!);
        const kept = advantage > 0 ? gap <= epsilonHigh : gap >= -epsilon;
        return kept ? -Math.min(heldRatio(t), ratioLimit) * advantage * logProbs[t]! : 0;
      });
    }
    case "gspo": {
      let sum = 0;
      for (let t = 0; t < length; t++) sum += logProbs[t]! - oldLogProbs[t]!;
      const ratio = Math.exp(clamp(sum / length, -20, 20));
      return everyToken(() => clippedObjective(ratio, surrogate.epsilon, surrogate.epsilonHigh));
    }
    case "gmpo": {
      const sign = Math.sign(advantage);
      let sum = 0;
      for (let t = 0; t < length; t++) {
        const clipped = clamp(logRatio(t), -surrogate.epsilon, surrogate.epsilonHigh);
        sum += sign * Math.min(sign * logRatio(t), sign * clipped);
      }
      return everyToken(() => -advantage * Math.exp(sum / length));
    }
  }
}

/** k1 = ln π/π_ref; k2 = k1²/2; k3 and k3Plus = π_ref/π - 1 - ln π_ref/π, held to ±10 as in verl. */
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
