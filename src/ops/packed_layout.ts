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
