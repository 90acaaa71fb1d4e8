/** SwiGLU activation (arXiv 2002.05202), in float64. */

/** silu(x) = x / (1 + e^-x). */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** y[T, F] = silu(gate) · up for gateUp[T, 2F], each row holding the F gates and then the F ups. */
export function swiglu(gateUp: ArrayLike<number>, tokens: number, features: number): Float64Array {
  const y = new Float64Array(tokens * features);
  for (let t = 0; t < tokens; t++) {
    for (let f = 0; f < features; f++) {
      const gate = gateUp[t * 2 * features + f]!;
      const up = gateUp[t * 2 * features + features + f]!;
      y[t * features + f] = silu(gate) * up;
    }
  }
  return y;
}
