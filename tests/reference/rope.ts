/** Rotary position embedding (arXiv 2104.09864), half-split as in Hugging Face, in float64. */

/** Sizes of {@linkcode rope}. */
export interface RopeOptions {
  /** Number of heads of x. */
  heads: number;
  /** Head size D, even. */
  headDim: number;
  /** Base of the frequencies. */
  theta: number;
  /** Rotate by the negative angle: the transpose, hence the gradient rule. */
  inverse?: boolean;
}

/**
 * Rotates x[T, heads, D] by the angle of each token's position[T].
 *
 * Dimension d < D/2 is paired with d + D/2 (`rotate_half`) and turned by
 * position · theta^(-2d/D).
 */
export function rope(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  { heads, headDim, theta, inverse = false }: RopeOptions,
): Float64Array {
  const half = headDim / 2;
  const y = new Float64Array(positions.length * heads * headDim);
  for (let t = 0; t < positions.length; t++) {
    for (let h = 0; h < heads; h++) {
      const base = (t * heads + h) * headDim;
      for (let d = 0; d < half; d++) {
        const angle = positions[t]! * theta ** (-2 * d / headDim) * (inverse ? -1 : 1);
        const first = x[base + d]!;
        const second = x[base + d + half]!;
        y[base + d] = first * Math.cos(angle) - second * Math.sin(angle);
        y[base + d + half] = second * Math.cos(angle) + first * Math.sin(angle);
      }
    }
  }
  return y;
}
