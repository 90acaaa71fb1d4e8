/**
 * The tiny Qwen2 fixture: a random two-layer checkpoint with tied embeddings, and what PyTorch
 * computes from it in float64.
 */

import type { TransformerConfig } from "../reference/transformer.ts";
import { readSafetensors, type StoredTensor } from "./safetensors.ts";

/** Contents of `oracle.json`. */
export interface TinyQwen2Oracle {
  prompt_length: number;
  max_response_length: number;
  num_prompts: number;
  num_generations: number;
  /** [B, prompt_length + max_response_length], zero past the response. */
  tokens: number[][];
  /** [B], end-of-sequence token included. */
  response_lengths: number[];
  /** [B] */
  rewards: number[];
  /** Of `log_probs_temperature` and `entropy_temperature`; the `cases` are at temperature 1. */
  temperature: number;
  clip_ratio_low: number;
  clip_ratio_high: number;
  clip_ratio_c: number;
  kl_coef: number;
  entropy_coef: number;
  M: number;
  /** By `{clip|reinforce|clip_kl_entropy}.{rule}`, and `sft`. */
  cases: Record<string, { loss: number; grad_norm: number }>;
  adamw: {
    lr: number;
    beta1: number;
    beta2: number;
    eps: number;
    weight_decay: number;
    max_grad_norm: number;
  };
  adamw_trajectory: { loss: number; grad_norm: number }[];
  /** [num_prompts, 12] */
  greedy: number[][];
  greedy_min_margin: number;
}

/** The whole fixture. */
export interface TinyQwen2 {
  config: TransformerConfig;
  /** Checkpoint by Hugging Face name, widened to float64. */
  weights: Map<string, Float64Array>;
  /** Shapes of the checkpoint's tensors. */
  shapes: Map<string, number[]>;
  oracle: TinyQwen2Oracle;
  /** Tensors of `oracle.safetensors`. */
  truth: Map<string, StoredTensor>;
}

/** Where the fixture lies. */
export const tinyQwen2Folder: URL = new URL("../fixtures/tiny-qwen2/", import.meta.url);

/** Reads the fixture. */
export function loadTinyQwen2(): TinyQwen2 {
  const checkpoint = readSafetensors(new URL("model.safetensors", tinyQwen2Folder));
  return {
    config: JSON.parse(Deno.readTextFileSync(new URL("config.json", tinyQwen2Folder))),
    weights: new Map([...checkpoint].map(([name, { data }]) => [name, data])),
    shapes: new Map([...checkpoint].map(([name, { shape }]) => [name, shape])),
    oracle: JSON.parse(Deno.readTextFileSync(new URL("oracle.json", tinyQwen2Folder))),
    truth: readSafetensors(new URL("oracle.safetensors", tinyQwen2Folder)),
  };
}

/**
 * The scored response tokens of rows [B, S], row by row.
 *
 * @returns `rows` the logits row [b · S + position] that predicts each token, `targets` the token,
 * `sequences` its response b, `positions` its place in the response.
 */
export function scoredTokens({ oracle }: TinyQwen2): {
  rows: number[];
  targets: number[];
  sequences: number[];
  positions: number[];
} {
  const width = oracle.tokens[0]!.length;
  const items = {
    rows: [] as number[],
    targets: [] as number[],
    sequences: [] as number[],
    positions: [] as number[],
  };
  oracle.tokens.forEach((row, b) => {
    for (let t = 0; t < oracle.response_lengths[b]!; t++) {
      const position = oracle.prompt_length + t;
      items.rows.push(b * width + position - 1);
      items.targets.push(row[position]!);
      items.sequences.push(b);
      items.positions.push(t);
    }
  });
  return items;
}

/** Picks the elements [b, t] of a truth tensor [B, T] at the scored tokens. */
export function atScoredTokens(
  tensor: StoredTensor,
  items: { sequences: number[]; positions: number[] },
): Float64Array {
  const width = tensor.shape[1]!;
  return Float64Array.from(
    items.sequences,
    (b, n) => tensor.data[b * width + items.positions[n]!]!,
  );
}
