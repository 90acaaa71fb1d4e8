/** Policies whose matrices or caches are stored in 16 bits, beside the same policies in f32. */

import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import type { PolicyConfig } from "../../src/model/config.ts";
import { PackedInputs } from "../../src/model/packed_inputs.ts";
import { Policy } from "../../src/model/policy.ts";
import { encode } from "../../src/model/transformer.ts";
import { headLogProb } from "../../src/ops/head_log_prob.ts";
import { AdamW } from "../../src/optim/adamw_optimizer.ts";
import {
  handmadeConfigJson,
  makeTensors,
  tinyConfig,
  writeCheckpoint,
} from "../fixtures/make_checkpoints.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { type TransformerConfig, transformerRows } from "../reference/transformer.ts";
import { loadCheckpoint } from "../../src/model/hf_checkpoint.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import { asHalves, SIGNIFICAND } from "../helpers/halves.ts";

const FAMILIES: Readonly<Record<string, Partial<PolicyConfig>>> = {
  "Qwen2, tied head": { modelType: "qwen2", headDim: 4 },
  "Llama, head of its own": {
    modelType: "llama",
    attentionBias: false,
    tieWordEmbeddings: false,
    headDim: 8,
  },
  "Qwen3": { modelType: "qwen3", headDim: 8 },
  "SmolLM3, a layer without rotation": {
    modelType: "smollm3",
    rotatedLayers: [true, false],
    headDim: 4,
  },
};

const SIZES = { hiddenSize: 16, intermediateSize: 24, numAttentionHeads: 4, numKeyValueHeads: 2 };
const TOKENS = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 9, 9, 3, 2, 1, 5, 4]];

/** Weights that no half holds exactly, by their Hugging Face names. */
function awkwardTensors(config: PolicyConfig): Map<string, Float32Array<ArrayBuffer>> {
  let seed = 0;
  return new Map(
    [...makeTensors(config)].map(([name, { length }]) => {
      const values = randomArray(++seed, length, 0.3);
      return [name, name.endsWith("norm.weight") ? values.map((v) => 1 + v) : values];
    }),
  );
}

/** The weights as a policy in 16 bits uses them: matrices rounded, norms and biases as they are. */
function asStored(tensors: Map<string, Float32Array<ArrayBuffer>>, dtype: StoredDType) {
  const isMatrix = (name: string) => /(proj|embed_tokens|lm_head)\.weight$/.test(name);
  return new Map(
    [...tensors].map(([name, values]) =>
      [name, isMatrix(name) && dtype !== "f32" ? asHalves(values, dtype) : values] as const
    ),
  );
}

/** Weights and caches. */
const STORED = [["f16", "f16"], ["bf16", "bf16"], ["f32", "f16"], ["bf16", "f32"]] as const;

test.onDevices("a policy in 16 bits computes what float64 computes from the rounded matrices", async (gpu) => {
  for (const [i, [family, changes]] of Object.entries(FAMILIES).entries()) {
    const [dtype, cacheDtype] = STORED[i]!;
    const config = tinyConfig({ ...SIZES, ...changes });
    const json = handmadeConfigJson(config) as unknown as TransformerConfig;
    const tensors = awkwardTensors(config);
    await inTempDir(async (dir) => {
      await writeCheckpoint(dir, config, tensors, { dtype: "F32", shards: 1 });
      const policy = await Policy.load(gpu, dir, { dtype, cacheDtype });
      assertEquals(policy.dtype, dtype);
      const expected = transformerRows(
        json,
        asStored(tensors, dtype),
        TOKENS,
        (kept) => cacheDtype === "f32" ? kept : Float64Array.from(asHalves(kept, cacheDtype)),
      );
      // A key or value in the middle between two halves may be rounded to either of them.
      const tolerance = cacheDtype === "bf16" ? 4e-4 : 5e-5;
      const label = `${family}, ${dtype}, cache in ${cacheDtype}`;
      assertClose(await policy.logits(TOKENS), expected, { tolerance, label });
      // What is kept and saved is not rounded.
      assertEquals(await policy.parameters.read(), tensors);
      policy.destroy();
    });
  }
});

/**
 * How the log-probability of one token depends on what f16 rounds: its gradient, laid out like the parameters, and the most
 * that rounding keys and values by a relative error of 1 can change it.
 */
