/**
 * Reading and writing the config.json of Hugging Face checkpoints.
 *
 * A setting that would change the mathematics of the model and is not supported is refused by
 * name, never ignored.
 *
 * @module
 */

import { type ModelType, type PolicyConfig, resolveConfig } from "./config.ts";
import { isJsonObject } from "../files/json_file.ts";

/** A parsed config.json. */
export type HuggingFaceConfig = Record<string, unknown>;

/** Type names that `torch_dtype` takes for the weights we write. */
export type TorchDtype = "float32" | "bfloat16" | "float16";

const ARCHITECTURES: Readonly<Record<ModelType, string>> = {
  qwen2: "Qwen2ForCausalLM",
  llama: "LlamaForCausalLM",
};

/** `max_position_embeddings` of a config.json that leaves it out. */
const DEFAULT_POSITIONS: Readonly<Record<ModelType, number>> = { qwen2: 32768, llama: 2048 };

function refuse(field: string, value: unknown, allowed: string): never {
  throw new TypeError(
    `config.json: ${field} is ${JSON.stringify(value)}, which is not supported: ${allowed}`,
  );
}

/** The number at `field`, `fallback` where it is absent or null; without a fallback it is required. */
function readNumber(json: HuggingFaceConfig, field: string, fallback?: number): number {
  const value = json[field] ?? fallback;
  if (value === undefined) throw new TypeError(`config.json: ${field} is missing`);
  if (typeof value !== "number") {
    throw new TypeError(`config.json: ${field} is ${JSON.stringify(value)}: a number is needed`);
  }
  return value;
}

function readBoolean(json: HuggingFaceConfig, field: string): boolean {
  const value = json[field] ?? false;
  if (typeof value !== "boolean") {
    throw new TypeError(
      `config.json: ${field} is ${JSON.stringify(value)}: true or false is needed`,
    );
  }
  return value;
}

function readModelType(json: HuggingFaceConfig): ModelType {
  const types = Object.keys(ARCHITECTURES) as ModelType[];
  const architectures = json.architectures ?? [];
  if (!Array.isArray(architectures)) {
    refuse(
      "architectures",
      architectures,
      `a list with one of ${Object.values(ARCHITECTURES).join(", ")}`,
    );
  }
  const byArchitecture = types.find((type) => architectures.includes(ARCHITECTURES[type]));
  if (architectures.length > 0 && byArchitecture === undefined) {
    refuse("architectures", architectures, `one of ${Object.values(ARCHITECTURES).join(", ")} is`);
  }
  const modelType = json.model_type ?? byArchitecture;
  if (!types.includes(modelType as ModelType)) {
    refuse("model_type", modelType ?? null, `one of ${types.join(", ")} is`);
  }
  if (byArchitecture !== undefined && modelType !== byArchitecture) {
    refuse("model_type", modelType, `architectures names ${ARCHITECTURES[byArchitecture]}`);
  }
  return modelType as ModelType;
}

/** The rotary base, from wherever the writer put it, with every scaling refused. */
function readRopeTheta(json: HuggingFaceConfig): number {
  const found = new Map<string, number>();
  if (json.rope_theta != null) found.set("rope_theta", readNumber(json, "rope_theta"));
  for (const field of ["rope_parameters", "rope_scaling"]) {
    const rope = json[field];
    if (rope === undefined || rope === null) continue;
    if (!isJsonObject(rope)) refuse(field, rope, `null or {"rope_type": "default"} is`);
    const type = rope.rope_type ?? rope.type ?? "default";
    // One entry per kind of layer is a way to give the kinds different rotations.
    if (type !== "default" || Object.values(rope).some(isJsonObject)) {
      refuse(field, rope, `null or {"rope_type": "default"} is`);
    }
    if (rope.partial_rotary_factor != null && rope.partial_rotary_factor !== 1) {
      refuse(`${field}.partial_rotary_factor`, rope.partial_rotary_factor, "1 is");
    }
    if (rope.rope_theta != null) found.set(`${field}.rope_theta`, readNumber(rope, "rope_theta"));
  }
  const [first, ...others] = found;
  for (const [field, theta] of others) {
    if (theta !== first![1]) {
      throw new RangeError(
        `config.json: ${field} is ${theta} but ${first![0]} is ${first![1]}: make them agree`,
      );
    }
  }
  return first?.[1] ?? 10000;
}

