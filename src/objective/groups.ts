/** Prompt groups: which of the consecutive responses of a batch share a prompt. */

/** Indices start … end - 1. */
export interface IndexRange {
  /** First index. */
  readonly start: number;
  /** One past the last index. */
  readonly end: number;
}

/**
 * Splits B consecutive responses into the ranges that answer one prompt each.
 *
 * @param responses Number of responses B.
 * @param numGenerations Responses per prompt: one number for all prompts, or one per prompt.
 * @throws {RangeError} Where the groups are not positive integers or do not add up to B.
 */
export function groupRanges(
  responses: number,
  numGenerations: number | readonly number[],
): IndexRange[] {
  const ranges: IndexRange[] = [];
  let start = 0;
  for (let group = 0; start < responses || typeof numGenerations !== "number"; group++) {
    const size = typeof numGenerations === "number" ? numGenerations : numGenerations[group];
    if (size === undefined) break;
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`numGenerations is ${size}: every prompt needs a whole number >= 1`);
    }
    ranges.push({ start, end: start + size });
    start += size;
  }
  if (start !== responses) {
    throw new RangeError(
      `numGenerations ${JSON.stringify(numGenerations)} does not divide ${responses} responses ` +
        `into whole groups: pass every response of every prompt`,
    );
  }
  return ranges;
}

/** A list in consecutive groups of as many elements, such as the responses to each prompt. */
export function inGroups<T>(list: readonly T[], size: number): T[][] {
  return Array.from(
    { length: Math.ceil(list.length / size) },
    (_, g) => list.slice(g * size, (g + 1) * size),
  );
}
