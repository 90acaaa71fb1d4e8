/**
 * The shape of a policy: a decoder of the Llama and Qwen families, its defaults, its checks and the
 * parameters it owns.
 *
 * @module
 */

import type { RopeScaling } from "../ops/rotation.ts";
import {
  checkAbove,
  checkBoolean,
  checkEosTokenId,
  checkRopeScaling,
  checkRotatedLayers,
  checkSize,
  checkTokenId,
  show,
} from "./config_checks.ts";
import { FAMILIES, familiesWith, MODEL_TYPES, type ModelType } from "./families.ts";

/** Everything needed to build a policy and to name its parameters. */
export interface PolicyConfig {
  /** Architecture name, as `model_type` in config.json. */
  readonly modelType: ModelType;
  /** V, number of token ids; multiples of 8 compute and compile fastest on software adapters. */
  readonly vocabSize: number;
  /** C, width of the residual stream. */
  readonly hiddenSize: number;
  /** F, width of the SwiGLU feed-forward. */
  readonly intermediateSize: number;
  /** Number of decoder layers. */
  readonly numHiddenLayers: number;
  /** H, number of query heads. */
  readonly numAttentionHeads: number;
  /** J, number of key/value heads; divides `numAttentionHeads`. */
  readonly numKeyValueHeads: number;
  /** D, size of one head; even, because rotary embedding turns pairs. */
  readonly headDim: number;
  /** Added to the mean square inside RMSNorm. */
  readonly rmsNormEps: number;
  /** Base of the rotary frequencies, above 1. */
  readonly ropeTheta: number;
  /** What stretches the rotation beyond the positions it was first trained with. */
  readonly ropeScaling?: RopeScaling;
  /** Per layer, whether queries and keys are rotated by their positions; absent where all are. */
  readonly rotatedLayers?: readonly boolean[];
  /** Whether the output head is the embedding matrix itself. */
  readonly tieWordEmbeddings: boolean;
  /** Whether the q, k and v projections have a bias (the o projection never has one). */
  readonly attentionBias: boolean;
  /** Whether every query and key head is RMS-normalised before it is rotated. */
  readonly normedHeads: boolean;
  /** Longest sequence, prompt and response together, in tokens. */
  readonly maxPositionEmbeddings: number;
  /** Token id, or ids, that end a response. */
  readonly eosTokenId?: number | readonly number[];
  /** Token id used for padding outside the engine, which itself packs and never pads. */
  readonly padTokenId?: number;
  /**
   * Token id that is never written, in samples and scores alike: its probability is 0. Policies from nothing have their
   * padding here, unless it ends a response too; generation_config.json says it as `suppress_tokens`.
   */
  readonly suppressedTokenId?: number;
  /** Token id that begins a text for other tools; the engine never adds it. */
  readonly bosTokenId?: number;
  /** What a generation_config.json says beyond config.json, kept for other tools: `temperature`, `top_p`, … */
  readonly generationDefaults?: Readonly<Record<string, unknown>>;
}

/** What a caller has to give {@linkcode resolveConfig}: the vocabulary size, and whatever departs from the defaults. */
export type PolicyConfigOptions =
  & { readonly vocabSize: number }
  & { readonly [K in keyof PolicyConfig]?: PolicyConfig[K] | undefined };

/** Name and dimensions of one parameter. */
export interface ParameterShape {
  /** Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Dimensions, outermost first; a Linear weight is [out, in]. */
  readonly shape: readonly number[];
}

/** Every field of a config, to catch a misspelt one. */
const FIELDS: ReadonlySet<string> = new Set<keyof PolicyConfig>([
  "modelType",
  "vocabSize",
  "hiddenSize",
  "intermediateSize",
  "numHiddenLayers",
  "numAttentionHeads",
  "numKeyValueHeads",
  "headDim",
  "rmsNormEps",
  "ropeTheta",
  "ropeScaling",
  "rotatedLayers",
  "tieWordEmbeddings",
  "attentionBias",
  "normedHeads",
  "maxPositionEmbeddings",
  "eosTokenId",
  "padTokenId",
  "suppressedTokenId",
  "bosTokenId",
  "generationDefaults",
]);

