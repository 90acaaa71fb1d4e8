/** Sampling by the Gumbel-max trick and greedy choice, in float64. */

/** Index of the largest element of x[row, :] for x[R, V]; the first of equals. */
export function argmax(x: ArrayLike<number>, row: number, columns: number): number {
  let best = 0;
  for (let c = 1; c < columns; c++) {
    if (x[row * columns + c]! > x[row * columns + best]!) best = c;
  }
  return best;
}

/**
 * Tokens [R] drawn from softmax(logits / temperature) with given uniforms.
 *
 * argmax_v(logits_v / temperature - ln(-ln u_v)) is a draw from the softmax when the u_v are
 * independent and uniform on (0, 1).
 *
 * @param logits [R, V]
 * @param uniforms [R, V], each strictly between 0 and 1
 * @param temperature 0 chooses the largest logit
 */
export function gumbelMax(
  logits: ArrayLike<number>,
  uniforms: ArrayLike<number>,
  { vocabulary, temperature = 1 }: { vocabulary: number; temperature?: number },
): Uint32Array<ArrayBuffer> {
  const scores = Float64Array.from(
    logits,
    (logit, i) =>
      temperature === 0 ? logit : logit / temperature - Math.log(-Math.log(uniforms[i]!)),
  );
  const tokens = new Uint32Array(scores.length / vocabulary);
  for (let r = 0; r < tokens.length; r++) tokens[r] = argmax(scores, r, vocabulary);
  return tokens;
}
