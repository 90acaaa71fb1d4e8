/**
 * Reading and writing the config.json of Hugging Face checkpoints.
 *
 * A setting that would change the mathematics of the model and is not supported is refused by
 * name, never ignored.
 *
 * @module
 */

import { isJsonObject } from "../files/json_file.ts";
import { type PolicyConfig, resolveConfig } from "./config.ts";
import { FAMILIES, type Family, MODEL_TYPES, type ModelType } from "./families.ts";
import { type HuggingFaceConfig, readBoolean, readNumber, refuse } from "./hf_fields.ts";
import { readRotation, rotationFields } from "./hf_rope.ts";

/** Type names that `torch_dtype` takes for the weights we write. */
export type TorchDtype = "float32" | "bfloat16" | "float16";

/** Families that are asked for and are not supported: how their names look, and what to do. */
const NOT_SUPPORTED: readonly [pattern: RegExp, advice: string][] = [
  [
    /moe|mixtral|deepseek|gpt_?oss|olmoe|dbrx/i,
    "mixtures of experts are not; use a dense model, such as Qwen3-0.6B in place of a Qwen3 MoE",
  ],
  [
    /gemma/i,
    "Gemma scales its embedding and norms in ways of its own; use a Qwen, Llama, Mistral or SmolLM " +
    "model of that size, such as Qwen3-0.6B or SmolLM2-360M",
  ],
  [
    /^phi/i,
    "Phi stores q, k and v in one qkv_proj, and gate and up in one gate_up_proj; use a conversion " +
    "of the model to LlamaForCausalLM",
  ],
  [/qwen3_?(5|next)|qwen2_?5|.*_?vl|llava|vision|omni/i, "use a model for text alone"],
];

function readModelType(json: HuggingFaceConfig): ModelType {
  const architectures = json.architectures ?? [];
  const known = MODEL_TYPES.map((type) => FAMILIES[type].architecture).join(", ");
  if (!Array.isArray(architectures)) {
    refuse("architectures", architectures, `a list with one of ${known}`);
  }
  const adviceOn = (name: unknown) =>
    NOT_SUPPORTED.find(([pattern]) => pattern.test(String(name ?? "")))?.[1];
  const byArchitecture = MODEL_TYPES.find((type) =>
    architectures.includes(FAMILIES[type].architecture)
  );
  if (architectures.length > 0 && byArchitecture === undefined) {
    const advice = adviceOn(json.model_type) ?? adviceOn(architectures[0]);
    refuse("architectures", architectures, advice ?? `one of ${known} is`);
  }
  const modelType = json.model_type ?? byArchitecture;
  if (!MODEL_TYPES.includes(modelType as ModelType)) {
    const advice = adviceOn(modelType);
    refuse("model_type", modelType ?? null, advice ?? `one of ${MODEL_TYPES.join(", ")} is`);
  }
  if (byArchitecture !== undefined && modelType !== byArchitecture) {
    refuse("model_type", modelType, `architectures names ${FAMILIES[byArchitecture].architecture}`);
  }
  return modelType as ModelType;
}

function refuseUnsupported(json: HuggingFaceConfig, modelType: ModelType): void {
  const activation = json.hidden_act ?? "silu";
  if (activation !== "silu") refuse("hidden_act", activation, `"silu" is`);
  if (modelType !== "qwen2" && modelType !== "mistral" && readBoolean(json, "attention_bias")) {
    refuse("attention_bias", true, "in this family it puts a bias on o_proj too; false is");
  }
  if (readBoolean(json, "mlp_bias")) refuse("mlp_bias", true, "false is");
  if (json.partial_rotary_factor != null && json.partial_rotary_factor !== 1) {
    refuse("partial_rotary_factor", json.partial_rotary_factor, "1 is");
  }
  if (json.quantization_config != null) {
    refuse(
      "quantization_config",
      json.quantization_config,
      "float weights are; use the model that this one was quantized from",
    );
  }
}

/** Refuses layers that do not see the whole sequence, unless sequences end before that matters. */
function refuseWindow(json: HuggingFaceConfig, modelType: ModelType, layers: number): void {
  const kinds = json.layer_types ?? [];
  const slides = "sliding_attention";
  if (!Array.isArray(kinds) || kinds.some((kind) => kind !== "full_attention" && kind !== slides)) {
    refuse("layer_types", kinds, `"full_attention" is`);
  }
  const { maxPositionEmbeddings, slidingWindow } = FAMILIES[modelType].defaults;
  // Absent, it is the family's own; null is none.
  const window = json.sliding_window === undefined ? slidingWindow : json.sliding_window;
  if (window === null) {
    if (kinds.includes(slides)) refuse("layer_types", kinds, `only "full_attention" is`);
    return;
  }
  if (typeof window !== "number") refuse("sliding_window", window, "a number or null is");
  const positions = readNumber(json, "max_position_embeddings", {
    fallback: maxPositionEmbeddings,
  });
  if (window >= positions || !hasSlidingLayers(json, modelType, layers)) return;
  refuse(
    "sliding_window",
    window,
    "every layer attends to the whole sequence; where yours are no longer than that, set " +
      `max_position_embeddings, which is ${positions}, to ${window}`,
  );
}