function refuseUnsupported(json: HuggingFaceConfig, modelType: ModelType): void {
  const activation = json.hidden_act ?? "silu";
  if (activation !== "silu") refuse("hidden_act", activation, `"silu" is`);
  if (modelType === "llama" && readBoolean(json, "attention_bias")) {
    refuse("attention_bias", true, "in a llama it puts a bias on o_proj too; false is");
  }
  if (readBoolean(json, "mlp_bias")) refuse("mlp_bias", true, "false is");
  if (readBoolean(json, "use_sliding_window")) {
    refuse("use_sliding_window", true, "false is; every layer attends to the whole sequence");
  }
  const layers = json.layer_types ?? [];
  if (!Array.isArray(layers) || layers.some((type) => type !== "full_attention")) {
    refuse("layer_types", layers, `only "full_attention" is`);
  }
  if (json.partial_rotary_factor != null && json.partial_rotary_factor !== 1) {
    refuse("partial_rotary_factor", json.partial_rotary_factor, "1 is");
  }
  if (json.quantization_config != null) {
    refuse("quantization_config", json.quantization_config, "float weights are");
  }
}

/**
 * Reads the config.json of a Qwen2ForCausalLM or LlamaForCausalLM checkpoint.
 *
 * Settings without influence on the mathematics are passed over. A qwen2 always has q/k/v biases,
 * as in transformers. A `pad_token_id` that names no row of the embedding (-1 in old checkpoints)
 * is left out.
 *
 * @throws {TypeError | RangeError} Naming the setting that is missing, malformed or unsupported.
 */
export function configFromHuggingFace(json: unknown): PolicyConfig {
  if (!isJsonObject(json)) {
    throw new TypeError(`config.json holds ${JSON.stringify(json)}: an object is needed`);
  }
  const modelType = readModelType(json);
  refuseUnsupported(json, modelType);
  const vocabSize = readNumber(json, "vocab_size");
  const numAttentionHeads = readNumber(json, "num_attention_heads");
  const padTokenId = json.pad_token_id == null ? -1 : readNumber(json, "pad_token_id");
  const eosTokenId = json.eos_token_id ?? undefined;
  return resolveConfig({
    modelType,
    vocabSize,
    hiddenSize: readNumber(json, "hidden_size"),
    intermediateSize: readNumber(json, "intermediate_size"),
    numHiddenLayers: readNumber(json, "num_hidden_layers"),
    numAttentionHeads,
    numKeyValueHeads: readNumber(json, "num_key_value_heads", numAttentionHeads),
    headDim: json.head_dim == null ? undefined : readNumber(json, "head_dim"),
    rmsNormEps: readNumber(json, "rms_norm_eps", 1e-6),
    ropeTheta: readRopeTheta(json),
    tieWordEmbeddings: readBoolean(json, "tie_word_embeddings"),
    maxPositionEmbeddings: readNumber(
      json,
      "max_position_embeddings",
      DEFAULT_POSITIONS[modelType],
    ),
    // Checked by resolveConfig.
    eosTokenId: eosTokenId as number | number[] | undefined,
    padTokenId: padTokenId >= 0 && padTokenId < vocabSize ? padTokenId : undefined,
  });
}

/**
 * The config.json under which other tools load the policy's weights.
 *
 * @param torchDtype Type in which the weights are stored beside it.
 */
export function configToHuggingFace(
  config: PolicyConfig,
  torchDtype: TorchDtype = "float32",
): HuggingFaceConfig {
  return {
    architectures: [ARCHITECTURES[config.modelType]],
    model_type: config.modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    num_key_value_heads: config.numKeyValueHeads,
    head_dim: config.headDim,
    hidden_act: "silu",
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    max_position_embeddings: config.maxPositionEmbeddings,
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: config.attentionBias,
    ...(config.modelType === "qwen2" ? { use_sliding_window: false } : { mlp_bias: false }),
    // Written even when null: an absent id means 1 or 2 to a LlamaConfig.
    bos_token_id: null,
    eos_token_id: config.eosTokenId ?? null,
    pad_token_id: config.padTokenId ?? null,
    initializer_range: 0.02,
    torch_dtype: torchDtype,
    use_cache: true,
  };
}
