/**
 * What the vocabularies of all tasks share.
 *
 * @module
 */

/** The id of padding in every task. */
export const PAD = 0;

/** The id of end of sequence in every task. */
export const EOS = 1;

/** The vocabulary of a task: padding, end of sequence, then its own symbols. */
export function vocabularyOf(symbols: Iterable<string>): readonly string[] {
  return Object.freeze(["<pad>", "<eos>", ...symbols]);
}

/** The ids before the first end of sequence; `undefined` if there is none. */
export function beforeEos(ids: readonly number[]): readonly number[] | undefined {
  const end = ids.indexOf(EOS);
  return end < 0 ? undefined : ids.slice(0, end);
}

/** The symbols of `ids`, and `<7>` for an id 7 outside the vocabulary. */
export function spell(
  vocabulary: readonly string[],
  ids: readonly number[],
  separator: string,
): string {
  return ids.map((id) => vocabulary[id] ?? `<${id}>`).join(separator);
}
