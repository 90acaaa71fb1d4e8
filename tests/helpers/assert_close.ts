/** Comparison of arrays of numbers. */

/** Settings of {@linkcode assertClose}. */
export interface CloseOptions {
  /** Largest permitted |actual - expected|, relative to the largest |expected|. */
  tolerance: number;
  /** Size the error is relative to, when `expected` is a sample that may miss the largest element. */
  scale?: number;
  /** What is compared, for the message. */
  label?: string;
}

/**
 * Asserts that two arrays agree to `tolerance` times the largest |expected| element.
 *
 * Where every expected element is zero the tolerance is absolute. A NaN or an infinity on either
 * side always fails, and so does an empty comparison.
 *
 * @throws {Error} With the worst pair and the first five pairs.
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { tolerance, label = "values", scale: floor = 0 }: CloseOptions,
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${label}: ${actual.length} elements, expected ${expected.length}`);
  }
  if (expected.length === 0) throw new Error(`${label}: nothing to compare`);
  let scale = floor;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]!));
  if (scale === 0) scale = 1;

  let worst = 0;
  let worstError = -1;
  for (let i = 0; i < expected.length; i++) {
    const finite = Number.isFinite(actual[i]) && Number.isFinite(expected[i]);
    const error = finite ? Math.abs(actual[i]! - expected[i]!) / scale : Infinity;
    if (error > worstError) {
      worst = i;
      worstError = error;
    }
  }
  if (worstError <= tolerance) return;

  const pairs: string[] = [];
  for (let i = 0; i < Math.min(5, expected.length); i++) {
    pairs.push(`  [${i}] actual ${actual[i]}, expected ${expected[i]}`);
  }
  throw new Error(
    `${label}: worst at [${worst}], actual ${actual[worst]}, expected ${expected[worst]}, ` +
      `error ${worstError.toExponential(3)} of the largest expected element ${scale}, ` +
      `allowed ${tolerance}\n${pairs.join("\n")}`,
  );
}
