/** The packed token axis [T]: segments of prompts and the responses that continue them. */

/** Numbers per row of a flat segment table. */
export const SEGMENT_STRIDE = 5;

/** One prompt and the lengths of the responses sampled from it. */
export interface PromptGroup {
  /** Tokens of the prompt. */
  promptLength: number;
  /** Tokens of each response; empty for a prompt alone. */
  responseLengths: readonly number[];
}

/** One row of a segment table, by name. */
export interface Segment {
  /** First packed token. */
  start: number;
  /** One past the last packed token. */
  end: number;
  /** First packed token of the prompt it continues; 0 for a prompt. */
  prefixStart: number;
  /** One past the last packed token of the prompt it continues; 0 for a prompt. */
  prefixEnd: number;
  /** One past the last packed token that attends to keys of this segment. */
  queryEnd: number;
}

/** The flat table of groups laid out one after the other: prompt, then its responses. */
export function packSegments(groups: readonly PromptGroup[]): Uint32Array<ArrayBuffer> {
  const table: number[] = [];
  let at = 0;
  for (const { promptLength, responseLengths } of groups) {
    const promptStart = at;
    const promptEnd = at + promptLength;
    const groupEnd = promptEnd + responseLengths.reduce((a, b) => a + b, 0);
    table.push(promptStart, promptEnd, 0, 0, groupEnd);
    at = promptEnd;
    for (const length of responseLengths) {
      table.push(at, at + length, promptStart, promptEnd, at + length);
      at += length;
    }
  }
  return Uint32Array.from(table);
}

/** The rows of a flat table by name. */
export function readSegments(table: ArrayLike<number>): Segment[] {
  const segments: Segment[] = [];
  for (let i = 0; i < table.length; i += SEGMENT_STRIDE) {
    segments.push({
      start: table[i]!,
      end: table[i + 1]!,
      prefixStart: table[i + 2]!,
      prefixEnd: table[i + 3]!,
      queryEnd: table[i + 4]!,
    });
  }
  return segments;
}

/** Rope position of every packed token [T]: its distance from the start of its prompt. */
export function segmentPositions(table: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  const segments = readSegments(table);
  const positions = new Uint32Array(Math.max(0, ...segments.map((s) => s.end)));
  for (const { start, end, prefixStart, prefixEnd } of segments) {
    for (let i = start; i < end; i++) positions[i] = i - start + (prefixEnd - prefixStart);
  }
  return positions;
}

/**
 * Cuts segments into attention tiles.
 *
 * @param segments Flat segment table, {@linkcode SEGMENT_STRIDE} numbers each.
 * @param tile Tokens per tile, see {@linkcode DeviceTraits.attentionTile}.
 * @returns Flat tile table, two numbers each; empty segments have none.
 */
export function packTiles(segments: ArrayLike<number>, tile: number): Uint32Array<ArrayBuffer> {
  const tiles: number[] = [];
  for (let i = 0; i * SEGMENT_STRIDE < segments.length; i++) {
    const start = segments[i * SEGMENT_STRIDE]!;
    const end = segments[i * SEGMENT_STRIDE + 1]!;
    for (let first = start; first < end; first += tile) tiles.push(i, first);
  }
  return Uint32Array.from(tiles);
}
