/** Sums, means and variances of numbers. */

/** Their sum. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** Sum over count; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Variance with n - 1 in the denominator; NaN of fewer than two values. */
export function variance(values: ArrayLike<number>): number {
  const m = mean(values);
  const squares = sum(Array.from(values, (value) => (value - m) ** 2));
  return values.length < 2 ? NaN : squares / (values.length - 1);
}
