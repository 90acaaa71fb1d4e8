/**
 * How packed tokens are divided into segments and attention tiles.
 *
 * A packed batch has one token axis: each prompt, followed by the responses to it. A response token attends to its
 * prompt and to its own response up to itself; so a prompt is computed once for all its responses.
 *
 * @module
 */

import type { Dim, Tensor } from "../gpu/tensor.ts";

/** Numbers per segment: start, end, prefix start, prefix end, query end. */
export const SEGMENT_STRIDE = 5;

/** The device's view of a packed batch. */
export interface PackedLayout {
  /**
   * (S, 5) u32: first token, one past the last; first and one past the last token of the prompt that the segment
   * continues (both 0 for a prompt); one past the last token that attends to this segment's keys.
   */
  segments: Tensor;
  /** (N, 2) u32: segment, and first token of up to {@linkcode DeviceTraits.attentionTile} consecutive tokens of it. */
  tiles: Tensor;
  /** Tiles in use. */
  tileCount: Dim;
  /** Pairs of a query and a key that it attends to, for profiles. */
  pairs: Dim;
  /** (T) u32: distance of each token from the start of its prompt. */
  positions: Tensor;
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
