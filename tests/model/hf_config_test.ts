import { assertEquals, assertThrows } from "@std/assert";
import { type PolicyConfig, resolveConfig } from "../../src/model/config.ts";
import { configFromHuggingFace, configToHuggingFace } from "../../src/model/hf_config.ts";
import type { RopeScaling } from "../../src/ops/rotation.ts";
import { uniformStream } from "../helpers/random.ts";

/** rope_scaling of meta-llama/Llama-3.2-1B. */
const LLAMA3 = {
  factor: 32.0,
  high_freq_factor: 4.0,
  low_freq_factor: 1.0,
  original_max_position_embeddings: 4096,
  rope_type: "llama3",
};

const LLAMA3_SCALING = {
  ropeType: "llama3",
  factor: 32,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 4096,
} as const;

/** What makes other families of a llama's config.json, with the rotation unsaid. */
const MISTRAL = { model_type: "mistral", architectures: ["MistralForCausalLM"] };
const QWEN3 = { model_type: "qwen3", architectures: ["Qwen3ForCausalLM"], rope_theta: undefined };
const SMOLLM3 = {
  model_type: "smollm3",
  architectures: ["SmolLM3ForCausalLM"],
  rope_theta: undefined,
  tie_word_embeddings: undefined,
};

/** config.json of Qwen/Qwen2.5-0.5B-Instruct. */
const QWEN = {
  architectures: ["Qwen2ForCausalLM"],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: "silu",
  hidden_size: 896,
  initializer_range: 0.02,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 21,
  model_type: "qwen2",
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-06,
  rope_theta: 1000000.0,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.43.1",
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

/** config.json of the SmolLM2 kind: a llama with grouped queries. */
const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 0,
  eos_token_id: 0,
  hidden_act: "silu",
  hidden_size: 576,
  initializer_range: 0.041666666666666664,
  intermediate_size: 1536,
  is_llama_config: true,
  max_position_embeddings: 8192,
  mlp_bias: false,
  model_type: "llama",
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  pretraining_tp: 1,
  rms_norm_eps: 1e-05,
  rope_interleaved: false,
  rope_scaling: null,
  rope_theta: 100000,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  use_cache: true,
  vocab_size: 49152,
};

Deno.test("a Qwen2.5 config.json is read", () => {
  assertEquals(configFromHuggingFace(QWEN), {
    modelType: "qwen2",
    vocabSize: 151936,
    hiddenSize: 896,
    intermediateSize: 4864,
    numHiddenLayers: 24,
    numAttentionHeads: 14,
    numKeyValueHeads: 2,
    headDim: 64,
    rmsNormEps: 1e-6,
    ropeTheta: 1e6,
    tieWordEmbeddings: true,
    attentionBias: true,
    normedHeads: false,
    maxPositionEmbeddings: 32768,
    eosTokenId: 151645,
    bosTokenId: 151643,
  });
});

Deno.test("a Llama config.json is read", () => {
  const config = configFromHuggingFace(LLAMA);
  assertEquals(config.modelType, "llama");
  assertEquals(config.attentionBias, false);
  assertEquals(config.headDim, 64);
  assertEquals(config.ropeTheta, 100000);
  assertEquals(config.eosTokenId, 0);
});

Deno.test("the config.json of the stored checkpoint is read", async () => {
  const json = JSON.parse(
    await Deno.readTextFile(new URL("../fixtures/tiny-qwen2/config.json", import.meta.url)),
  );
  assertEquals(
    configFromHuggingFace(json),
    resolveConfig({
      vocabSize: 37,
      hiddenSize: 32,
      intermediateSize: 88,
      numHiddenLayers: 2,
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      maxPositionEmbeddings: 64,
    }),
  );
});

