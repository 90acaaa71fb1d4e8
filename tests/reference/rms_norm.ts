/** Root-mean-square normalisation (arXiv 1910.07467), in float64. */

/** Sizes and extras of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Number of tokens T. */
  tokens: number;
  /** Hidden size C. */
  channels: number;
  /** Added to the mean square. */
  eps: number;
  /** Residual stream [T, C] added to x before the normalisation. */
  residual?: ArrayLike<number>;
}

/**
 * y[T, C] = h / √(mean(h²) + eps) · weight[C], with h = x[T, C] (+ residual[T, C]).
 *
 * @returns `y` and the sum `h` [T, C], which continues as the residual stream.
 */
export function rmsNorm(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  { tokens, channels, eps, residual }: RmsNormOptions,
): { y: Float64Array; h: Float64Array } {
  const h = new Float64Array(tokens * channels);
  const y = new Float64Array(tokens * channels);
  for (let t = 0; t < tokens; t++) {
    let squares = 0;
    for (let c = 0; c < channels; c++) {
      const i = t * channels + c;
      h[i] = x[i]! + (residual ? residual[i]! : 0);
      squares += h[i]! * h[i]!;
    }
    const scale = 1 / Math.sqrt(squares / channels + eps);
    for (let c = 0; c < channels; c++) {
      const i = t * channels + c;
      y[i] = h[i]! * scale * weight[c]!;
    }
  }
  return { y, h };
}
