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
    if (!(typeof value === "number" && Number.isFinite(value))) refuse(value, `${name}[${i}]`);
  }
}

/**
 * Checks that a value is a finite number.
 *
 * @param value The value.
 * @param name What to call it in the message.
 * @throws {RangeError} If it is not.
 */
export function checkNumber(value: unknown, name: string): void {
  if (!(typeof value === "number" && Number.isFinite(value))) refuse(value, name);
}

function refuse(value: unknown, name: string): never {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  throw new RangeError(`${name} must be a finite number: current value is ${shown}`);
}