async function sensitivity(
  policy: Policy,
  prompt: number[],
  token: number,
): Promise<{ gradient: Float32Array; keysAndValues: number }> {
  const { gpu, parameters, config } = policy;
  submit(gpu, [{ clear: parameters.gradients }]);
  const plan = new Plan(gpu, "gradient", { gradients: true });
  const inputs = new PackedInputs(plan, prompt.length + 1);
  const kept: Tensor[] = [];
  const hidden = encode(plan, parameters, inputs, (qkv) => kept.push(plan.keep(qkv)));
  const { logProbs } = headLogProb(plan, hidden, parameters.head, inputs, { temperature: 1 });
  plan.shareGradient(logProbs, gpu.tensor([logProbs.capacity], { data: [1] }));
  plan.backward();
  const gradients = kept.map((qkv) => plan.keep(plan.gradientOf(qkv)!));
  await plan.compile();
  inputs.upload([{ prompt, responses: [{ sequence: 0, tokens: [token] }] }]);
  submit(gpu, [plan]);
  const { headDim: D, numAttentionHeads: H, numKeyValueHeads: J } = config;
  let keysAndValues = 0;
  for (const [layer, qkv] of kept.entries()) {
    const [values, slopes] = [await readTensor(gpu, qkv), await readTensor(gpu, gradients[layer]!)];
    const norm = (x: ArrayLike<number>, from: number) =>
      Math.hypot(...Array.from({ length: D }, (_, i) => x[from + i]!));
    // Rotating a key changes neither its length nor that of its gradient (Cauchy-Schwarz).
    for (let at = 0; at < prompt.length * (H + 2 * J) * D; at += D) {
      if (at / D % (H + 2 * J) < H) continue;
      keysAndValues += norm(values, at) * norm(slopes, at);
    }
  }
  const gradient = await readTensor(gpu, parameters.gradients) as Float32Array;
  plan.destroy();
  return { gradient, keysAndValues };
}

test.onGpu("log-probabilities in 16 bits are off by no more than rounding explains", async (gpu) => {
  const config = tinyConfig({ ...SIZES, headDim: 4 });
  const tensors = awkwardTensors(config);
  const make = (dtype: StoredDType, cacheDtype: StoredDType) => {
    const policy = Policy.zeros(gpu, config, { dtype, cacheDtype });
    for (const [name, values] of tensors) policy.parameters.write(name, values);
    return policy;
  };
  const full = make("f32", "f32");
  for (const [dtype, cacheDtype] of [["f16", "f16"], ["bf16", "bf16"], ["f32", "f16"]] as const) {
    const rounded = asStored(tensors, dtype);
    const half = make(dtype, cacheDtype);
    const unit = 2 ** -SIGNIFICAND[cacheDtype];
    for (const [b, tokens] of TOKENS.entries()) {
      for (const length of dtype === "f32" ? [4, 8] : [1, 4, 8]) {
        const [prompt, token] = [tokens.slice(0, length), tokens[length]!];
        const scoreOf = async (policy: Policy) => (await policy.score([prompt], [[token]]))[0]![0]!;
        const [exact, stored] = [await scoreOf(full), await scoreOf(half)];
        const { gradient, keysAndValues } = await sensitivity(full, prompt, token);
        let explained = 0;
        for (const [name, values] of tensors) {
          const { offset } = full.parameters.range(name);
          const after = rounded.get(name)!;
          for (const [i, value] of values.entries()) {
            explained += gradient[offset + i]! * (after[i]! - value);
          }
        }
        const where =
          `sequence ${b} after ${length}: ${exact} in f32, ${stored} in ${dtype} and ${cacheDtype}`;
        assert(stored !== exact, `${where}: nothing was rounded`);
        // To nearest is off by at most 2^-11 of a number in f16, 2^-8 in bf16. The rest is of second order, and float32's own.
        const bound = unit * keysAndValues;
        const rest = unit * 16 * (bound + Math.abs(explained)) + 4e-6;
        assertAlmostEquals(stored - exact, explained, bound + rest, where);
      }
    }
    half.destroy();
  }
  full.destroy();
});

Deno.test("f16 needs no feature of the device: without shader-f16 the bits are the same", async () => {
  const adapter = (await navigator.gpu.requestAdapter())!;
  const logitsOn = async (gpu: Gpu) => {
    const policy = Policy.create(gpu, tinyConfig(SIZES), { seed: 5, dtype: "f16" });
    const logits = await policy.logits(TOKENS);
    policy.destroy();
    await gpu.close();
    return logits;
  };
  const device = await adapter.requestDevice();
  const without = await openGpu({ device });
  assertEquals(without.adapter.f16, false);
  const plain = await logitsOn(without);
  device.destroy();
  const { isFallback } = without.adapter;
  const withFeature = await openGpu({ treatAs: { isFallback, int64: false, subgroupSize: 0 } });
  assertEquals(plain, await logitsOn(withFeature));
});

