/**
 * Random four-layer policies of the other families, as transformers 5.18 saves them, and what it
 * computes from them in float64 (stored as float32).
 */

import { readSafetensors, type StoredTensor } from "./safetensors.ts";

/** Folders of `tests/fixtures/families`. */
export const FAMILY_FIXTURES = ["qwen3", "llama3", "llama-linear", "smollm3", "mistral"] as const;

/** Contents of `oracle.json`. */
export interface FamilyOracle {
  prompt_length: number;
  num_generations: number;
  /** [B, prompt_length + longest response], zero past the response. */
  tokens: number[][];
  /** [B], end-of-sequence token included. */
  response_lengths: number[];
  /** [B] */
  rewards: number[];
  clip_ratio_low: number;
  clip_ratio_high: number;
  clip_ratio_c: number;
  M: number;
  /** By `clip.{rule}`. */
  cases: Record<string, { loss: number; grad_norm: number }>;
  /** [prompts, 12] */
  greedy: number[][];
}

/** Sequences of which `logits` are stored: one of each prompt, the longest response among them. */
export const LOGITS_OF: readonly number[] = [1, 4, 8];

/** A fixture: its folder, and tensors `logits`, `old_log_probs` and `grad.clip.delta_l:0.75.*`. */
export function loadFamily(name: string): {
  folder: URL;
  oracle: FamilyOracle;
  truth: Map<string, StoredTensor>;
} {
  const folder = new URL(`../fixtures/families/${name}/`, import.meta.url);
  return {
    folder,
    oracle: JSON.parse(Deno.readTextFileSync(new URL("oracle.json", folder))),
    truth: readSafetensors(new URL("oracle.safetensors", folder)),
  };
}
