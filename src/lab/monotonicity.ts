/**
 * How steadily a run improves.
 *
 * @module
 */

import { checkNumbers } from "../objective/check_numbers.ts";

/**
 * Monotonicity of a learning curve: Spearman's rank correlation of step and accuracy, 1 where every value is above the
 * one before.
 *
 * The paper (arXiv 2509.07558) reports a "monotonicity score" without saying how it is computed; this is our definition.
 *
 * @param accuracies Accuracy of the evaluations or steps of a run, in their order.
 * @returns From -1 to 1; 0 where the curve is flat, and for fewer than two values.
 * @throws {RangeError} Naming the place of a value that is not a finite number.
 */
export function monotonicityScore(accuracies: ArrayLike<number>): number {
  checkNumbers(accuracies, "accuracies");
  return rankCorrelation(Array.from(accuracies, (_, i) => i), accuracies);
}

/**
 * Spearman's rank correlation, ties sharing their mean rank; 0 where either side is constant.
 *
 * @param x One side.
 * @param y The other, as many values.
 * @throws {RangeError} If the lists differ in length, or a value is not a finite number.
 */
export function rankCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) {
    throw new RangeError(`${x.length} values cannot be ranked against ${y.length}: pass as many`);
  }
  checkNumbers(x, "x");
  checkNumbers(y, "y");
  const [a, b] = [ranks(x), ranks(y)];
  // The mean of the ranks 0 … n - 1, whatever the ties.
  const middle = (a.length - 1) / 2;
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - middle) * (b[i]! - middle);
    aa += (a[i]! - middle) ** 2;
    bb += (b[i]! - middle) ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i)
    .sort((i, j) => values[i]! - values[j]!);
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let k = start; k < end; k++) result[order[k]!] = (start + end - 1) / 2;
    start = end;
  }
  return result;
}
