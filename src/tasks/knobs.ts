/**
 * Checks of the numbers a task is built with.
 *
 * @module
 */

/**
 * Fails unless `value` is an integer from `min` to `max`.
 *
 * @throws {RangeError} naming the knob, its value and what is allowed
 */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${value}`);
  }
}

/**
 * Fails unless `value` is a probability.
 *
 * @throws {RangeError} naming the knob and its value
 */
export function checkProbability(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`${name} must be a number from 0 to 1, got ${value}`);
  }
}

/**
 * Fails unless `shares` are probabilities that leave 0 or more for the remaining case.
 *
 * @throws {RangeError} naming the knobs and their values
 */
export function checkShares(shares: Readonly<Record<string, number>>): void {
  let sum = 0;
  for (const [name, value] of Object.entries(shares)) {
    checkProbability(name, value);
    sum += value;
  }
  // Leaves room for rounding: 0.7 + 0.2 + 0.1 is a little less than 1, other orders a little more.
  if (sum > 1 + 1e-9) {
    throw new RangeError(`${Object.keys(shares).join(" + ")} must be at most 1, got ${sum}`);
  }
}
