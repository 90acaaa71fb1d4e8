/**
 * How far an evaluation's figures can be trusted.
 *
 * @module
 */

/** Quantile 0.975 of the standard normal distribution. */
const Z = 1.959963984540054;

/**
 * The 95 % interval of a share, by Wilson's score: unlike mean ± 1.96 errors it stays within [0, 1] and has a width at
 * both ends.
 *
 * Samples of one prompt resemble each other, so what counts as n is the number of independent samples that would have
 * the error there is over prompts, p (1 - p) / error², at most all samples. Of a share of 0 or 1, which has no error, and of
 * one sample per prompt it is the number of prompts.
 *
 * @param share The share p of right samples.
 * @param prompts Number of prompts, at least one.
 * @param samples Samples of each.
 * @param error Standard error over prompts; NaN where it is not known.
 * @returns Lower and upper end.
 */
export function shareInterval(
  share: number,
  prompts: number,
  samples = 1,
  error = NaN,
): [low: number, high: number] {
  const spread = share * (1 - share);
  const n = samples === 1 || spread <= 0 || Number.isNaN(error)
    ? prompts
    : Math.min(prompts * samples, spread / error ** 2);
  const centre = (share + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = Z / (1 + Z ** 2 / n) * Math.sqrt(Math.max(0, spread) / n + (Z / (2 * n)) ** 2);
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** The 95 % interval of a mean reward that is no share: the normal one. */
export function rewardInterval(mean: number, error: number): [low: number, high: number] {
  return [mean - Z * error, mean + Z * error];
}
