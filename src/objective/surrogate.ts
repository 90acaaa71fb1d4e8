/**
 * Policy losses: the surrogate whose gradient moves the policy, for one token or one response.
 *
 * Each is a value and its closed-form derivative with respect to the log-probabilities. How
 * responses are weighted against each other is the separate choice of `aggregation.ts`.
 */

import type { PolicyLoss } from "../ops/policy_loss.ts";

export type { PolicyLoss };

/** Number of each surrogate, for kernels and files; numbers are never reused. */
export const POLICY_LOSS_CODES: Readonly<Record<PolicyLoss, number>> = {
  reinforce: 0,
  ppo: 1,
  cispo: 2,
  sapo: 3,
  dppo: 4,
  gspo: 5,
  gmpo: 6,
};

/** Choice of a surrogate. What a surrogate does not use is ignored. */
export interface PolicyLossOptions {
  /**
   * The surrogate.
   *
   * @default "ppo"
   */
  policyLoss?: PolicyLoss;
  /**
   * Lower bound ε: on the ratio below 1, on ln r for `"gmpo"`, on π - π_old for `"dppo"`.
   *
   * @default 0.2 for "ppo" and "dppo", 1 (no bound) for "cispo", 3e-4 for "gspo", 0.4 for "gmpo"
   */
  epsilon?: number;
  /**
   * Upper bound ε_high. An `epsilon` given alone holds on both sides.
   *
   * @default 0.28 for "ppo", 4 for "cispo", 0.2 for "dppo", 4e-4 for "gspo", 0.4 for "gmpo"
   */
  epsilonHigh?: number;
  /**
   * Bound c > 1 of `"ppo"` where A < 0, and of the ratio in `"dppo"`; 0 for none.
   *
   * @default 3 for "ppo", 20 for "dppo"
   */
  dualClip?: number;
  /**
   * τ of `"sapo"` where A > 0.
   *
   * @default 1
   */
  sapoTemperaturePos?: number;
  /**
   * τ of `"sapo"` where A <= 0.
   *
   * @default 1.05
   */
  sapoTemperatureNeg?: number;
}

/** A surrogate with every setting decided. */
export type PolicyLossSettings = Required<PolicyLossOptions>;

/** Which bound decided a token's loss: none, that of the ratio, or the dual clip. */
export type ClipKind = "none" | "ratio" | "dual";

/** Loss of one token. */
export interface TokenLoss {
  /** ℓ. */
  loss: number;
  /** dℓ / d ln π. */
  dLogProb: number;
  /** The bound that decided. */
  clip: ClipKind;
}

/** Losses of the L tokens of one response. */
export interface ResponseLoss {
  /** ℓ_t [L]; the response's own loss at every token for the response-level surrogates. */
  losses: Float64Array;
  /** d Σ_t' ℓ_t' / d ln π_t [L]. */
  dLogProbs: Float64Array;
  /** The bound that decided at each token [L]. */
  clips: ClipKind[];
}

/** Bound of a log-ratio inside an exponential, as in the paper's published code and verl. */
const LOG_RATIO_LIMIT = 20;

interface Bounds {
  epsilon: number;
  epsilonHigh: number;
  dualClip: number;
}

const NO_BOUNDS: Bounds = { epsilon: 0, epsilonHigh: 0, dualClip: 0 };
const DEFAULT_BOUNDS: Readonly<Record<PolicyLoss, Bounds>> = {
  reinforce: NO_BOUNDS,
  ppo: { epsilon: 0.2, epsilonHigh: 0.28, dualClip: 3 },
  cispo: { epsilon: 1, epsilonHigh: 4, dualClip: 0 },
  sapo: NO_BOUNDS,
  dppo: { epsilon: 0.2, epsilonHigh: 0.2, dualClip: 20 },
  gspo: { epsilon: 3e-4, epsilonHigh: 4e-4, dualClip: 0 },
  gmpo: { epsilon: 0.4, epsilonHigh: 0.4, dualClip: 0 },
};

/**
 * Fills in the defaults of a surrogate.
 *
 * @throws {RangeError} For an unknown surrogate and for settings outside their range.
 */
