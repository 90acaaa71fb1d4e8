/** Causal grouped-query attention over packed segments, in float64. */

import { readSegments } from "./segments.ts";

/** Sizes of {@linkcode attention}. */
export interface AttentionOptions {
  /** Query heads H, a multiple of `keyHeads`. */
  queryHeads: number;
  /** Key/value heads J. */
  keyHeads: number;
  /** Head size D. */
  headDim: number;
  /** Flat segment table, five numbers per segment. */
  segments: ArrayLike<number>;
}

/**
 * out[T, H, D] = softmax(q · kᵀ / √D) · v for q[T, H, D], k[T, J, D], v[T, J, D].
 *
 * A token sees the prompt its segment continues and its own segment up to itself.
 * Query head h reads key head ⌊h · J / H⌋.
 *
 * @returns `out` and `logSumExp` [T, H] of the scaled scores.
 */
export function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  { queryHeads, keyHeads, headDim, segments }: AttentionOptions,
): { out: Float64Array; logSumExp: Float64Array } {
  const tokens = q.length / (queryHeads * headDim);
  const out = new Float64Array(tokens * queryHeads * headDim);
  const logSumExp = new Float64Array(tokens * queryHeads);
  for (const { start, end, prefixStart, prefixEnd } of readSegments(segments)) {
    for (let i = start; i < end; i++) {
      const visible: number[] = [];
      for (let j = prefixStart; j < prefixEnd; j++) visible.push(j);
      for (let j = start; j <= i; j++) visible.push(j);

      for (let h = 0; h < queryHeads; h++) {
        const keyHead = Math.floor(h * keyHeads / queryHeads);
        const query = (i * queryHeads + h) * headDim;
        const scores = visible.map((j) => {
          const key = (j * keyHeads + keyHead) * headDim;
          let dot = 0;
          for (let d = 0; d < headDim; d++) dot += q[query + d]! * k[key + d]!;
          return dot / Math.sqrt(headDim);
        });
        const largest = Math.max(...scores);
        const total = scores.reduce((sum, s) => sum + Math.exp(s - largest), 0);
        logSumExp[i * queryHeads + h] = largest + Math.log(total);
        visible.forEach((j, at) => {
          const probability = Math.exp(scores[at]! - largest) / total;
          const value = (j * keyHeads + keyHead) * headDim;
          for (let d = 0; d < headDim; d++) out[query + d]! += probability * v[value + d]!;
        });
      }
    }
  }
  return { out, logSumExp };
}
