/**
 * What a forward pass reads of a policy.
 *
 * @module
 */

import type { Tensor } from "../gpu/tensor.ts";
import type { Adapters } from "./adapters.ts";
import type { PolicyConfig } from "./config.ts";

/** Weights of one decoder layer; matrices are [out, in]. */
export interface LayerParameters {
  /** (C) before attention. */
  readonly inputNorm: Tensor;
  /** ((H + 2J) D, C): q, k and v stacked. */
  readonly qkvWeight: Tensor;
  /** ((H + 2J) D), if the family has biases. */
  readonly qkvBias: Tensor | undefined;
  /** (2 D): those of query heads, then of key heads, if the family normalises them. */
  readonly headNorms: Tensor | undefined;
  /** (C, H D). */
  readonly outputWeight: Tensor;
  /** (C) before the feed-forward. */
  readonly postAttentionNorm: Tensor;
  /** (2F, C): gate and up stacked. */
  readonly gateUpWeight: Tensor;
  /** (C, F). */
  readonly downWeight: Tensor;
}

/** How a policy's matrices, or its cache of keys and values, are stored; everything is computed in float32. */
export type StoredDType = "f32" | "f16" | "bf16";

/** What a {@linkcode StoredDType} may be. */
export const STORED_DTYPES: readonly StoredDType[] = ["f32", "f16", "bf16"];

/** What a forward pass reads of a policy. */
export interface PolicyWeights {
  /** What they belong to. */
  readonly config: PolicyConfig;
  /** How the matrices are stored. */
  readonly dtype: StoredDType;
  /** How keys and values are cached, and so what they are rounded to wherever they are attended to. */
  readonly cacheDtype: StoredDType;
  /** (V, C). */
  readonly embedding: Tensor;
  /** Per layer. */
  readonly layers: readonly LayerParameters[];
  /** (C). */
  readonly finalNorm: Tensor;
  /** (V, C); the embedding itself when tied. */
  readonly head: Tensor;
  /** Low-rank adapters, if there are any. */
  readonly adapters?: Adapters | undefined;
}
