/**
 * Names that people write: what they may have meant, and values as messages show them.
 *
 * @module
 */

import { host } from "../host/host.ts";

/** The word closest to `word`, `undefined` where none is close. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const ranked = words
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, word.length / 3) ? best.candidate : undefined;
}

/** Fewest insertions, deletions and replacements that turn `a` into `b` (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    row = next;
  }
  return row[b.length]!;
}

/**
 * Every option of a type, to check names by.
 *
 * @param names The options; one too few or too many does not compile.
 */
export function namesOf<Options>(names: Readonly<Record<keyof Options, true>>): string[] {
  return Object.keys(names);
}

/**
 * Refuses options that do not exist: a misspelt one would silently do nothing.
 *
 * @param what Whose options, for the message.
 * @param given The options.
 * @param names Those there are.
 * @throws {TypeError} Naming the first that does not exist, and the one that was probably meant; or if it is no object.
 */
export function checkNames(what: string, given: object, names: readonly string[]): void {
  // Programs in JavaScript may leave it out.
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${what} takes its options as an object: got ${given}`);
  }
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, names);
  throw new TypeError(
    `${what} has no option ` +
      `${unknown}${near ? `, did you mean ${near}?` : `: there are ${names.join(", ")}`}`,
  );
}

/** A value as messages show it, on one line of at most 80 characters; texts in quotation marks. */
export function shownValue(value: unknown): string {
  const text = typeof value === "string"
    ? JSON.stringify(value)
    : host.inspect(value).replaceAll(/\s+/g, " ");
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** A value with its type where the value alone would mislead, as `"1", a text`. */
export function shownWithType(value: unknown): string {
  return typeof value === "string" ? `${shownValue(value)}, a text` : shownValue(value);
}