/**
 * Fills in defaults and checks every field of a policy's configuration.
 *
 * Only `vocabSize` is required. Defaults: 128 wide, 4 layers, 4 heads, as many key/value heads as
 * heads, `headDim` hiddenSize / numAttentionHeads, `intermediateSize` 8/3 of hiddenSize rounded up
 * to a multiple of 32 (the usual SwiGLU proportion), a tied head, `rmsNormEps` 1e-6, `ropeTheta`
 * 10000, 2048 positions, and the first family of `qwen2`, `llama`, `qwen3` and `smollm3` whose layers
 * have the `attentionBias`, `normedHeads` and `rotatedLayers` that are given.
 *
 * @throws {RangeError | TypeError} Naming the field, its value and what is allowed.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const config = resolveConfig({ vocabSize: 37, hiddenSize: 32, numKeyValueHeads: 2 });
 * assertEquals([config.headDim, config.intermediateSize], [8, 96]);
 * ```
 */
export function resolveConfig(options: PolicyConfigOptions): PolicyConfig {
  checkFields(options);
  const modelType = options.modelType ?? familyOf(options);
  if (!MODEL_TYPES.includes(modelType)) {
    throw new RangeError(`modelType is ${show(modelType)}: give one of ${MODEL_TYPES.join(", ")}`);
  }
  const trait = (field: "attentionBias" | "normedHeads") => {
    const value = checkBoolean(field, options[field] ?? FAMILIES[modelType][field]);
    if (value === FAMILIES[modelType][field]) return value;
    throw new RangeError(
      `${field} is ${value} with modelType "${modelType}", where it is ${!value}: use modelType ` +
        familiesWith((family) => family[field] === value),
    );
  };
  const attentionBias = trait("attentionBias");
  const normedHeads = trait("normedHeads");

  const vocabSize = checkSize("vocabSize", options.vocabSize);
  const hiddenSize = checkSize("hiddenSize", options.hiddenSize ?? 128);
  const intermediateSize = checkSize(
    "intermediateSize",
    options.intermediateSize ?? 32 * Math.ceil(hiddenSize / 12),
  );
  const numHiddenLayers = checkSize("numHiddenLayers", options.numHiddenLayers ?? 4);
  const numAttentionHeads = checkSize("numAttentionHeads", options.numAttentionHeads ?? 4);
  const numKeyValueHeads = checkSize(
    "numKeyValueHeads",
    options.numKeyValueHeads ?? numAttentionHeads,
  );
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw new RangeError(
      `numKeyValueHeads is ${numKeyValueHeads}: it has to divide numAttentionHeads, ` +
        `which is ${numAttentionHeads}`,
    );
  }
  if (options.headDim === undefined && hiddenSize % numAttentionHeads !== 0) {
    throw new RangeError(
      `hiddenSize is ${hiddenSize}: it has to be a multiple of numAttentionHeads ` +
        `(${numAttentionHeads}), or give headDim`,
    );
  }
  const headDim = checkSize("headDim", options.headDim ?? hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) {
    throw new RangeError(
      `headDim is ${headDim}: it has to be even, because rotary embedding turns pairs`,
    );
  }
  const rotatedLayers = options.rotatedLayers === undefined
    ? undefined
    : checkRotatedLayers(options.rotatedLayers, numHiddenLayers);
  if (rotatedLayers && !FAMILIES[modelType].unrotatedLayers) {
    throw new RangeError(
      `rotatedLayers has false with modelType "${modelType}", whose layers are all rotated: use ` +
        `modelType ${familiesWith((family) => family.unrotatedLayers)}`,
    );
  }
  const { ropeScaling, eosTokenId, generationDefaults } = options;
  const tokenId = (field: "padTokenId" | "suppressedTokenId" | "bosTokenId") =>
    options[field] === undefined ? {} : { [field]: checkTokenId(field, options[field], vocabSize) };
  return {
    modelType,
    vocabSize,
    hiddenSize,
    intermediateSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: checkAbove("rmsNormEps", options.rmsNormEps ?? 1e-6),
    // The slowest pair must turn less than once per position.
    ropeTheta: checkAbove("ropeTheta", options.ropeTheta ?? 10000, 1),
    ...(ropeScaling !== undefined && { ropeScaling: checkRopeScaling(ropeScaling) }),
    ...(rotatedLayers && { rotatedLayers }),
    tieWordEmbeddings: checkBoolean("tieWordEmbeddings", options.tieWordEmbeddings ?? true),
    attentionBias,
    normedHeads,
    maxPositionEmbeddings: checkSize(
      "maxPositionEmbeddings",
      options.maxPositionEmbeddings ?? 2048,
    ),
    ...(eosTokenId !== undefined && { eosTokenId: checkEosTokenId(eosTokenId, vocabSize) }),
    ...tokenId("padTokenId"),
    ...tokenId("suppressedTokenId"),
    ...tokenId("bosTokenId"),
    ...(generationDefaults !== undefined && { generationDefaults }),
  };
}

