/** A whole forward pass of the Llama and Qwen families in float64, put together from the other references. */

import { attention } from "./attention.ts";
import { embedding } from "./embedding.ts";
import { matmul } from "./matmul.ts";
import { rmsNorm } from "./rms_norm.ts";
import { rope, type RopeScaling } from "./rope.ts";
import { packSegments, segmentPositions } from "./segments.ts";
import { swiglu } from "./swiglu.ts";

/** The fields of a Hugging Face `config.json` that shape the forward pass. */
export interface TransformerConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim?: number;
  rms_norm_eps: number;
  rope_theta: number;
  rope_scaling?: RopeScaling | null;
  /** 1 where a layer is rotated. */
  no_rope_layers?: number[];
  tie_word_embeddings: boolean;
}

/** Parameters by Hugging Face name, Linear weights [out, in]; biases and norms of heads are used where present. */
export type Weights = ReadonlyMap<string, ArrayLike<number>>;

/** What happens to keys and values before they are attended to. */
export type Keep = (values: Float64Array) => Float64Array;

/** Logits [T, V] of packed tokens [T] under a flat segment table. */
export function transformer(
  config: TransformerConfig,
  weights: Weights,
  tokens: ArrayLike<number>,
  segments: ArrayLike<number>,
  keep: Keep = (values) => values,
): Float64Array {
  const T = tokens.length;
  const C = config.hidden_size;
  const H = config.num_attention_heads;
  const J = config.num_key_value_heads;
  const D = config.head_dim ?? C / H;
  const F = config.intermediate_size;
  const eps = config.rms_norm_eps;
  const positions = segmentPositions(segments);

  const parameter = (name: string): ArrayLike<number> => {
    const found = weights.get(name);
    if (!found) throw new Error(`The weights lack ${name}`);
    return found;
  };
  const linear = (x: ArrayLike<number>, name: string, n: number, k: number) => {
    const bias = weights.get(`${name}.bias`);
    const weight = parameter(`${name}.weight`);
    return matmul(x, weight, { m: T, n, k, transB: true, ...(bias && { bias }) });
  };

  let stream = embedding(tokens, parameter("model.embed_tokens.weight"), C); // [T, C]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    const attentionWeight = parameter(`${at}.input_layernorm.weight`);
    const x = rmsNorm(stream, attentionWeight, { tokens: T, channels: C, eps }).y;
    const turned = (projection: "q" | "k", heads: number) => {
      let y = linear(x, `${at}.self_attn.${projection}_proj`, heads * D, C);
      const norm = weights.get(`${at}.self_attn.${projection}_norm.weight`);
      if (norm) y = rmsNorm(y, norm, { tokens: T * heads, channels: D, eps }).y;
      if (config.no_rope_layers?.[layer] === 0) return y;
      const scaling = config.rope_scaling ?? undefined;
      return rope(y, positions, { heads, headDim: D, theta: config.rope_theta, scaling });
    };
    const q = turned("q", H);
    const k = keep(turned("k", J));
    const v = keep(linear(x, `${at}.self_attn.v_proj`, J * D, C));
    const mixed = attention(q, k, v, { queryHeads: H, keyHeads: J, headDim: D, segments }).out;
    const attended = linear(mixed, `${at}.self_attn.o_proj`, C, H * D);

    const { y, h } = rmsNorm(attended, parameter(`${at}.post_attention_layernorm.weight`), {
      tokens: T,
      channels: C,
      eps,
      residual: stream,
    });
    const gate = linear(y, `${at}.mlp.gate_proj`, F, C);
    const up = linear(y, `${at}.mlp.up_proj`, F, C);
    const gateUp = new Float64Array(T * 2 * F);
    for (let t = 0; t < T; t++) {
      gateUp.set(gate.subarray(t * F, (t + 1) * F), t * 2 * F);
      gateUp.set(up.subarray(t * F, (t + 1) * F), t * 2 * F + F);
    }
    const fed = linear(swiglu(gateUp, T, F), `${at}.mlp.down_proj`, C, F);
    stream = fed.map((value, i) => value + h[i]!);
  }
  const last = rmsNorm(stream, parameter("model.norm.weight"), { tokens: T, channels: C, eps }).y;
  const head = config.tie_word_embeddings ? "model.embed_tokens" : "lm_head";
  return linear(last, head, config.vocab_size, C);
}

/** Logits [B, S, V] of plain rows tokens[B, S]; each row is one causal sequence from position 0. */
export function transformerRows(
  config: TransformerConfig,
  weights: Weights,
  tokens: readonly (readonly number[])[],
  keep?: Keep,
): Float64Array {
  const groups = tokens.map((row) => ({ promptLength: row.length, responseLengths: [] }));
  return transformer(config, weights, tokens.flat(), packSegments(groups), keep);
}