const READ: [string, object, { [K in keyof PolicyConfig]?: PolicyConfig[K] | undefined }][] = [
  ["head_dim", { head_dim: 32 }, { headDim: 32 }],
  ["head_dim null", { head_dim: null }, { headDim: 64 }],
  ["one kv head per head when absent", { num_key_value_heads: undefined }, { numKeyValueHeads: 9 }],
  ["the head untied when unsaid", { tie_word_embeddings: undefined }, { tieWordEmbeddings: false }],
  ["rope_theta 10000 when absent", { rope_theta: undefined }, { ropeTheta: 10000 }],
  [
    "rope_theta in rope_parameters",
    { rope_theta: undefined, rope_parameters: { rope_theta: 5e5, rope_type: "default" } },
    { ropeTheta: 5e5 },
  ],
  [
    "rope_theta in rope_scaling",
    { rope_theta: undefined, rope_scaling: { rope_theta: 7e5 } },
    { ropeTheta: 7e5 },
  ],
  [
    "linear rope_scaling",
    { rope_scaling: { type: "linear", factor: 2 } },
    { ropeScaling: { ropeType: "linear", factor: 2 } },
  ],
  [
    "llama3 rope_scaling, as in Llama-3.2-1B",
    { rope_theta: 500000.0, rope_scaling: LLAMA3 },
    { ropeTheta: 5e5, ropeScaling: LLAMA3_SCALING },
  ],
  [
    "llama3 rope_parameters, as transformers 5 writes them",
    { rope_theta: undefined, rope_parameters: { ...LLAMA3, rope_theta: 5e5 } },
    { ropeTheta: 5e5, ropeScaling: LLAMA3_SCALING },
  ],
  [
    "rope_scaling and rope_parameters that agree",
    { rope_scaling: LLAMA3, rope_parameters: { ...LLAMA3, rope_theta: 100000 } },
    { ropeTheta: 1e5, ropeScaling: LLAMA3_SCALING },
  ],
  [
    "llama3 scaling without its original length: max_position_embeddings",
    { rope_scaling: { ...LLAMA3, original_max_position_embeddings: undefined } },
    { ropeScaling: { ...LLAMA3_SCALING, originalMaxPositionEmbeddings: 8192 } },
  ],
  ["a bos id", { bos_token_id: 5 }, { bosTokenId: 5 }],
  ["no bos id where it names no token", { bos_token_id: -1 }, { bosTokenId: undefined }],
  ["a default rope_scaling", { rope_scaling: { type: "default" } }, { ropeTheta: 100000 }],
  ["an eos list", { eos_token_id: [2, 7] }, { eosTokenId: [2, 7] }],
  ["a pad id", { pad_token_id: 4 }, { padTokenId: 4 }],
  ["no model_type beside architectures", { model_type: undefined }, { modelType: "llama" }],
  ["no architectures beside model_type", { architectures: undefined }, { modelType: "llama" }],
  [
    "a family's own number of positions when absent",
    { max_position_embeddings: undefined },
    { maxPositionEmbeddings: 2048 },
  ],
  ["a mistral without a window", { ...MISTRAL, sliding_window: null }, { modelType: "mistral" }],
  ["a mistral whose window is never reached", { ...MISTRAL, sliding_window: 8192 }, {
    modelType: "mistral",
    normedHeads: false,
  }],
  ["a qwen3, its heads normed and 128 wide when unsaid", QWEN3, {
    modelType: "qwen3",
    normedHeads: true,
    attentionBias: false,
    headDim: 128,
    ropeTheta: 1e4,
  }],
  ["a qwen3 with a window that no layer uses", {
    ...QWEN3,
    use_sliding_window: true,
    sliding_window: 100,
    max_window_layers: 30,
  }, { modelType: "qwen3" }],
  ["a smollm3, every fourth layer unrotated when unsaid", { ...SMOLLM3, num_hidden_layers: 5 }, {
    modelType: "smollm3",
    rotatedLayers: [true, true, true, false, true],
    ropeTheta: 2e6,
    tieWordEmbeddings: true,
  }],
  ["no_rope_layers, where 1 is a rotated layer", {
    ...SMOLLM3,
    num_hidden_layers: 2,
    no_rope_layers: [0, 1, 0],
  }, { rotatedLayers: [false, true] }],
  ["no_rope_layers that rotate all", {
    ...SMOLLM3,
    num_hidden_layers: 2,
    no_rope_layers: [1, 1],
  }, { rotatedLayers: undefined }],
];

