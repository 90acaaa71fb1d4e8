/** Table look-up, in float64. */

/** y[T, C]: row tokens[t] of table[V, C]. */
export function embedding(
  tokens: ArrayLike<number>,
  table: ArrayLike<number>,
  channels: number,
): Float64Array {
  const y = new Float64Array(tokens.length * channels);
  for (let t = 0; t < tokens.length; t++) {
    for (let c = 0; c < channels; c++) y[t * channels + c] = table[tokens[t]! * channels + c]!;
  }
  return y;
}

/** dtable[V, C]: the sum of dy[T, C] over the tokens that read each row. */
export function embeddingGradient(
  tokens: ArrayLike<number>,
  dy: ArrayLike<number>,
  vocabulary: number,
  channels: number,
): Float64Array {
  const dtable = new Float64Array(vocabulary * channels);
  for (let t = 0; t < tokens.length; t++) {
    for (let c = 0; c < channels; c++) {
      dtable[tokens[t]! * channels + c]! += dy[t * channels + c]!;
    }
  }
  return dtable;
}
