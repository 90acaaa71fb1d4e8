/**
 * Packing token sequences of different lengths onto one axis, without padding.
 *
 * The tokens of a prompt stand once, before those of all its responses; a response token attends to its prompt and to
 * its own response up to itself. The last token of a response is not packed, since nothing follows it.
 *
 * @module
 */

/** A prompt and the responses that continue it. */
export interface PromptGroup {
  /** Token ids, at least one. */
  readonly prompt: readonly number[];
  /** Responses to score; may be empty. */
  readonly responses: readonly {
    /** Index b of the response in the rollout batch. */
    readonly sequence: number;
    /** Token ids, end of sequence included, at least one. */
    readonly tokens: readonly number[];
  }[];
}

/** Host arrays of a packed batch, in the layout the kernels read. */
export interface PackedBatch {
  /** Token ids (T). */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Positions for the rotary embedding (T). */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** Start, end, prefix start, prefix end and query end of each segment (S, 5). */
  readonly segments: Uint32Array<ArrayBuffer>;
  /** Segment and first token of each attention tile (N, 2). */
  readonly tiles: Uint32Array<ArrayBuffer>;
  /** First item of each packed row in `rowItems` (T + 1). */
  readonly rowOffsets: Uint32Array<ArrayBuffer>;
  /** Items by the row that predicts them. */
  readonly rowItems: Uint32Array<ArrayBuffer>;
  /** Token id of each scored item; items are ordered by response, then position. */
  readonly itemTargets: Uint32Array<ArrayBuffer>;
  /** Response b of each item. */
  readonly itemSequences: Uint32Array<ArrayBuffer>;
  /** Position t of each item in its response. */
  readonly itemPositions: Uint32Array<ArrayBuffer>;
  /** First and past-the-last item of each response here (S, 2). */
  readonly itemRanges: Uint32Array<ArrayBuffer>;
  /** Row of the last prompt token of each group. */
  readonly lastPromptRows: Uint32Array<ArrayBuffer>;
  /** First and past-the-last row of each group's prompt (P, 2). */
  readonly promptRanges: Uint32Array<ArrayBuffer>;
}

/** Packed rows a group takes at most, which is also a bound on its scored items. */
export function groupCost(group: PromptGroup): number {
  return group.responses.reduce((n, { tokens }) => n + tokens.length, group.prompt.length);
}

/**
 * Packs groups one after the other.
 *
 * @param groups Prompts with their responses.
 * @param tile Tokens per attention tile.
 */
export function packGroups(groups: readonly PromptGroup[], tile: number): PackedBatch {
  const tokens: number[] = [];
  const positions: number[] = [];
  const segments: number[] = [];
  const tiles: number[] = [];
  const itemTargets: number[] = [];
  const itemRows: number[] = [];
  const itemSequences: number[] = [];
  const itemPositions: number[] = [];
  const itemRanges: number[] = [];
  const lastPromptRows: number[] = [];
  const promptRanges: number[] = [];
  const openSegment = (ids: readonly number[], count: number, firstPosition: number): number => {
    const start = tokens.length;
    for (let i = 0; i < count; i++) {
      tokens.push(ids[i]!);
      positions.push(firstPosition + i);
    }
    for (let at = start; at < start + count; at += tile) tiles.push(segments.length / 5, at);
    return start;
  };
  for (const { prompt, responses } of groups) {
    const start = openSegment(prompt, prompt.length, 0);
    const end = tokens.length;
    const promptSegment = segments.length;
    segments.push(start, end, 0, 0, end);
    lastPromptRows.push(end - 1);
    promptRanges.push(start, end);
    for (const { sequence, tokens: response } of responses) {
      const rows = response.length - 1;
      const first = openSegment(response, rows, prompt.length);
      if (rows > 0) segments.push(first, first + rows, start, end, first + rows);
      const firstItem = itemTargets.length;
      for (const [t, target] of response.entries()) {
        itemTargets.push(target);
        itemRows.push(t === 0 ? end - 1 : first + t - 1);
        itemSequences.push(sequence);
        itemPositions.push(t);
      }
      itemRanges.push(firstItem, itemTargets.length);
    }
    segments[promptSegment + 4] = tokens.length;
  }
  const { rowOffsets, rowItems } = itemsByRow(itemRows, tokens.length);
  return {
    tokens: Uint32Array.from(tokens),
    positions: Uint32Array.from(positions),
    segments: Uint32Array.from(segments),
    tiles: Uint32Array.from(tiles),
    rowOffsets,
    rowItems,
    itemTargets: Uint32Array.from(itemTargets),
    itemSequences: Uint32Array.from(itemSequences),
    itemPositions: Uint32Array.from(itemPositions),
    itemRanges: Uint32Array.from(itemRanges),
    lastPromptRows: Uint32Array.from(lastPromptRows),
    promptRanges: Uint32Array.from(promptRanges),
  };
}

/** Items of each row, as offsets and a list (a counting sort, so items of a row keep their order). */
function itemsByRow(
  itemRows: readonly number[],
  rows: number,
): { rowOffsets: Uint32Array<ArrayBuffer>; rowItems: Uint32Array<ArrayBuffer> } {
  const rowOffsets = new Uint32Array(rows + 1);
  for (const row of itemRows) rowOffsets[row + 1]!++;
  for (let row = 0; row < rows; row++) rowOffsets[row + 1]! += rowOffsets[row]!;
  const next = rowOffsets.slice();
  const rowItems = new Uint32Array(itemRows.length);
  for (const [item, row] of itemRows.entries()) rowItems[next[row]!++] = item;
  return { rowOffsets, rowItems };
}

/**
 * Splits groups into batches of at most `maxTokens` packed tokens, in order. A group too large for one batch is split
 * between responses, and its prompt packed again.
 *
 * @throws {RangeError} If one prompt with one response is larger than `maxTokens`.
 */
export function splitGroups(groups: readonly PromptGroup[], maxTokens: number): PromptGroup[][] {
  const batches: PromptGroup[][] = [];
  let batch: PromptGroup[] = [];
  let room = maxTokens;
  const flush = () => {
    if (batch.length > 0) batches.push(batch);
    batch = [];
    room = maxTokens;
  };
  for (const group of groups) {
    if (groupCost(group) > maxTokens) {
      flush();
      if (group.prompt.length > maxTokens) {
        throw new RangeError(
          `A prompt of ${group.prompt.length} tokens does not fit into maxTokensPerMicroBatch = ` +
            `${maxTokens}: raise it`,
        );
      }
      let part: PromptGroup["responses"][number][] = [];
      let left = maxTokens - group.prompt.length;
      for (const response of group.responses) {
        const cost = response.tokens.length;
        if (group.prompt.length + cost > maxTokens) {
          throw new RangeError(
            `A prompt of ${group.prompt.length} and a response of ${cost} tokens do not fit into ` +
              `maxTokensPerMicroBatch = ${maxTokens}: raise it`,
          );
        }
        if (cost > left) {
          batches.push([{ prompt: group.prompt, responses: part }]);
          part = [];
          left = maxTokens - group.prompt.length;
        }
        part.push(response);
        left -= cost;
      }
      batches.push([{ prompt: group.prompt, responses: part }]);
      continue;
    }
    const cost = groupCost(group);
    if (cost > room) flush();
    batch.push(group);
    room -= cost;
  }
  flush();
  return batches;
}
