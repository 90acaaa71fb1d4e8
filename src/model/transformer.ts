/**
 * The decoder of the Llama and Qwen families: embedding, layers of attention and SwiGLU with RMSNorm before each, and a
 * head. What sets the families apart is said by the configuration.
 *
 * It is written once. Training, prefill and decoding differ in how a token attends to others, which the caller passes.
 *
 * @module
 */

import type { Plan } from "../gpu/plan.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { attention } from "../ops/attention.ts";
import { embedding } from "../ops/embedding.ts";
import { feedForward } from "../ops/feed_forward.ts";
import { headNorm } from "../ops/head_norm.ts";
import { addLora } from "../ops/lora.ts";
import { linear } from "../ops/matmul/linear.ts";
import { rmsNorm } from "../ops/rms_norm.ts";
import type { HeadLayout } from "../ops/rope.ts";
import type { Rotation } from "../ops/rotation.ts";
import type { PolicyConfig } from "./config.ts";
import type { PackedInputs } from "./packed_inputs.ts";
import type { PolicyWeights } from "./policy_weights.ts";

/** Turns a layer's q, k and v, stacked as (T, (H + 2J) D) and not yet rotated, into attention outputs (T, H D). */
export type Attend = (qkv: Tensor, layer: number) => Tensor;

/**
 * Records the layers and the final norm.
 *
 * @param embedded Token embeddings (T, C).
 * @param attend How tokens see each other.
 * @returns Normalised hidden states (T, C), of which the head makes logits.
 */
export function decoder(
  plan: Plan,
  parameters: PolicyWeights,
  embedded: Tensor,
  attend: Attend,
): Tensor {
  const { config, adapters } = parameters;
  const eps = config.rmsNormEps;
  let stream = embedded;
  let delta: Tensor | undefined;
  for (const [index, layer] of parameters.layers.entries()) {
    const adapted = adapters?.layers[index];
    plan.scope(`layers.${index}`, () => {
      const attentionIn = rmsNorm(plan, stream, layer.inputNorm, {
        eps,
        name: "input_layernorm",
        delta,
      });
      const attentionOut = plan.scope("self_attn", () => {
        const qkv = linear(plan, attentionIn.normed, layer.qkvWeight, {
          name: "qkv_proj",
          bias: layer.qkvBias,
        });
        if (adapted?.qkv) addLora(plan, attentionIn.normed, qkv, adapted.qkv, "qkv_proj");
        const normed = layer.headNorms
          ? headNorm(plan, qkv, layer.headNorms, { ...headLayoutOf(config), eps })
          : qkv;
        const attended = attend(normed, index);
        const out = linear(plan, attended, layer.outputWeight, { name: "o_proj" });
        if (adapted?.output) addLora(plan, attended, out, adapted.output, "o_proj");
        return out;
      });
      const feedForwardIn = rmsNorm(plan, attentionIn.sum, layer.postAttentionNorm, {
        eps,
        delta: attentionOut,
        name: "post_attention_layernorm",
      });
      const { gateUpWeight, downWeight } = layer;
      delta = plan.scope(
        "mlp",
        () =>
          feedForward(plan, feedForwardIn.normed, gateUpWeight, downWeight, {
            gateUp: adapted?.gateUp,
            down: adapted?.down,
          }),
      );
      stream = feedForwardIn.sum;
    });
  }
  return rmsNorm(plan, stream, parameters.finalNorm, { eps, name: "norm", delta }).normed;
}

/** What the attention ops need to know of a layer. */
export interface AttentionHeads extends HeadLayout {
  /** How queries and keys are rotated; `undefined` where they are not. */
  readonly rotation: Rotation | undefined;
}

function headLayoutOf(config: PolicyConfig): HeadLayout {
  return {
    heads: config.numAttentionHeads,
    keyValueHeads: config.numKeyValueHeads,
    headDim: config.headDim,
  };
}

/** Head sizes and rotation of a layer, as the attention ops take them. */
export function headsOf(config: PolicyConfig, layer: number): AttentionHeads {
  return {
    ...headLayoutOf(config),
    rotation: config.rotatedLayers?.[layer] === false
      ? undefined
      : { theta: config.ropeTheta, scaling: config.ropeScaling },
  };
}

/**
 * Records the policy over packed tokens, up to the head.
 *
 * @param inputs The packed batch.
 * @param keep Called with each layer's q, k and v once they are rotated and attended to, for those who need them later.
 * @returns Hidden states (T, C).
 */
export function encode(
  plan: Plan,
  parameters: PolicyWeights,
  inputs: PackedInputs,
  keep?: (qkv: Tensor, layer: number) => void,
): Tensor {
  const { tokens, embedding: index, layout } = inputs;
  const embedded = embedding(plan, parameters.embedding, tokens, index, { name: "embed_tokens" });
  return decoder(plan, parameters, embedded, (qkv, layer) => {
    // As decoding finds them in its cache.
    const attended = attention(plan, qkv, layout, {
      ...headsOf(parameters.config, layer),
      cacheDtype: parameters.cacheDtype,
    });
    keep?.(qkv, layer);
    return attended;
  });
}
