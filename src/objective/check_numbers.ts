/**
 * Numbers that come from outside.
 *
 * @module
 */

/**
 * Checks that a list holds finite numbers and nothing else: a `null` would count as 0, and `NaN` spoil a sum or, where
 * a kernel drops it, vanish.
 *
 * @param values The list.
 * @param name What to call it in the message.
 * @throws {TypeError} If it is no list.
 * @throws {RangeError} Naming the place of the first value that is not a finite number.
 */
export function checkNumbers(values: ArrayLike<unknown>, name: string): void {
  if (typeof values?.length !== "number" || typeof values === "string") {
    throw new TypeError(`${name} must be a list of numbers: got ${values}`);
  }
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === "number" && Number.isFinite(value)) continue;
    const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new RangeError(`${name}[${i}] must be a finite number: current value is ${shown}`);
  }
}
