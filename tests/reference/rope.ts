/** Rotary position embedding (arXiv 2104.09864), half-split as in Hugging Face, in float64. */

/** `rope_scaling` of a config.json. */
export interface RopeScaling {
  rope_type: string;
  factor?: number;
  low_freq_factor?: number;
  high_freq_factor?: number;
  original_max_position_embeddings?: number;
}

/**
 * Radians per position of pair d, by the wavelengths in positions as the papers put it: Llama 3's
 * model card and arXiv 2306.15595.
 */
export function angleOf(
  d: number,
  { headDim, theta, scaling }: Pick<RopeOptions, "headDim" | "theta" | "scaling">,
): number {
  const angle = theta ** (-2 * d / headDim);
  if (scaling?.rope_type === "linear") return angle / scaling.factor!;
  if (scaling?.rope_type !== "llama3") return angle;
  const { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } = scaling;
  const wavelength = 2 * Math.PI / angle;
  const longest = original_max_position_embeddings! / low_freq_factor!;
  const shortest = original_max_position_embeddings! / high_freq_factor!;
  if (wavelength > longest) return angle / factor!;
  if (wavelength < shortest) return angle;
  const smooth = (original_max_position_embeddings! / wavelength - low_freq_factor!) /
    (high_freq_factor! - low_freq_factor!);
  return (1 - smooth) * angle / factor! + smooth * angle;
}

/** Sizes of {@linkcode rope}. */
export interface RopeOptions {
  /** Number of heads of x. */
  heads: number;
  /** Head size D, even. */
  headDim: number;
  /** Base of the frequencies. */
  theta: number;
  /** What slows some of them down. */
  scaling?: RopeScaling | undefined;
  /** Rotate by the negative angle: the transpose, hence the gradient rule. */
  inverse?: boolean;
}

/**
 * Rotates x[T, heads, D] by the angle of each token's position[T].
 *
 * Dimension d < D/2 is paired with d + D/2 (`rotate_half`) and turned by
 * position · theta^(-2d/D), scaled.
 */
export function rope(
  x: ArrayLike<number>,
  positions: ArrayLike<number>,
  { heads, headDim, theta, scaling, inverse = false }: RopeOptions,
): Float64Array {
  const half = headDim / 2;
  const y = new Float64Array(positions.length * heads * headDim);
  for (let t = 0; t < positions.length; t++) {
    for (let h = 0; h < heads; h++) {
      const base = (t * heads + h) * headDim;
      for (let d = 0; d < half; d++) {
        const angle = positions[t]! * angleOf(d, { headDim, theta, scaling }) * (inverse ? -1 : 1);
        const first = x[base + d]!;
        const second = x[base + d + half]!;
        y[base + d] = first * Math.cos(angle) - second * Math.sin(angle);
        y[base + d + half] = second * Math.cos(angle) + first * Math.sin(angle);
      }
    }
  }
  return y;
}