/** Whether a layer of a model with a window goes by it. */
function hasSlidingLayers(json: HuggingFaceConfig, modelType: ModelType, layers: number): boolean {
  const kinds = json.layer_types;
  if (modelType === "mistral") return true;
  if (Array.isArray(kinds)) return kinds.includes("sliding_attention");
  if (!readBoolean(json, "use_sliding_window")) return false;
  return modelType === "smollm3" ||
    layers > readNumber(json, "max_window_layers", { fallback: 28 });
}

/** Which layers are rotated, where the family leaves that open. */
function readRotatedLayers(json: HuggingFaceConfig, layers: number): boolean[] {
  const listed = json.no_rope_layers;
  if (listed === undefined || listed === null) {
    const interval = readNumber(json, "no_rope_layer_interval", { fallback: 4 });
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  // In spite of its name: 1 where a layer is rotated.
  if (!Array.isArray(listed) || listed.length < layers || listed.some((x) => x !== 0 && x !== 1)) {
    refuse("no_rope_layers", listed, `a list of ${layers} times 1 (rotated) or 0 is`);
  }
  return listed.slice(0, layers).map((rotated) => rotated === 1);
}

/** A token id that only other tools need; left out where it names no row of the embedding. */
function readIdForOthers(
  json: HuggingFaceConfig,
  field: string,
  vocabSize: number,
): number | undefined {
  const id = json[field] == null ? -1 : readNumber(json, field);
  return id >= 0 && id < vocabSize ? id : undefined;
}

/**
 * Reads the config.json of a checkpoint of a supported family.
 *
 * Settings without influence on the mathematics are passed over. What is left out means what it
 * means to transformers. A `pad_token_id` or `bos_token_id` that names no row of the embedding (-1
 * in old checkpoints) is left out.
 *
 * @throws {TypeError | RangeError} Naming the setting that is missing, malformed or unsupported.
 */
export function configFromHuggingFace(json: unknown): PolicyConfig {
  if (!isJsonObject(json)) {
    throw new TypeError(`config.json holds ${JSON.stringify(json)}: an object is needed`);
  }
  const modelType = readModelType(json);
  const family: Family = FAMILIES[modelType];
  const { defaults } = family;
  refuseUnsupported(json, modelType);
  const vocabSize = readNumber(json, "vocab_size");
  const numHiddenLayers = readNumber(json, "num_hidden_layers");
  refuseWindow(json, modelType, numHiddenLayers);
  const numAttentionHeads = readNumber(json, "num_attention_heads");
  const { theta, scaling } = readRotation(json, defaults.ropeTheta);
  return resolveConfig({
    modelType,
    vocabSize,
    hiddenSize: readNumber(json, "hidden_size"),
    intermediateSize: readNumber(json, "intermediate_size"),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads: readNumber(json, "num_key_value_heads", { fallback: numAttentionHeads }),
    headDim: json.head_dim == null ? defaults.headDim : readNumber(json, "head_dim"),
    rmsNormEps: readNumber(json, "rms_norm_eps", { fallback: 1e-6 }),
    ropeTheta: theta,
    ropeScaling: scaling,
    rotatedLayers: family.unrotatedLayers ? readRotatedLayers(json, numHiddenLayers) : undefined,
    tieWordEmbeddings: readBoolean(json, "tie_word_embeddings", defaults.tieWordEmbeddings),
    maxPositionEmbeddings: readNumber(json, "max_position_embeddings", {
      fallback: defaults.maxPositionEmbeddings,
    }),
    // Checked by resolveConfig.
    eosTokenId: (json.eos_token_id ?? undefined) as number | number[] | undefined,
    padTokenId: readIdForOthers(json, "pad_token_id", vocabSize),
    bosTokenId: readIdForOthers(json, "bos_token_id", vocabSize),
  });
}

/** What only some families have a word for in their config.json. */
function familyFields({ modelType, numHiddenLayers, rotatedLayers }: PolicyConfig) {
  switch (modelType) {
    case "llama":
      return { attention_bias: false, mlp_bias: false };
    case "qwen2":
      // Not a setting of transformers, but other readers go by it.
      return { attention_bias: true, use_sliding_window: false };
    case "qwen3":
      return { attention_bias: false, use_sliding_window: false };
    case "mistral":
      // Absent, it is 4096.
      return { sliding_window: null };
    case "smollm3":
      return {
        attention_bias: false,
        mlp_bias: false,
        use_sliding_window: false,
        no_rope_layers: Array.from(
          { length: numHiddenLayers },
          (_, layer) => rotatedLayers?.[layer] === false ? 0 : 1,
        ),
      };
  }
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
    architectures: [FAMILIES[config.modelType].architecture],
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
    ...rotationFields({ theta: config.ropeTheta, scaling: config.ropeScaling }),
    max_position_embeddings: config.maxPositionEmbeddings,
    tie_word_embeddings: config.tieWordEmbeddings,
    ...familyFields(config),
    // Written even when null: an absent id means 1 or 2 to a LlamaConfig.
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenId ?? null,
    pad_token_id: config.padTokenId ?? null,
    initializer_range: 0.02,
    torch_dtype: torchDtype,
    use_cache: true,
  };
}
