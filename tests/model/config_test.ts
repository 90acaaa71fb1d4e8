import { assertEquals, assertThrows } from "@std/assert";
import {
  countParameters,
  parameterShapes,
  type PolicyConfigOptions,
  resolveConfig,
} from "../../src/model/config.ts";
import { readSafetensors } from "../helpers/safetensors.ts";

Deno.test("resolveConfig fills in documented defaults", () => {
  assertEquals(resolveConfig({ vocabSize: 50 }), {
    modelType: "qwen2",
    vocabSize: 50,
    hiddenSize: 128,
    intermediateSize: 352,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    numKeyValueHeads: 4,
    headDim: 32,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    tieWordEmbeddings: true,
    attentionBias: true,
    normedHeads: false,
    maxPositionEmbeddings: 2048,
  });
});

Deno.test("resolveConfig keeps what is given, and its own result unchanged", () => {
  const given = {
    modelType: "llama",
    vocabSize: 10,
    hiddenSize: 24,
    intermediateSize: 7,
    numHiddenLayers: 1,
    numAttentionHeads: 6,
    numKeyValueHeads: 3,
    headDim: 16,
    rmsNormEps: 1e-5,
    ropeTheta: 5e5,
    tieWordEmbeddings: false,
    attentionBias: false,
    normedHeads: false,
    maxPositionEmbeddings: 9,
    ropeScaling: { ropeType: "linear", factor: 2 },
    eosTokenId: [1, 9],
    padTokenId: 0,
    bosTokenId: 2,
    generationDefaults: { temperature: 0.6, top_k: 20 },
  } as const;
  assertEquals(resolveConfig(given), { ...given, eosTokenId: [1, 9] });
  assertEquals(resolveConfig(resolveConfig(given)), resolveConfig(given));
});

Deno.test("a field given as undefined takes its default", () => {
  assertEquals(
    resolveConfig({ vocabSize: 5, hiddenSize: undefined, eosTokenId: undefined }),
    resolveConfig({ vocabSize: 5 }),
  );
});

Deno.test("modelType and what sets its layers apart follow from each other", () => {
  const { normedHeads, attentionBias } = resolveConfig({ vocabSize: 5, modelType: "qwen3" });
  assertEquals([normedHeads, attentionBias], [true, false]);
  assertEquals(resolveConfig({ vocabSize: 5, normedHeads: true }).modelType, "qwen3");
  const rotatedLayers = [true, true, true, false];
  assertEquals(resolveConfig({ vocabSize: 5, rotatedLayers }).modelType, "smollm3");
  assertEquals(resolveConfig({ vocabSize: 5, modelType: "smollm3" }).rotatedLayers, undefined);
  const all = { vocabSize: 5, rotatedLayers: [true, true, true, true] };
  assertEquals("rotatedLayers" in resolveConfig(all), false);
  assertEquals(resolveConfig({ vocabSize: 5, attentionBias: false }).modelType, "llama");
  assertEquals(resolveConfig({ vocabSize: 5, attentionBias: true }).modelType, "qwen2");
  assertEquals(resolveConfig({ vocabSize: 5, modelType: "llama" }).attentionBias, false);
});

