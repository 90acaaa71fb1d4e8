/** Log-probability of chosen tokens and entropy of the distribution, in float64. */

import { logSoftmax } from "./softmax.ts";

/** Inputs of {@linkcode logProb} besides the logits. */
export interface LogProbOptions {
  /** Vocabulary size V. */
  vocabulary: number;
  /** Token scored by each item [N]. */
  targets: ArrayLike<number>;
  /** Logits row each item reads [N]; by default item i reads row i. */
  rows?: ArrayLike<number>;
  /** Divides the logits. */
  temperature?: number;
}

/**
 * ln softmax(logits / temperature)[target] and the entropy of that softmax, per item.
 *
 * @param logits [R, V]
 * @returns `logProbs` [N] and `entropies` [N], in nats.
 */
export function logProb(
  logits: ArrayLike<number>,
  { vocabulary, targets, rows, temperature = 1 }: LogProbOptions,
): { logProbs: Float64Array; entropies: Float64Array } {
  const scaled = Float64Array.from(logits, (x) => x / temperature);
  const all = logSoftmax(scaled, scaled.length / vocabulary, vocabulary);
  const logProbs = new Float64Array(targets.length);
  const entropies = new Float64Array(targets.length);
  for (let i = 0; i < targets.length; i++) {
    const row = rows ? rows[i]! : i;
    logProbs[i] = all[row * vocabulary + targets[i]!]!;
    for (let c = 0; c < vocabulary; c++) {
      const logP = all[row * vocabulary + c]!;
      entropies[i]! -= Math.exp(logP) * logP;
    }
  }
  return { logProbs, entropies };
}
