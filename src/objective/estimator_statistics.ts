/** What the response weights of a loss do to the gradient estimate: its bias and its noise. */

import { checkNumbers } from "./check_numbers.ts";

/** What a set of weights does to the gradient estimate g = Σ x_i g_i. */
export interface EstimatorStatistics {
  /** E[g] / ∇J = Σ x_i. The estimate is biased where this depends on the lengths. */
  meanFactor: number;
  /** Var(g) / V = Σ x_i² L_i, V being the variance that one token adds. */
  variance: number;
  /** √Var(g) / |E g| in units of √V / |∇J|: the noise left after any change of learning rate. */
  coefficientOfVariation: number;
}

/**
 * Bias and variance of the gradient estimate under the paper's model (arXiv 2509.07558, §1):
 * independent g_i with E[g_i] = ∇J and Var(g_i) = V L_i.
 *
 * @param lengths Length of each response [N].
 * @param weights Weight x_i of each response [N].
 * @throws {RangeError} If the lists differ in length, or have an entry that is not a finite number.
 */
export function estimatorStatistics(
  lengths: ArrayLike<number>,
  weights: ArrayLike<number>,
): EstimatorStatistics {
  if (lengths.length !== weights.length) {
    throw new RangeError(`${lengths.length} lengths for ${weights.length} weights: pass one each`);
  }
  checkNumbers(lengths, "lengths");
  checkNumbers(weights, "weights");
  let meanFactor = 0;
  let variance = 0;
  for (let i = 0; i < weights.length; i++) {
    meanFactor += weights[i]!;
    variance += weights[i]! ** 2 * lengths[i]!;
  }
  const coefficientOfVariation = Math.sqrt(variance) / Math.abs(meanFactor);
  return { meanFactor, variance, coefficientOfVariation };
}

/**
 * (Σ w)² / Σ w²: the number of equally weighted responses that would average as well; between 1
 * and the number of weights that are not 0, and 0 when all are.
 *
 * @throws {RangeError} If a weight is not a finite number.
 */
export function effectiveSampleSize(weights: ArrayLike<number>): number {
  checkNumbers(weights, "weights");
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < weights.length; i++) {
    sum += weights[i]!;
    squares += weights[i]! ** 2;
  }
  return squares === 0 ? 0 : sum ** 2 / squares;
}
