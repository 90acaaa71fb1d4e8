/** Gradients by central differences, the truth every derivative is held against. */

/** Settings of {@linkcode finiteDifference}. */
export interface FiniteDifferenceOptions {
  /** Step relative to max(1, |x_i|). */
  step?: number;
  /** Coordinates to differentiate; all of them by default. */
  indices?: ArrayLike<number>;
}

/**
 * (f(x + h e_i) - f(x - h e_i)) / 2h for each wanted coordinate i.
 *
 * @param f Scalar function; x is changed in place while it is called and restored afterwards.
 * @returns One derivative per entry of `indices`, in that order.
 */
export function finiteDifference(
  f: (x: Float64Array) => number,
  x: Float64Array,
  { step = 1e-5, indices }: FiniteDifferenceOptions = {},
): Float64Array {
  const wanted = indices ?? Uint32Array.from(x, (_, i) => i);
  const gradient = new Float64Array(wanted.length);
  for (let n = 0; n < wanted.length; n++) {
    const i = wanted[n]!;
    const original = x[i]!;
    const h = step * Math.max(1, Math.abs(original));
    x[i] = original + h;
    const above = f(x);
    x[i] = original - h;
    const below = f(x);
    x[i] = original;
    gradient[n] = (above - below) / (2 * h);
  }
  return gradient;
}
