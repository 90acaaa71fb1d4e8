/**
 * Token ids from outside: they go to the GPU, which would not complain of wrong ones.
 *
 * @module
 */

import { shownWithType } from "../input/names.ts";
import type { PolicyConfig } from "./config.ts";

/**
 * Checks token ids.
 *
 * @param vocabSize V.
 * @param what What to call them in the message.
 * @throws {TypeError} If it is no list.
 * @throws {RangeError} If there are none, or one is out of vocabulary.
 */
export function checkTokenIds(ids: readonly number[], vocabSize: number, what: string): void {
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids)) {
    throw new TypeError(`${what} is ${shownWithType(ids)}: a list of token ids is needed`);
  }
  if (ids.length === 0) throw new RangeError(`${what} is empty: at least one token id is needed`);
  const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad >= 0) {
    throw new RangeError(
      `${what}[${bad}] is ${ids[bad]}: token ids are integers from 0 to ${vocabSize - 1}`,
    );
  }
}

/**
 * Checks how long a sequence is.
 *
 * @param length Its tokens.
 * @param what What to call it in the message.
 * @throws {RangeError} If it has more tokens than the policy has positions.
 */
export function checkPositions(
  { maxPositionEmbeddings }: PolicyConfig,
  length: number,
  what: string,
): void {
  if (length <= maxPositionEmbeddings) return;
  throw new RangeError(
    `${what} has ${length} token ids and exceeds the policy's maxPositionEmbeddings of ${maxPositionEmbeddings}`,
  );
}

/** What is said of a token that has no probability: a policy's padding, or what `suppress_tokens` names. */
export const NEVER_WRITTEN = "which this policy never writes";

/**
 * Checks token ids that a policy is to have written.
 *
 * @param what What to call them in the message.
 * @throws {RangeError} If one has no probability, such as padding.
 */
export function checkWritten(
  { suppressedTokenId }: PolicyConfig,
  ids: readonly number[],
  what: string,
): void {
  const at = suppressedTokenId === undefined ? -1 : ids.indexOf(suppressedTokenId);
  if (at < 0) return;
  throw new RangeError(`${what}[${at}] is ${ids[at]}, ${NEVER_WRITTEN}: leave padding out`);
}

/** Whether none of the ids that are to end a completion can ever be written. */
export function neverEnds(
  { suppressedTokenId }: PolicyConfig,
  eosTokenIds: readonly number[],
): boolean {
  return eosTokenIds.length > 0 && eosTokenIds.every((id) => id === suppressedTokenId);
}