const REFUSED: [string, object, string][] = [
  ["no vocabSize", { vocabSize: undefined }, "vocabSize is undefined: give a whole number from 1"],
  ["vocabSize 0", { vocabSize: 0 }, "vocabSize is 0"],
  ["vocabSize 1.5", { vocabSize: 1.5 }, "vocabSize is 1.5"],
  ["vocabSize NaN", { vocabSize: NaN }, "vocabSize is NaN"],
  ["vocabSize as text", { vocabSize: "37" }, 'vocabSize is "37"'],
  ["vocabSize too large", { vocabSize: 2 ** 20 + 1 }, "from 1 to 1048576"],
  ["hiddenSize -1", { hiddenSize: -1 }, "hiddenSize is -1"],
  ["intermediateSize 0", { intermediateSize: 0 }, "intermediateSize is 0"],
  ["numHiddenLayers 0", { numHiddenLayers: 0 }, "numHiddenLayers is 0"],
  ["numAttentionHeads 0", { numAttentionHeads: 0 }, "numAttentionHeads is 0"],
  ["heads not shared evenly", { numKeyValueHeads: 3 }, "it has to divide numAttentionHeads"],
  ["more kv heads than heads", { numKeyValueHeads: 8 }, "numKeyValueHeads is 8"],
  ["hidden not split evenly", { hiddenSize: 130 }, "hiddenSize is 130: it has to be a multiple"],
  ["odd headDim", { headDim: 7 }, "headDim is 7: it has to be even"],
  ["odd derived headDim", { hiddenSize: 12 }, "headDim is 3: it has to be even"],
  ["rmsNormEps 0", { rmsNormEps: 0 }, "rmsNormEps is 0: give a finite number above 0"],
  ["rmsNormEps NaN", { rmsNormEps: NaN }, "rmsNormEps is NaN"],
  ["ropeTheta infinite", { ropeTheta: Infinity }, "ropeTheta is Infinity"],
  ["tieWordEmbeddings 1", { tieWordEmbeddings: 1 }, "tieWordEmbeddings is 1: give true or false"],
  ["positions 0", { maxPositionEmbeddings: 0 }, "maxPositionEmbeddings is 0"],
  ["positions beyond float32", { maxPositionEmbeddings: 2 ** 24 + 1 }, "from 1 to 16777216"],
  ["eos beyond the vocabulary", { eosTokenId: 37 }, "eosTokenId is 37: give a token id from 0 to"],
  ["eos in a list", { eosTokenId: [1, -1] }, "eosTokenId[1] is -1"],
  ["empty eos list", { eosTokenId: [] }, "eosTokenId is []"],
  ["pad beyond the vocabulary", { padTokenId: 40 }, "padTokenId is 40"],
  ["unknown modelType", { modelType: "gpt2" }, 'modelType is "gpt2": give one of qwen2, qwen3'],
  ["a rope base of 1", { ropeTheta: 1 }, "ropeTheta is 1: give a finite number above 1"],
  ["rope scaling of no kind", { ropeScaling: { factor: 2 } }, "a ropeType of linear, llama3"],
  ["rope scaling null", { ropeScaling: null }, "ropeScaling is null"],
  [
    "rope scaling that shrinks",
    { ropeScaling: { ropeType: "linear", factor: 0.5 } },
    "ropeScaling.factor is 0.5: give a number of at least 1",
  ],
  [
    "half a llama3 scaling",
    { ropeScaling: { ropeType: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4 } },
    "ropeScaling.originalMaxPositionEmbeddings is undefined",
  ],
  [
    "llama3 scaling without a band",
    {
      ropeScaling: {
        ropeType: "llama3",
        factor: 8,
        lowFreqFactor: 4,
        highFreqFactor: 4,
        originalMaxPositionEmbeddings: 8192,
      },
    },
    "ropeScaling.highFreqFactor is 4: give a finite number above 4",
  ],
  [
    "a misspelt scaling",
    { ropeScaling: { ropeType: "linear", factor: 2, theta: 3 } },
    "ropeScaling.theta is not a field of linear scaling: fields are factor",
  ],
  ["flags for other layers", { rotatedLayers: [true] }, "give a list of 4 flags"],
  ["a flag of another kind", { rotatedLayers: [1, 1, 1, 0] }, "rotatedLayers[0] is 1: give true"],
  [
    "an unrotated llama",
    { modelType: "llama", rotatedLayers: [true, true, true, false] },
    'rotatedLayers has false with modelType "llama", whose layers are all rotated: use modelType ' +
    '"smollm3"',
  ],
  ["qwen3 without norms", { modelType: "qwen3", normedHeads: false }, "normedHeads is false with"],
  ["bos beyond the vocabulary", { bosTokenId: 40 }, "bosTokenId is 40"],
  ["llama with bias", { modelType: "llama", attentionBias: true }, 'use modelType "qwen2"'],
  ["qwen2 without bias", { modelType: "qwen2", attentionBias: false }, '"llama" or "mistral"'],
  ["misspelt field", { hidden_size: 8 }, '"hidden_size" is not a field of a policy config'],
];

for (const [what, fields, message] of REFUSED) {
  Deno.test(`resolveConfig refuses ${what}`, () => {
    const options = { vocabSize: 37, ...fields } as PolicyConfigOptions;
    assertThrows(() => resolveConfig(options), Error, message);
  });
}

Deno.test("parameterShapes names the tensors of a real checkpoint, with their shapes", () => {
  const config = resolveConfig({
    vocabSize: 37,
    hiddenSize: 32,
    intermediateSize: 88,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
  });
  const stored = readSafetensors(
    new URL("../fixtures/tiny-qwen2/model.safetensors", import.meta.url),
  );
  const shapes = new Map(parameterShapes(config).map(({ name, shape }) => [name, [...shape]]));
  assertEquals([...shapes.keys()].sort(), [...stored.keys()].sort());
  for (const [name, { shape }] of stored) assertEquals(shapes.get(name), shape, name);
  const total = [...stored.values()].reduce((sum, { data }) => sum + data.length, 0);
  assertEquals(countParameters(config), total);
});

Deno.test("parameterShapes follows the order of a state dict; llama has no bias, untied a head", () => {
  const config = resolveConfig({
    modelType: "llama",
    vocabSize: 10,
    hiddenSize: 8,
    intermediateSize: 6,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    headDim: 6,
    tieWordEmbeddings: false,
  });
  const layer = "model.layers.0";
  assertEquals(parameterShapes(config), [
    { name: "model.embed_tokens.weight", shape: [10, 8] },
    { name: `${layer}.self_attn.q_proj.weight`, shape: [12, 8] },
    { name: `${layer}.self_attn.k_proj.weight`, shape: [6, 8] },
    { name: `${layer}.self_attn.v_proj.weight`, shape: [6, 8] },
    { name: `${layer}.self_attn.o_proj.weight`, shape: [8, 12] },
    { name: `${layer}.mlp.gate_proj.weight`, shape: [6, 8] },
    { name: `${layer}.mlp.up_proj.weight`, shape: [6, 8] },
    { name: `${layer}.mlp.down_proj.weight`, shape: [8, 6] },
    { name: `${layer}.input_layernorm.weight`, shape: [8] },
    { name: `${layer}.post_attention_layernorm.weight`, shape: [8] },
    { name: "model.norm.weight", shape: [8] },
    { name: "lm_head.weight", shape: [10, 8] },
  ]);
});

Deno.test("countParameters gives the published size of Qwen2.5-0.5B", () => {
  const config = resolveConfig({
    vocabSize: 151936,
    hiddenSize: 896,
    intermediateSize: 4864,
    numHiddenLayers: 24,
    numAttentionHeads: 14,
    numKeyValueHeads: 2,
  });
  assertEquals(countParameters(config), 494_032_768);
});
