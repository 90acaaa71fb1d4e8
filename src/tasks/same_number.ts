/**
 * When two numbers that somebody wrote are the same.
 *
 * @module
 */

/** A whole number as it is written. */
const WHOLE = /^[+-]?\d+$/;

/** A number: its value, and how it was written where that is one number. */
export interface WrittenNumber {
  /** Its value. */
  readonly value: number;
  /** Its digits, without separators. */
  readonly text?: string;
}

/**
 * Whether two numbers are the same: whole ones exactly, however large; others within a share of the larger one.
 *
 * @param share The largest difference, relative to the larger number.
 */
export function sameNumber(a: WrittenNumber, b: WrittenNumber, share: number): boolean {
  if (Number.isSafeInteger(a.value) && Number.isSafeInteger(b.value)) return a.value === b.value;
  if (a.text && b.text && WHOLE.test(a.text) && WHOLE.test(b.text)) {
    return BigInt(a.text.replace("+", "")) === BigInt(b.text.replace("+", ""));
  }
  const larger = Math.max(Math.abs(a.value), Math.abs(b.value));
  return larger < Infinity && Math.abs(a.value - b.value) <= share * larger;
}
