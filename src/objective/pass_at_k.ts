/**
 * pass@k: the chance that one of k samples is right.
 *
 * @module
 */

/**
 * Unbiased estimate of pass@k from n samples of a prompt, c of them right: 1 - C(n - c, k) / C(n, k)
 * (Chen et al. 2021, arXiv 2107.03374, eq. 1).
 *
 * verl's `best@k` draws k of the n samples with replacement instead, which is less: 1 of 8 right gives 0.656 there.
 *
 * @param samples n.
 * @param right c.
 * @param k Samples allowed, from 1 to n.
 * @throws {RangeError} If the counts are not whole numbers, or c or k exceeds n.
 */
export function passAtK(samples: number, right: number, k: number): number {
  const whole = [samples, right, k].every((value) => Number.isInteger(value));
  if (!whole || right < 0 || right > samples || k < 1 || k > samples) {
    throw new RangeError(
      `passAtK needs whole numbers 0 <= right <= samples and 1 <= k <= samples: got samples ${samples}, ` +
        `right ${right}, k ${k}`,
    );
  }
  let noneRight = 1;
  for (let i = 0; i < k; i++) noneRight *= Math.max(0, samples - right - i) / (samples - i);
  return 1 - noneRight;
}

/** The k that pass@k is reported for: powers of two below n, and n itself. */
export function passAtKSizes(samples: number): number[] {
  const sizes: number[] = [];
  for (let k = 1; k < samples; k *= 2) sizes.push(k);
  return [...sizes, samples];
}