test.onGpu("weights beyond what f16 holds are refused when written and held back when learnt", async (gpu) => {
  const config = tinyConfig(SIZES);
  const policy = Policy.create(gpu, config, { dtype: "f16" });
  const name = "model.layers.0.mlp.up_proj.weight";
  const values = new Float32Array(policy.parameters.range(name).length);
  values[5] = -65505;
  assertThrows(
    () => policy.parameters.write(name, values),
    RangeError,
    `Cannot store -65505 at 5 of ${name}: f16 holds numbers from -65504 to 65504; use dtype "f32"`,
  );
  // Norms and biases stay in f32.
  const norm = new Float32Array(config.hiddenSize).fill(1e5);
  policy.parameters.write("model.norm.weight", norm);
  await inTempDir(async (dir) => {
    const tensors = awkwardTensors(config);
    tensors.get(name)![3] = 1e5;
    await writeCheckpoint(dir, config, tensors, { dtype: "F32", shards: 1 });
    const allocated = gpu.counters.bytesAllocated;
    await assertRejects(
      () => Policy.load(gpu, dir, { dtype: "f16" }),
      RangeError,
      'use dtype "f32"',
    );
    assertEquals(gpu.counters.bytesAllocated, allocated);
    (await Policy.load(gpu, dir)).destroy();
  });

  values[5] = -65500;
  policy.parameters.write(name, values);
  const { parameters } = policy;
  const optimizer = await AdamW.create(gpu, parameters, { learningRate: 100 });
  gpu.write(parameters.gradients, new Float32Array(parameters.gradients.capacity).fill(1));
  submit(gpu, [optimizer.plan]);
  const { offset } = parameters.range(name);
  const [learnt] = await readTensor(
    gpu,
    parameters.values.view([1], { elementOffset: offset + 5 }),
  );
  assertAlmostEquals(learnt!, -65600, 1);
  const stored = await readTensor(gpu, parameters.halves!);
  assertEquals(stored[offset + 5], -65504);
  // Everything else is the rounded value, gradients of any size or none.
  const all = await readTensor(gpu, parameters.values);
  const expected = Float16Array.from(all, (v) => Math.min(Math.max(v, -65504), 65504));
  assertEquals([...stored], [...expected]);
  optimizer.destroy();
  policy.destroy();
});

test.onDevices("a policy that is only asked answers the same from a third of the memory", async (gpu) => {
  const config = tinyConfig({ ...SIZES, headDim: 4, vocabSize: 64 });
  await inTempDir(async (dir) => {
    const tensors = awkwardTensors(config);
    await writeCheckpoint(dir, config, tensors, { dtype: "F32", shards: 1 });
    const ask = async (trainable: boolean) => {
      const before = gpu.counters.bytesAllocated;
      const policy = await Policy.load(gpu, dir, { dtype: "f16", trainable });
      const bytes = gpu.counters.bytesAllocated - before;
      const logits = await policy.logits(TOKENS);
      const { completions } = await policy.generate(TOKENS, { maxCompletionLength: 6, seed: 2 });
      return { policy, bytes, answers: { logits, completions } };
    };
    const [whole, frozen] = [await ask(true), await ask(false)];
    assertEquals(frozen.answers, whole.answers);
    // 6 bytes for each value or 2, but that norms and biases stay in f32, and blocks begin at multiples.
    const vectors = [...tensors].filter(([name]) => /norm|bias/.test(name));
    const inFloat32 = vectors.reduce(
      (n, [, { length }]) => n + 4 * Math.ceil(length / 128) * 128,
      0,
    );
    const n = whole.policy.parameters.values.capacity;
    assertEquals(whole.bytes, 6 * n);
    assert(frozen.bytes <= 2 * n + inFloat32, `${frozen.bytes} bytes for ${n} values`);

    // What it holds, in the format of its matrices.
    await frozen.policy.save(`${dir}/saved`);
    const saved = await Policy.load(gpu, `${dir}/saved`);
    assertEquals(
      await saved.parameters.read(),
      new Map([...tensors].map(([name, values]) => [name, asHalves(values, "f16")])),
    );
    saved.destroy();
    assertThrows(() => frozen.policy.parameters.gradients, Error, "trainable: false");
    frozen.policy.destroy();
    whole.policy.destroy();
  });
});

test.onGpu("a checkpoint in bf16 is held and saved as it is", async (gpu) => {
  const config = tinyConfig({ ...SIZES, headDim: 4 });
  const tensors = new Map(
    [...awkwardTensors(config)].map(([name, values]) => [name, asHalves(values, "bf16")]),
  );
  await inTempDir(async (dir) => {
    await writeCheckpoint(dir, config, tensors, { dtype: "BF16", shards: 1 });
    const read = async (folder: string) => {
      using checkpoint = await loadCheckpoint(folder);
      return new Map(
        await Promise.all(
          checkpoint.names.map(async (name) => [name, await checkpoint.readFloat32(name)] as const),
        ),
      );
    };
    for (const trainable of [false, true]) {
      const policy = await Policy.load(gpu, dir, { dtype: "bf16", trainable });
      await policy.save(`${dir}/saved`, trainable ? { dtype: "bf16" } : {});
      assertEquals(await read(`${dir}/saved`), tensors);
      const { torch_dtype } = JSON.parse(await Deno.readTextFile(`${dir}/saved/config.json`));
      assertEquals(torch_dtype, "bfloat16");
      policy.destroy();
    }
  });
});

test.onGpu("a dtype that does not exist is refused", (gpu) => {
  assertThrows(
    () => Policy.zeros(gpu, tinyConfig(), { dtype: "f8" as "f16" }),
    RangeError,
    "dtype must be one of f32, f16, bf16: current value is f8",
  );
  assertEquals(gpu.counters.bytesAllocated, 0);
});
