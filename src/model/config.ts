/**
 * The shape of a policy: a decoder of the Llama/Qwen2 family, its defaults, its checks and the
 * parameters it owns.
 *
 * @module
 */

/** Which Hugging Face architecture a policy is: `qwen2` has q/k/v biases, `llama` has none. */
export type ModelType = "qwen2" | "llama";

/** Everything needed to build a policy and to name its parameters. */
export interface PolicyConfig {
  /** Architecture name, as `model_type` in config.json. */
  readonly modelType: ModelType;
  /** V, number of token ids. */
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
  /** Base of the rotary frequencies. */
  readonly ropeTheta: number;
  /** Whether the output head is the embedding matrix itself. */
  readonly tieWordEmbeddings: boolean;
  /** Whether the q, k and v projections have a bias (the o projection never has one). */
  readonly attentionBias: boolean;
  /** Longest sequence, prompt and response together, in tokens. */
  readonly maxPositionEmbeddings: number;
  /** Token id, or ids, that end a response. */
  readonly eosTokenId?: number | readonly number[];
  /** Token id used for padding outside the engine, which itself packs and never pads. */
  readonly padTokenId?: number;
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

const MODEL_TYPES: readonly ModelType[] = ["qwen2", "llama"];

/** Largest accepted sizes: beyond them a field is more likely a mistake than a model. */
const LIMITS = {
  vocabSize: 2 ** 20,
  hiddenSize: 2 ** 16,
  intermediateSize: 2 ** 18,
  numHiddenLayers: 1024,
  numAttentionHeads: 1024,
  numKeyValueHeads: 1024,
  headDim: 1024,
  // Positions are float32 on the GPU, exact up to here.
  maxPositionEmbeddings: 2 ** 24,
} as const;

type SizeField = keyof typeof LIMITS;

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
  "tieWordEmbeddings",
  "attentionBias",
  "maxPositionEmbeddings",
  "eosTokenId",
  "padTokenId",
]);

/** `value` as it should appear in a message. */
function show(value: unknown): string {
  return typeof value === "string" || (typeof value === "object" && value !== null)
    ? JSON.stringify(value)
    : String(value);
}

function checkSize(field: SizeField, value: unknown): number {
  const limit = LIMITS[field];
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > limit) {
    throw new RangeError(`${field} is ${show(value)}: give a whole number from 1 to ${limit}`);
  }
  return value as number;
}

function checkPositive(field: "rmsNormEps" | "ropeTheta", value: unknown): number {
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
    throw new RangeError(`${field} is ${show(value)}: give a finite number above 0`);
  }
  return value;
}

function checkBoolean(field: "tieWordEmbeddings" | "attentionBias", value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${field} is ${show(value)}: give true or false`);
  }
  return value;
}

function checkTokenId(field: string, value: unknown, vocabSize: number): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= vocabSize) {
    throw new RangeError(
      `${field} is ${show(value)}: give a token id from 0 to ${vocabSize - 1} (vocabSize - 1)`,
    );
  }
  return value as number;
}

function checkEosTokenId(value: unknown, vocabSize: number): number | readonly number[] {
  if (!Array.isArray(value)) return checkTokenId("eosTokenId", value, vocabSize);
  if (value.length === 0) {
    throw new RangeError("eosTokenId is []: give at least one token id, or leave it out");
  }
  return value.map((id, i) => checkTokenId(`eosTokenId[${i}]`, id, vocabSize));
}

/**
 * Fills in defaults and checks every field of a policy's configuration.
 *
 * Only `vocabSize` is required. Defaults: 128 wide, 4 layers, 4 heads, as many key/value heads as
 * heads, `headDim` hiddenSize / numAttentionHeads, `intermediateSize` 8/3 of hiddenSize rounded up
 * to a multiple of 32 (the usual SwiGLU proportion), a tied head, `rmsNormEps` 1e-6, `ropeTheta`
 * 10000, 2048 positions, and `qwen2` unless `attentionBias` is false.
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
  for (const field of Object.keys(options)) {
    if (!FIELDS.has(field)) {
      throw new TypeError(
        `${show(field)} is not a field of a policy config: fields are ${[...FIELDS].join(", ")}`,
      );
    }
  }
  const modelType = options.modelType ?? (options.attentionBias === false ? "llama" : "qwen2");
  if (!MODEL_TYPES.includes(modelType)) {
    throw new RangeError(`modelType is ${show(modelType)}: give one of ${MODEL_TYPES.join(", ")}`);
  }
  const attentionBias = checkBoolean(
    "attentionBias",
    options.attentionBias ?? modelType === "qwen2",
  );
  if (attentionBias !== (modelType === "qwen2")) {
    throw new RangeError(
      `attentionBias is ${attentionBias} with modelType "${modelType}": qwen2 has q/k/v biases ` +
        `and llama has none, so use modelType "${attentionBias ? "qwen2" : "llama"}"`,
    );
  }

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
  return {
    modelType,
    vocabSize,
    hiddenSize,
    intermediateSize,
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: checkPositive("rmsNormEps", options.rmsNormEps ?? 1e-6),
    ropeTheta: checkPositive("ropeTheta", options.ropeTheta ?? 10000),
    tieWordEmbeddings: checkBoolean("tieWordEmbeddings", options.tieWordEmbeddings ?? true),
    attentionBias,
    maxPositionEmbeddings: checkSize(
      "maxPositionEmbeddings",
      options.maxPositionEmbeddings ?? 2048,
    ),
    ...(options.eosTokenId === undefined
      ? {}
      : { eosTokenId: checkEosTokenId(options.eosTokenId, vocabSize) }),
    ...(options.padTokenId === undefined
      ? {}
      : { padTokenId: checkTokenId("padTokenId", options.padTokenId, vocabSize) }),
  };
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
    shapes.push(
      { name: `${path}.self_attn.o_proj.weight`, shape: [hiddenSize, queries] },
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
