/**
 * Sampling among the most likely tokens: top-k, top-p, min-p.
 *
 * @module
 */

/**
 * Which tokens may be sampled, named as in transformers. They apply after the temperature in vLLM's order, `minP`, `topK`,
 * `topP`, each to what the ones before leave; equal logits are kept or left out together. The log-probabilities and
 * entropies that are reported remain those of the whole distribution.
 */
export interface TruncationOptions {
  /** The k most likely tokens, an integer; 0 for all. Default 0. */
  readonly topK?: number | undefined;
  /**
   * The fewest of the most likely tokens that have this probability together, in (0, 1]; 1 for all (nucleus sampling,
   * Holtzman et al. 2020, arXiv 1904.09751). Default 1.
   */
  readonly topP?: number | undefined;
  /**
   * Tokens at least so many times as likely as the most likely one, from 0 to 1; 0 for all (Nguyen et al. 2024,
   * arXiv 2407.01082). Default 0.
   */
  readonly minP?: number | undefined;
}

/** {@linkcode TruncationOptions} with their defaults. */
export type ResolvedTruncation = Readonly<Record<keyof TruncationOptions, number>>;

/**
 * Picks the options of truncation out of others and fills in their defaults.
 *
 * @throws {RangeError} Naming the value that is out of range.
 */
export function truncationOf(options: TruncationOptions): ResolvedTruncation {
  const { topK = 0, topP = 1, minP = 0 } = options;
  if (!Number.isInteger(topK) || topK < 0) {
    throw new RangeError(`topK must be an integer >= 0, 0 for all: current value is ${topK}`);
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new RangeError(`topP must be a number > 0 and <= 1: current value is ${topP}`);
  }
  if (!(minP >= 0 && minP <= 1)) {
    throw new RangeError(`minP must be a number from 0 to 1: current value is ${minP}`);
  }
  return { topK: Math.min(topK, 2 ** 24), topP, minP };
}

/** Whether any token is left out. */
export function truncates({ topK, topP, minP }: ResolvedTruncation): boolean {
  return topK > 0 || topP < 1 || minP > 0;
}

/** In words, for a line of settings: `, top-k 20, top-p 0.8`; empty where no token is left out. */
export function describeTruncation({ topK, topP, minP }: ResolvedTruncation): string {
  return (topK > 0 ? `, top-k ${topK}` : "") + (topP < 1 ? `, top-p ${topP}` : "") +
    (minP > 0 ? `, min-p ${minP}` : "");
}