export function policyLossSettings(options: PolicyLossOptions = {}): PolicyLossSettings {
  const { policyLoss = "ppo", sapoTemperaturePos = 1, sapoTemperatureNeg = 1.05 } = options;
  const defaults = DEFAULT_BOUNDS[policyLoss];
  if (defaults === undefined) {
    throw new RangeError(
      `policyLoss is ${policyLoss}: choose one of ${Object.keys(POLICY_LOSS_CODES).join(", ")}`,
    );
  }
  const epsilon = options.epsilon ?? defaults.epsilon;
  const epsilonHigh = options.epsilonHigh ?? options.epsilon ?? defaults.epsilonHigh;
  const dualClip = options.dualClip ?? defaults.dualClip;
  const logarithmic = policyLoss === "gmpo";
  if (!(epsilon >= 0 && (epsilon <= 1 || logarithmic) && epsilon < Infinity)) {
    throw new RangeError(`epsilon is ${epsilon}: give a number >= 0, up to 1 except for gmpo`);
  }
  if (!(epsilonHigh >= 0 && epsilonHigh < Infinity)) {
    throw new RangeError(`epsilonHigh is ${epsilonHigh}: give a number >= 0`);
  }
  if (!(dualClip === 0 || (dualClip > 1 && dualClip < Infinity))) {
    throw new RangeError(`dualClip is ${dualClip}: give a number > 1, or 0 for none`);
  }
  for (const temperature of [sapoTemperaturePos, sapoTemperatureNeg]) {
    if (!(temperature > 0 && temperature < Infinity)) {
      throw new RangeError(`A SAPO temperature is ${temperature}: give a number > 0`);
    }
  }
  return { policyLoss, epsilon, epsilonHigh, dualClip, sapoTemperaturePos, sapoTemperatureNeg };
}

/**
 * Loss and derivative of one token under a token-level surrogate.
 *
 * @param logProb ln π(token) under the policy being trained.
 * @param oldLogProb ln π_old(token) under the policy that sampled it.
 * @param advantage A of the token's response.
 * @throws {RangeError} For `"gspo"` and `"gmpo"`, which need the whole response.
 */
export function tokenPolicyLoss(
  logProb: number,
  oldLogProb: number,
  advantage: number,
  settings: PolicyLossSettings,
): TokenLoss {
  switch (settings.policyLoss) {
    case "reinforce":
      return { loss: -advantage * logProb, dLogProb: -advantage, clip: "none" };
    case "ppo":
      return clippedRatio(logProb - oldLogProb, advantage, settings);
    case "cispo": {
      const { ratio } = boundedRatio(logProb - oldLogProb);
      const factor = clamp(ratio, 1 - settings.epsilon, 1 + settings.epsilonHigh);
      return heldFactor(factor, logProb, advantage, factor === ratio ? "none" : "ratio");
    }
    case "sapo": {
      const { ratio, slope } = boundedRatio(logProb - oldLogProb);
      const tau = advantage > 0 ? settings.sapoTemperaturePos : settings.sapoTemperatureNeg;
      const gate = 1 / (1 + Math.exp(-tau * (ratio - 1)));
      return {
        loss: -advantage * 4 / tau * gate,
        dLogProb: -advantage * 4 * gate * (1 - gate) * slope,
        clip: "none",
      };
    }
    case "dppo": {
      const gap = Math.exp(logProb) - Math.exp(oldLogProb);
      const masked = advantage > 0 ? gap > settings.epsilonHigh : gap < -settings.epsilon;
      if (masked) return { loss: 0, dLogProb: 0, clip: "ratio" };
      const { ratio } = boundedRatio(logProb - oldLogProb);
      const capped = settings.dualClip > 0 && ratio > settings.dualClip;
      const factor = capped ? settings.dualClip : ratio;
      return heldFactor(factor, logProb, advantage, capped ? "dual" : "none");
    }
    case "gspo":
    case "gmpo":
      throw new RangeError(
        `${settings.policyLoss} is a loss of whole responses: use responsePolicyLoss`,
      );
  }
}

