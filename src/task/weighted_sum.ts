/**
 * Sums of rewards as people add them up: 0.7 + 0.2 + 0.1 is 1, and 0.1 + 0.2 is 0.3.
 *
 * @module
 */

/** Decimal digits that a double holds of any number. */
const DIGITS = 15;

/** Of these the last that are 0 in a decimal number of few digits. */
const ZEROS = 3;

/** Places behind the point that `toFixed` can write. */
const MOST_PLACES = 100;

/**
 * Σ w r, summed without loss. Where the sum is a decimal number of at most 12 digits but for rounding, it is that number;
 * sums such as 1/3 stay as they are.
 *
 * @param terms Pairs of weight and reward.
 */
export function weightedSum(terms: readonly (readonly [weight: number, reward: number])[]): number {
  let sum = 0;
  let lost = 0;
  let scale = 0;
  for (const [weight, reward] of terms) {
    const term = weight * reward;
    const next = sum + term;
    // What the addition rounded away (Neumaier 1974).
    lost += Math.abs(sum) >= Math.abs(term) ? sum - next + term : term - next + sum;
    sum = next;
    scale += Math.abs(term);
  }
  const exact = sum + lost;
  const digits = DIGITS - 1 - Math.floor(Math.log10(scale));
  // Beyond what toFixed writes, and where a term is infinite, there is nothing to round.
  if (!Number.isFinite(exact) || !(digits <= MOST_PLACES)) return sum;
  const [all, few] = [digits, digits - ZEROS].map((n) => Number(exact.toFixed(Math.max(0, n))));
  return all === few ? few! : exact;
}