for (const [what, change, expected] of READ) {
  Deno.test(`config.json: reads ${what}`, () => {
    const config = configFromHuggingFace({ ...LLAMA, ...change });
    for (const [field, value] of Object.entries(expected)) {
      assertEquals(config[field as keyof PolicyConfig], value);
    }
  });
}

Deno.test("a pad id outside the vocabulary is left out", () => {
  for (const pad_token_id of [-1, 49152, null]) {
    assertEquals("padTokenId" in configFromHuggingFace({ ...LLAMA, pad_token_id }), false);
  }
});

const REFUSED: [string, object, string][] = [
  [
    "an unknown model_type",
    { model_type: "gpt2", architectures: undefined },
    "mistral, smollm3 is",
  ],
  [
    "Gemma, with what to use",
    { model_type: "gemma3_text", architectures: ["Gemma3ForCausalLM"] },
    "Gemma scales its embedding and norms in ways of its own; use a Qwen,",
  ],
  [
    "mixtures of experts, with what to use",
    { model_type: "qwen3_moe", architectures: ["Qwen3MoeForCausalLM"] },
    "mixtures of experts are not; use a dense model, such as Qwen3-0.6B",
  ],
  ["Mixtral", { model_type: "mixtral", architectures: undefined }, "mixtures of experts are not"],
  [
    "Phi, whose projections are fused",
    { model_type: "phi3", architectures: ["Phi3ForCausalLM"] },
    "one gate_up_proj; use a conversion of the model to LlamaForCausalLM",
  ],
  [
    "models that see",
    { model_type: "qwen2_5_vl", architectures: ["Qwen2_5_VLForConditionalGeneration"] },
    "use a model for text alone",
  ],
  ["no type at all", { model_type: undefined, architectures: undefined }, "model_type is null"],
  [
    "another architecture",
    { architectures: ["LlamaModel"] },
    "one of Qwen2ForCausalLM, Qwen3ForCausalLM, Llama",
  ],
  ["two types", { model_type: "qwen2" }, "architectures names LlamaForCausalLM"],
  ["hidden_act gelu", { hidden_act: "gelu" }, 'hidden_act is "gelu"'],
  ["attention_bias of a llama", { attention_bias: true }, "attention_bias is true"],
  ["mlp_bias", { mlp_bias: true }, "mlp_bias is true"],
  [
    "a window that is reached, with what to do",
    { ...MISTRAL, sliding_window: 4096 },
    "where yours are no longer than that, set max_position_embeddings, which is 8192, to 4096",
  ],
  ["a mistral's window when unsaid", MISTRAL, "sliding_window is 4096"],
  ["a window of the last layers", { ...QWEN3, use_sliding_window: true }, "sliding_window is 4096"],
  [
    "sliding layers",
    { ...QWEN3, layer_types: ["full_attention", "sliding_attention"], sliding_window: 64 },
    "sliding_window is 64",
  ],
  ["sliding layers of a llama", { layer_types: ["sliding_attention"] }, "layer_types is"],
  ["layers of another kind", { ...QWEN3, layer_types: ["linear_attention"] }, "layer_types is"],
  ["half a llama3 rope_scaling", { rope_scaling: { rope_type: "llama3" } }, "factor is missing"],
  [
    "YaRN, with what to do",
    { rope_parameters: { rope_type: "yarn", factor: 4 } },
    'rope_parameters.rope_type is "yarn", which is not supported: only "default", "linear" and ' +
    '"llama3" are; where the model was trained without YaRN, as Qwen\'s are, set rope_scaling to null',
  ],
  [
    "a scaling by length",
    { rope_scaling: { type: "dynamic" } },
    "changes nothing up to the original",
  ],
  ["an unknown scaling", { rope_scaling: { type: "magic" } }, 'rope_scaling.rope_type is "magic"'],
  [
    "rope_scaling and rope_parameters that differ",
    { rope_scaling: LLAMA3, rope_parameters: { ...LLAMA3, factor: 8 } },
    "make them agree",
  ],
  ["flags of layers that are none", { ...SMOLLM3, no_rope_layers: [true] }, "no_rope_layers is"],
  [
    "rope_parameters per kind of layer",
    { rope_parameters: { full_attention: { rope_theta: 1 } } },
    "rope_parameters is {",
  ],
  ["two rope_thetas", { rope_parameters: { rope_theta: 5 } }, "rope_theta is 100000: make them"],
  ["partial rotation", { partial_rotary_factor: 0.5 }, "partial_rotary_factor is 0.5"],
  [
    "partial rotation inside",
    { rope_parameters: { partial_rotary_factor: 0.5 } },
    "rope_parameters.partial_rotary_factor is 0.5",
  ],
  ["quantized weights", { quantization_config: { bits: 4 } }, "quantization_config is"],
  ["a missing size", { hidden_size: undefined }, "hidden_size is missing"],
  ["a size as text", { vocab_size: "9" }, 'vocab_size is "9": a number is needed'],
  ["a flag as text", { tie_word_embeddings: "yes" }, 'tie_word_embeddings is "yes"'],
  ["an impossible size", { num_hidden_layers: 0 }, "numHiddenLayers is 0"],
  ["an eos outside the vocabulary", { eos_token_id: 49152 }, "eosTokenId is 49152"],
  ["an eos as text", { eos_token_id: "</s>" }, 'eosTokenId is "</s>"'],
];