/**
 * Losses and derivatives of the tokens of one response, under any surrogate.
 *
 * A response-level surrogate gives each of the L tokens the value ℓ_i and a derivative of the
 * token's share, so that Σ_t ℓ_t = L ℓ_i: under the aggregation `"grpo"` the total is mean_i ℓ_i,
 * as those papers have it.
 *
 * @param logProbs ln π of each token under the policy being trained [L].
 * @param oldLogProbs ln π_old of each token under the policy that sampled it [L].
 * @param advantage A of the response.
 * @throws {RangeError} Where the lengths differ.
 */
export function responsePolicyLoss(
  logProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantage: number,
  settings: PolicyLossSettings,
): ResponseLoss {
  const length = logProbs.length;
  if (oldLogProbs.length !== length) {
    throw new RangeError(`${length} logProbs for ${oldLogProbs.length} oldLogProbs: pass one each`);
  }
  const result: ResponseLoss = {
    losses: new Float64Array(length),
    dLogProbs: new Float64Array(length),
    clips: new Array<ClipKind>(length).fill("none"),
  };
  const logRatio = (t: number) => logProbs[t]! - oldLogProbs[t]!;
  switch (settings.policyLoss) {
    case "gspo": {
      let sum = 0;
      for (let t = 0; t < length; t++) sum += logRatio(t);
      const whole = clippedRatio(sum / length, advantage, { ...settings, dualClip: 0 });
      result.losses.fill(whole.loss);
      result.dLogProbs.fill(whole.dLogProb);
      result.clips.fill(whole.clip);
      break;
    }
    case "gmpo": {
      let sum = 0;
      for (let t = 0; t < length; t++) {
        const d = clamp(logRatio(t), -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT);
        const held = advantage > 0
          ? Math.min(d, settings.epsilonHigh)
          : advantage < 0
          ? Math.max(d, -settings.epsilon)
          : d;
        sum += held;
        if (held !== d) result.clips[t] = "ratio";
      }
      const loss = -advantage * Math.exp(sum / length);
      result.losses.fill(loss);
      for (let t = 0; t < length; t++) {
        const moves = result.clips[t] === "none" && Math.abs(logRatio(t)) <= LOG_RATIO_LIMIT;
        result.dLogProbs[t] = moves ? loss : 0;
      }
      break;
    }
    default:
      for (let t = 0; t < length; t++) {
        const token = tokenPolicyLoss(logProbs[t]!, oldLogProbs[t]!, advantage, settings);
        result.losses[t] = token.loss;
        result.dLogProbs[t] = token.dLogProb;
        result.clips[t] = token.clip;
      }
  }
  return result;
}

/** max(-A r, -A clip(r)), the dual clip below it; derivative with respect to the log-ratio. */
function clippedRatio(logRatio: number, advantage: number, bounds: Bounds): TokenLoss {
  const { ratio, slope } = boundedRatio(logRatio);
  const free = -advantage * ratio;
  const clipped = -advantage * clamp(ratio, 1 - bounds.epsilon, 1 + bounds.epsilonHigh);
  if (clipped > free) return { loss: clipped, dLogProb: 0, clip: "ratio" };
  if (bounds.dualClip > 0 && advantage < 0 && ratio > bounds.dualClip) {
    return { loss: -advantage * bounds.dualClip, dLogProb: 0, clip: "dual" };
  }
  return { loss: free, dLogProb: -advantage * slope, clip: "none" };
}

/** -sg(factor) A ln π. */
function heldFactor(
  factor: number,
  logProb: number,
  advantage: number,
  clip: ClipKind,
): TokenLoss {
  return { loss: -factor * advantage * logProb, dLogProb: -factor * advantage, clip };
}

/** exp of the bounded log-ratio, and its derivative with respect to the log-ratio. */
function boundedRatio(logRatio: number): { ratio: number; slope: number } {
  const ratio = Math.exp(clamp(logRatio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT));
  return { ratio, slope: Math.abs(logRatio) <= LOG_RATIO_LIMIT ? ratio : 0 };
}

function clamp(x: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, x));
}
