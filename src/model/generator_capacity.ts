/**
 * What a generator is built for.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import type { Arena } from "../gpu/arena.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** What a `Generator` is built for. */
export interface GeneratorCapacity {
  /** The most prompt tokens of one call, over all prompts. */
  readonly promptTokens: number;
  /** B, the most sequences of one call. */
  readonly sequences: number;
  /** M, the most tokens of one completion. */
  readonly completionLength: number;
  /**
   * Tokens of each sequence decoded per submit; finished sequences leave the batch only in between. Default: 4 on a
   * software adapter, which gains more from dropping them early than from few submits, and 16 on others.
   */
  readonly stepsPerSubmit?: number | undefined;
  /** Whether requests may set `topK`, `topP` or `minP`: sampling then has a kernel that looks for them. Default false. */
  readonly truncates?: boolean;
}

/** Memory that generation may borrow: nothing in it outlives a request, nor does a request outlive its being used. */
export interface BorrowedMemory {
  /** Blocks for intermediate tensors. */
  readonly arena?: Arena | undefined;
  /** Room for caches, such as gradients that are made anew after every rollout. */
  readonly scratch?: Tensor | undefined;
}

/** Every field of {@linkcode GeneratorCapacity}. */
export const CAPACITY: readonly string[] = namesOf<GeneratorCapacity>({
  promptTokens: true,
  sequences: true,
  completionLength: true,
  stepsPerSubmit: true,
  truncates: true,
});
