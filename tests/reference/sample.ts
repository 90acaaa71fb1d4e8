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

/**
 * Which tokens of a row min-p, top-k and top-p leave, one after the other, by sorting; equal logits share their fate.
 *
 * @param logits [V]
 */
export function keptTokens(
  logits: ArrayLike<number>,
  { temperature = 1, topK = 0, topP = 1, minP = 0 },
): boolean[] {
  const sorted = Array.from(logits).sort((a, b) => b - a);
  const weights = sorted.map((logit) => Math.exp((logit - sorted[0]!) / temperature));
  let count = weights.filter((weight) => weight >= minP).length;
  const withEquals = (n: number) => sorted.filter((logit) => logit >= sorted[n - 1]!).length;
  if (topK > 0) count = Math.min(count, withEquals(Math.min(topK, sorted.length)));
  const wanted = topP * weights.slice(0, count).reduce((sum, weight) => sum + weight, 0);
  let mass = 0;
  let fewest = 0;
  while (fewest < count && mass < wanted) mass += weights[fewest++]!;
  if (topP < 1) count = withEquals(fewest);
  return Array.from(logits, (logit) => logit >= sorted[count - 1]!);
}
