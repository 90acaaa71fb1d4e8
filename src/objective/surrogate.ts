/**
 * Policy losses: the surrogate whose gradient moves the policy, for one token or one response.
 *
 * Each is a value and its closed-form derivative with respect to the log-probabilities. How
 * responses are weighted against each other is the separate choice of `aggregation.ts`.
 */

import type { Rule } from "./rule.ts";
import {
  boundedRatio,
  clamp,
  type ClipKind,
  clippedRatio,
  everyToken,
  heldFactor,
  meanLogRatio,
  type ResponseLoss,
  short,
  type SurrogateComputation,
  type SurrogateNumbers,
  type TokenLoss,
  wholeResponse,
} from "./surrogate_parts.ts";

export type { ClipKind, ResponseLoss, SurrogateNumbers, TokenLoss };

/**
 * The surrogate ℓ to minimise. A is the advantage, r = π/π_old of a token, L the response length,
 * sg(·) is held constant in the derivative.
 *
 * Token by token:
 * - `"reinforce"`: -A ln π.
 * - `"ppo"`: max(-A r, -A clip(r, 1 - ε, 1 + ε_high)) (arXiv 1707.06347, the two bounds
 *   arXiv 2503.14476); where A < 0 no more than -A c with dual clip c (arXiv 1912.09729).
 * - `"cispo"`: -sg(clip(r, 1 - ε, 1 + ε_high)) A ln π (arXiv 2506.13585).
 * - `"sapo"`: -A (4/τ) sigmoid(τ (r - 1)), τ by the sign of A (arXiv 2511.20347).
 * - `"dppo"`: -sg(min(r, c)) A ln π, and 0 where π - π_old > ε_high with A > 0 or
 *   π - π_old < -ε with A <= 0 (arXiv 2602.04879, total variation).
 *
 * Response by response; every token of the response carries the value ℓ_i:
 * - `"gspo"`: as `"ppo"` without dual clip, with s = exp(mean_t ln r_t) for r (arXiv 2507.18071).
 * - `"gmpo"`: -A exp(mean_t d_t), d_t = min(ln r_t, ε_high) where A > 0 and max(ln r_t, -ε) where
 *   A < 0 (arXiv 2507.20673).
 * - `"luspo"`: L times the loss of `"gspo"` (arXiv 2602.05261), meant for the aggregation `"grpo"`, where it is TRL's
 *   `loss_type="luspo"`; the aggregation `"seqSum"` makes the same of `"gspo"` itself.
 * - `"vespo"`: -sg(W^k e^(λ (1 - W))) A ln π token by token, W = Π_t r_t of the response, (k, λ) = (2, 3) where A >= 0 and
 *   (3, 2) elsewhere (arXiv 2602.10693), TRL's `loss_type="vespo"` with its defaults; meant for `"dapo"`.
 */
export type PolicyLoss =
  | "reinforce"
  | "ppo"
  | "cispo"
  | "sapo"
  | "dppo"
  | "gspo"
  | "gmpo"
  | "luspo"
  | "vespo";

/**
 * Choice of a surrogate, `"ppo"` by default; numbers that are not given are the surrogate's own. An `epsilon` given alone
 * holds on both sides.
 */
export interface PolicyLossOptions extends Partial<SurrogateNumbers> {
  /** The surrogate. Default `"ppo"`. */
  readonly policyLoss?: PolicyLoss;
}

/** A surrogate with every setting decided. */
export interface PolicyLossSettings extends SurrogateNumbers {
  /** The surrogate. */
  readonly policyLoss: PolicyLoss;
}

/** A surrogate; `verl` is its `loss_mode`. */
export interface SurrogateRule extends Rule<SurrogateNumbers> {
  /** The numbers it reads, with their defaults; the others are 0. */
  readonly defaults: Partial<SurrogateNumbers>;
  /** The aggregation that verl's version insists on. */
  readonly verlAggregation?: string;
  /** Whether it looks at whole responses, whose tokens then share one loss. */
  readonly wholeResponses?: boolean;
  /** Whether ℓ = -A c for one number c while every ratio is 1, times L if `byLength`. */
  readonly ofRatio?: (numbers: SurrogateNumbers) => boolean;
  /** Whether ℓ is proportional to the length of the response. */
  readonly byLength?: boolean;
  /** Losses and derivatives of a response's tokens. */
  readonly compute: SurrogateComputation;
}