/**
 * Refuses fields that do not exist.
 *
 * @throws {TypeError} Naming the first such field.
 */
export function checkFields(options: PolicyConfigOptions): void {
  const unknown = Object.keys(options).find((field) => !FIELDS.has(field));
  if (unknown === undefined) return;
  throw new TypeError(
    `${show(unknown)} is not a field of a policy config: fields are ${[...FIELDS].join(", ")}`,
  );
}

/** The family whose layers are as asked for. */
function familyOf(options: PolicyConfigOptions): ModelType {
  if (options.normedHeads) return "qwen3";
  if (options.rotatedLayers?.includes(false)) return "smollm3";
  return options.attentionBias === false ? "llama" : "qwen2";
}

/**
 * Names and shapes of all parameters, in the order of a Hugging Face state dict.
 *
 * A tied policy has no `lm_head.weight`.
 */
export function parameterShapes(config: PolicyConfig): ParameterShape[] {
  const { vocabSize, hiddenSize, intermediateSize, headDim } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const shapes: ParameterShape[] = [
    { name: "model.embed_tokens.weight", shape: [vocabSize, hiddenSize] },
  ];
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const path = `model.layers.${layer}`;
    for (const [projection, out] of [["q", queries], ["k", keys], ["v", keys]] as const) {
      const name = `${path}.self_attn.${projection}_proj`;
      shapes.push({ name: `${name}.weight`, shape: [out, hiddenSize] });
      if (config.attentionBias) shapes.push({ name: `${name}.bias`, shape: [out] });
    }
    shapes.push({ name: `${path}.self_attn.o_proj.weight`, shape: [hiddenSize, queries] });
    for (const head of config.normedHeads ? ["q", "k"] : []) {
      shapes.push({ name: `${path}.self_attn.${head}_norm.weight`, shape: [headDim] });
    }
    shapes.push(
      { name: `${path}.mlp.gate_proj.weight`, shape: [intermediateSize, hiddenSize] },
      { name: `${path}.mlp.up_proj.weight`, shape: [intermediateSize, hiddenSize] },
      { name: `${path}.mlp.down_proj.weight`, shape: [hiddenSize, intermediateSize] },
      { name: `${path}.input_layernorm.weight`, shape: [hiddenSize] },
      { name: `${path}.post_attention_layernorm.weight`, shape: [hiddenSize] },
    );
  }
  shapes.push({ name: "model.norm.weight", shape: [hiddenSize] });
  if (!config.tieWordEmbeddings) {
    shapes.push({ name: "lm_head.weight", shape: [vocabSize, hiddenSize] });
  }
  return shapes;
}

/** Number of trainable numbers of a policy; a tied head counts once. */
export function countParameters(config: PolicyConfig): number {
  return parameterShapes(config)
    .reduce((total, { shape }) => total + shape.reduce((size, n) => size * n, 1), 0);
}

/** The configuration of a policy from nothing, which never writes padding unless it ends a response too. */
export function freshConfig(options: PolicyConfigOptions): PolicyConfig {
  const config = resolveConfig(options);
  const { padTokenId, eosTokenId, suppressedTokenId = padTokenId } = config;
  if (suppressedTokenId === undefined || [eosTokenId].flat().includes(suppressedTokenId)) {
    return config;
  }
  return { ...config, suppressedTokenId };
}