for (const [what, change, message] of REFUSED) {
  Deno.test(`config.json: refuses ${what}`, () => {
    assertThrows(() => configFromHuggingFace({ ...LLAMA, ...change }), Error, message);
  });
}

Deno.test("config.json: refuses what is not an object", () => {
  for (const json of [null, 3, "x", [LLAMA]]) {
    assertThrows(() => configFromHuggingFace(json), TypeError, "an object is needed");
  }
});

Deno.test("configs come back from the config.json written for them", () => {
  const next = uniformStream(3);
  const pick = <T>(...choices: T[]): T => choices[Math.floor(next() * choices.length)]!;
  for (let i = 0; i < 200; i++) {
    const numAttentionHeads = pick(1, 2, 4, 12);
    const modelType = pick("qwen2", "qwen3", "llama", "mistral", "smollm3");
    const config = resolveConfig({
      modelType,
      vocabSize: pick(8, 37, 151936),
      hiddenSize: 12 * pick(2, 4, 8),
      numHiddenLayers: pick(1, 2, 30),
      numAttentionHeads,
      numKeyValueHeads: numAttentionHeads / pick(1, numAttentionHeads),
      headDim: pick(2, 64, 128),
      rmsNormEps: pick(1e-5, 1e-6),
      ropeTheta: pick(1e4, 5e5),
      ropeScaling: pick<RopeScaling | undefined>(
        undefined,
        { ropeType: "linear", factor: 4 },
        LLAMA3_SCALING,
      ),
      ...(modelType === "smollm3" &&
        { numHiddenLayers: 2, rotatedLayers: [pick(true, false), true] }),
      tieWordEmbeddings: pick(true, false),
      maxPositionEmbeddings: pick(1, 2048),
      eosTokenId: pick<number | number[] | undefined>(0, [1, 7], undefined),
      padTokenId: pick<number | undefined>(0, 3, undefined),
      bosTokenId: pick<number | undefined>(0, 2, undefined),
    });
    assertEquals(
      configFromHuggingFace(JSON.parse(JSON.stringify(configToHuggingFace(config)))),
      config,
    );
  }
});

Deno.test("the config.json written says what transformers needs to know", () => {
  const json = configToHuggingFace(
    resolveConfig({ vocabSize: 9, numKeyValueHeads: 2 }),
    "bfloat16",
  );
  assertEquals(json.architectures, ["Qwen2ForCausalLM"]);
  assertEquals(json.model_type, "qwen2");
  assertEquals(json.num_key_value_heads, 2);
  assertEquals(json.torch_dtype, "bfloat16");
  assertEquals(json.hidden_act, "silu");
  assertEquals(json.use_sliding_window, false);
  // Absent, a LlamaConfig takes 2 for it.
  assertEquals(json.eos_token_id, null);
  assertEquals(configToHuggingFace(resolveConfig({ vocabSize: 9 })).torch_dtype, "float32");
});
