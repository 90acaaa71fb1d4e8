/**
 * The assertions of `jsr:@std/assert` that the tests use, with its names and signatures, on top of
 * `node:assert`. It stands in for the real package where the JSR registry is out of reach: deno.json
 * names it under `links`. Delete that one line and the tests run on the real `@std/assert`.
 * Known difference: equality here tells -0 from 0, as `Object.is` does.
 *
 * @module
 */

import nodeAssert, { AssertionError } from "node:assert";
import { isDeepStrictEqual } from "node:util";

export { AssertionError };

// deno-lint-ignore no-explicit-any -- constructors of any signature, as in std
type Class<T> = abstract new (...args: any[]) => T;

/** Throws an `AssertionError` with `message`, and what was found when no message is given. */
function failWith(found: string, message?: string): never {
  throw new AssertionError({ message: message === undefined ? found : `${found}: ${message}` });
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 4, iterableLimit: 20 });
}

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError({ message: msg });
}

/** Fails always. */
export function fail(msg?: string): never {
  failWith("Failed assertion", msg);
}

/** Fails unless `actual` and `expected` are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.deepStrictEqual(actual, expected, msg);
}

/** Fails if `actual` and `expected` are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.notDeepStrictEqual(actual, expected, msg);
}

/** Fails unless `actual` and `expected` are the same value (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, msg);
}

/**
 * Fails unless the two numbers differ by at most `tolerance`, by default 1e-7 of the expected
 * value's magnitude.
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(actual - expected);
  // Written so that a NaN on either side fails.
  if (!(delta <= allowed)) {
    failWith(`Expected ${actual} to be within ${allowed} of ${expected}, delta is ${delta}`, msg);
  }
}

/** Fails if `actual` is `null` or `undefined`. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === null || actual === undefined) {
    failWith(`Expected a value, got ${show(actual)}`, msg);
  }
}

/** Fails unless `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Class<T>,
  msg?: string,
): asserts actual is T {
  if (!(actual instanceof expectedType)) {
    failWith(`Expected an instance of ${expectedType.name}, got ${show(actual)}`, msg);
  }
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) failWith(`Expected ${show(actual)} > ${show(expected)}`, msg);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) failWith(`Expected ${show(actual)} >= ${show(expected)}`, msg);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) failWith(`Expected ${show(actual)} < ${show(expected)}`, msg);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) failWith(`Expected ${show(actual)} <= ${show(expected)}`, msg);
}

/** Fails unless `actual` matches the pattern. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) failWith(`Expected ${show(actual)} to match ${expected}`, msg);
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    failWith(`Expected ${show(actual)} to contain ${show(expected)}`, msg);
  }
}

/** Fails unless every element of `expected` is deeply equal to some element of `actual`. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const missing = Array.from(expected).filter((item) =>
    !Array.from(actual).some((candidate) => isDeepStrictEqual(candidate, item))
  );
  if (missing.length > 0) {
    failWith(`Expected ${show(actual)} to include ${show(missing)}`, msg);
  }
}

/** Checks a thrown value against the optional class and message part of `assertThrows`/`assertRejects`. */
function checkThrown<E extends Error>(
  thrown: unknown,
  ErrorClass: Class<E> | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): void {
  if (ErrorClass === undefined) return;
  if (!(thrown instanceof ErrorClass)) {
    failWith(`Expected an error of class ${ErrorClass.name}, got ${show(thrown)}`, msg);
  }
  if (msgIncludes !== undefined && !thrown.message.includes(msgIncludes)) {
    failWith(
      `Expected the error's message to contain ${show(msgIncludes)}, got ${show(thrown.message)}`,
      msg,
    );
  }
}

/** Fails unless `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an `ErrorClass` whose message contains `msgIncludes`; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  errorClassOrMsg?: Class<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const [ErrorClass, message] = typeof errorClassOrMsg === "string"
    ? [undefined, errorClassOrMsg]
    : [errorClassOrMsg, msg];
  try {
    fn();
  } catch (thrown) {
    checkThrown(thrown, ErrorClass, msgIncludes, message);
    return thrown;
  }
  failWith("Expected function to throw", message);
}

/** Fails unless the promise of `fn` rejects; resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless the promise of `fn` rejects with an `ErrorClass` whose message contains `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  errorClassOrMsg?: Class<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const [ErrorClass, message] = typeof errorClassOrMsg === "string"
    ? [undefined, errorClassOrMsg]
    : [errorClassOrMsg, msg];
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (thrown) {
    failWith(`Expected function to reject, but it threw ${show(thrown)}`, message);
  }
  try {
    await promise;
  } catch (thrown) {
    checkThrown(thrown, ErrorClass, msgIncludes, message);
    return thrown;
  }
  failWith("Expected function to reject", message);
}
