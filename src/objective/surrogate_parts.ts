/** What several surrogates are made of, in float64. */

/** The numbers of the surrogates; each surrogate has defaults of its own. */
export interface SurrogateNumbers {
  /** Lower bound ε: on the ratio below 1, on ln r for `"gmpo"`, on π - π_old for `"dppo"`. */
  readonly epsilon: number;
  /** Upper bound ε_high. */
  readonly epsilonHigh: number;
  /** Bound c > 1 of `"ppo"` where A < 0, and of the ratio in `"dppo"`; 0 for none. */
  readonly dualClip: number;
  /** τ of `"sapo"` where A > 0. */
  readonly sapoTemperaturePos: number;
  /** τ of `"sapo"` where A <= 0. */
  readonly sapoTemperatureNeg: number;
}

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

/** Losses and derivatives of a response's tokens from ln π and ln π_old [L] and A. */
export type SurrogateComputation = (
  logProbs: ArrayLike<number>,
  oldLogProbs: ArrayLike<number>,
  advantage: number,
  numbers: SurrogateNumbers,
) => ResponseLoss;

/** Bound of a log-ratio inside an exponential, as in the paper's published code and verl. */
const LOG_RATIO_LIMIT = 20;

/** A surrogate that looks at each token alone. */
export function everyToken(
  token: (
    logProb: number,
    oldLogProb: number,
    advantage: number,
    numbers: SurrogateNumbers,
  ) => TokenLoss,
): SurrogateComputation {
  return (logProbs, oldLogProbs, advantage, numbers) => {
    const tokens = Array.from(
      logProbs,
      (logProb, t) => token(logProb, oldLogProbs[t]!, advantage, numbers),
    );
    return {
      losses: Float64Array.from(tokens, ({ loss }) => loss),
      dLogProbs: Float64Array.from(tokens, ({ dLogProb }) => dLogProb),
      clips: tokens.map(({ clip }) => clip),
    };
  };
}

/** Every token of a response with the same loss, which is their mean's. */
export function wholeResponse(length: number, { loss, dLogProb, clip }: TokenLoss): ResponseLoss {
  return {
    losses: new Float64Array(length).fill(loss),
    dLogProbs: new Float64Array(length).fill(dLogProb),
    clips: new Array<ClipKind>(length).fill(clip),
  };
}

/** mean_t (ln π - ln π_old). */
export function meanLogRatio(logProbs: ArrayLike<number>, oldLogProbs: ArrayLike<number>): number {
  let sum = 0;
  for (let t = 0; t < logProbs.length; t++) sum += logProbs[t]! - oldLogProbs[t]!;
  return sum / logProbs.length;
}

/** max(-A r, -A clip(r)), the dual clip below it; derivative with respect to the log-ratio. */
export function clippedRatio(
  logRatio: number,
  advantage: number,
  { epsilon, epsilonHigh, dualClip }: SurrogateNumbers,
): TokenLoss {
  const { ratio, slope } = boundedRatio(logRatio);
  const free = -advantage * ratio;
  const clipped = -advantage * clamp(ratio, 1 - epsilon, 1 + epsilonHigh);
  if (clipped > free) return { loss: clipped, dLogProb: 0, clip: "ratio" };
  if (dualClip > 0 && advantage < 0 && ratio > dualClip) {
    return { loss: -advantage * dualClip, dLogProb: 0, clip: "dual" };
  }
  return { loss: free, dLogProb: -advantage * slope, clip: "none" };
}

/** -sg(factor) A ln π. */
export function heldFactor(
  factor: number,
  logProb: number,
  advantage: number,
  clip: ClipKind,
): TokenLoss {
  return { loss: -factor * advantage * logProb, dLogProb: -factor * advantage, clip };
}

/** exp of the bounded log-ratio, and its derivative with respect to the log-ratio. */
export function boundedRatio(logRatio: number): { ratio: number; slope: number } {
  const ratio = Math.exp(clamp(logRatio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT));
  return { ratio, slope: Math.abs(logRatio) <= LOG_RATIO_LIMIT ? ratio : 0 };
}

/** x held between two bounds. */
export function clamp(x: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, x));
}

/** Without the digits that binary fractions leave: 1 + 0.28 is 1.28. */
export function short(value: number): number {
  return Number(value.toPrecision(8));
}
