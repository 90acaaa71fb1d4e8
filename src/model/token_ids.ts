/**
 * Token ids from outside: they go to the GPU, which would not complain of wrong ones.
 *
 * @module
 */

/**
 * Checks token ids.
 *
 * @param vocabSize V.
 * @param what What to call them in the message.
 * @throws {RangeError} If there are none, or one is out of vocabulary.
 */
export function checkTokenIds(ids: readonly number[], vocabSize: number, what: string): void {
  if (ids.length === 0) throw new RangeError(`${what} is empty: at least one token id is needed`);
  const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad >= 0) {
    throw new RangeError(
      `${what}[${bad}] is ${ids[bad]}: token ids are integers from 0 to ${vocabSize - 1}`,
    );
  }
}
