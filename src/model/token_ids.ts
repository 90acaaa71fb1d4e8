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