const range = ({ epsilon, epsilonHigh }: SurrogateNumbers) =>
  `${short(1 - epsilon)}, ${short(1 + epsilonHigh)}`;

/** Every surrogate. */
export const SURROGATES: Readonly<Record<PolicyLoss, SurrogateRule>> = {
  reinforce: {
    code: 0,
    verl: "gpg",
    defaults: {},
    formula: () => "ℓ = -A ln π",
    compute: everyToken((logProb, _, advantage) => ({
      loss: -advantage * logProb,
      dLogProb: -advantage,
      clip: "none",
    })),
  },
  ppo: {
    code: 1,
    verl: "vanilla",
    defaults: { epsilon: 0.2, epsilonHigh: 0.28, dualClip: 3 },
    formula: (numbers) =>
      `ℓ = max(-A ρ, -A clip(ρ, ${range(numbers)}))` +
      (numbers.dualClip > 0 ? `, at most ${numbers.dualClip} |A| where A < 0` : ""),
    ofRatio: () => true,
    compute: everyToken((logProb, oldLogProb, advantage, numbers) =>
      clippedRatio(logProb - oldLogProb, advantage, numbers)
    ),
  },
  cispo: {
    code: 2,
    verl: "cispo",
    defaults: { epsilon: 1, epsilonHigh: 4 },
    formula: (numbers) => `ℓ = -sg(clip(ρ, ${range(numbers)})) A ln π`,
    compute: everyToken((logProb, oldLogProb, advantage, { epsilon, epsilonHigh }) => {
      const { ratio } = boundedRatio(logProb - oldLogProb);
      const factor = clamp(ratio, 1 - epsilon, 1 + epsilonHigh);
      return heldFactor(factor, logProb, advantage, factor === ratio ? "none" : "ratio");
    }),
  },
  sapo: {
    code: 3,
    verl: "sapo",
    verlAggregation: "seq-mean-token-mean",
    defaults: { sapoTemperaturePos: 1, sapoTemperatureNeg: 1.05 },
    formula: ({ sapoTemperaturePos, sapoTemperatureNeg }) =>
      `ℓ = -A (4/τ) sigmoid(τ (ρ - 1)), τ = ${sapoTemperaturePos} where A > 0, else ${sapoTemperatureNeg}`,
    ofRatio: ({ sapoTemperaturePos, sapoTemperatureNeg }) =>
      sapoTemperaturePos === sapoTemperatureNeg,
    compute: everyToken((logProb, oldLogProb, advantage, numbers) => {
      const { ratio, slope } = boundedRatio(logProb - oldLogProb);
      const tau = advantage > 0 ? numbers.sapoTemperaturePos : numbers.sapoTemperatureNeg;
      const gate = 1 / (1 + Math.exp(-tau * (ratio - 1)));
      return {
        loss: -advantage * 4 / tau * gate,
        dLogProb: -advantage * 4 * gate * (1 - gate) * slope,
        clip: "none",
      };
    }),
  },
  dppo: {
    code: 4,
    verl: "dppo_tv",
    defaults: { epsilon: 0.2, epsilonHigh: 0.2, dualClip: 20 },
    formula: ({ epsilon, epsilonHigh, dualClip }) =>
      `ℓ = -sg(ρ${dualClip > 0 ? `, at most ${dualClip}` : ""}) A ln π; ` +
      `0 where π - π_old > ${epsilonHigh} with A > 0 or < -${epsilon} with A <= 0`,
    compute: everyToken((logProb, oldLogProb, advantage, { epsilon, epsilonHigh, dualClip }) => {
      const gap = Math.exp(logProb) - Math.exp(oldLogProb);
      const masked = advantage > 0 ? gap > epsilonHigh : gap < -epsilon;
      if (masked) return { loss: 0, dLogProb: 0, clip: "ratio" };
      const { ratio } = boundedRatio(logProb - oldLogProb);
      const capped = dualClip > 0 && ratio > dualClip;
      return heldFactor(capped ? dualClip : ratio, logProb, advantage, capped ? "dual" : "none");
    }),
  },
  gspo: {
    code: 5,
    verl: "gspo",
    verlAggregation: "seq-mean-token-mean",
    wholeResponses: true,
    defaults: { epsilon: 3e-4, epsilonHigh: 4e-4 },
    formula: (numbers) => `ℓ = max(-A s, -A clip(s, ${range(numbers)})), s = exp(mean_t ln ρ)`,
    ofRatio: () => true,
    compute: (logProbs, oldLogProbs, advantage, numbers) =>
      wholeResponse(
        logProbs.length,
        clippedRatio(meanLogRatio(logProbs, oldLogProbs), advantage, { ...numbers, dualClip: 0 }),
      ),
  },
  // verl's geo_mean averages micro-batches whatever their size.
  gmpo: {
    code: 6,
    wholeResponses: true,
    defaults: { epsilon: 0.4, epsilonHigh: 0.4 },
    formula: ({ epsilon, epsilonHigh }) =>
      `ℓ = -A exp(mean_t of ln ρ, at most ${epsilonHigh} where A > 0 and at least -${epsilon} where A < 0)`,
    ofRatio: () => true,
    compute: (logProbs, oldLogProbs, advantage, { epsilon, epsilonHigh }) => {
      const ratios = Float64Array.from(logProbs, (logProb, t) => logProb - oldLogProbs[t]!);
      const bounded = ratios.map((d) => clamp(d, -20, 20));
      const held = bounded.map((d) =>
        advantage > 0 ? Math.min(d, epsilonHigh) : advantage < 0 ? Math.max(d, -epsilon) : d
      );
      const loss = -advantage * Math.exp(held.reduce((sum, d) => sum + d, 0) / held.length);
      const free = (t: number) => held[t] === bounded[t];
      return {
        losses: held.map(() => loss),
        dLogProbs: held.map((_, t) => free(t) && ratios[t] === bounded[t] ? loss : 0),
        clips: Array.from(held, (_, t): ClipKind => free(t) ? "none" : "ratio"),
      };
    },
  },
  luspo: {
    code: 7,
    wholeResponses: true,
    byLength: true,
    ofRatio: () => true,
    defaults: { epsilon: 3e-4, epsilonHigh: 4e-4 },
    formula: (numbers) => `ℓ = L max(-A s, -A clip(s, ${range(numbers)})), s = exp(mean_t ln ρ)`,
    compute: (logProbs, oldLogProbs, advantage, numbers) => {
      const length = logProbs.length;
      const { loss, dLogProb, clip } = clippedRatio(
        meanLogRatio(logProbs, oldLogProbs),
        advantage,
        { ...numbers, dualClip: 0 },
      );
      return wholeResponse(length, { loss: length * loss, dLogProb: length * dLogProb, clip });
    },
  },
  vespo: {
    code: 8,
    wholeResponses: true,
    defaults: {},
    formula: () =>
      "ℓ = -sg(W^k e^(λ (1 - W))) A ln π, W = Π_t ρ, k, λ = 2, 3 where A >= 0, else 3, 2",
    compute: (logProbs, oldLogProbs, advantage, numbers) => {
      const sum = logProbs.length * meanLogRatio(logProbs, oldLogProbs);
      const logW = clamp(sum, Math.log(1e-8), 20);
      const [k, lambda] = advantage >= 0 ? [2, 3] : [3, 2];
      const factor = Math.exp(k * logW + lambda * (1 - Math.exp(logW)));
      return everyToken((logProb) => heldFactor(factor, logProb, advantage, "none"))(
        logProbs,
        oldLogProbs,
        advantage,
        numbers,
      );
    },
  },
};
