import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import type { Gpu } from "../../src/gpu/device.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsTensor,
} from "../../src/files/safetensors.ts";
import { SafetensorsFile } from "../../src/files/safetensors_file.ts";
import { Policy } from "../../src/model/policy.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray } from "../helpers/random.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const CONFIG = {
  modelType: "qwen2",
  vocabSize: 24,
  hiddenSize: 32,
  intermediateSize: 48,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  eosTokenId: 1,
} as const;
const TOKENS = [[3, 4, 5, 6, 7], [8, 2, 3, 9, 11]];

function base(gpu: Gpu, dtype: "f32" | "f16" = "f32"): Policy {
  return Policy.create(gpu, CONFIG, { seed: 5, dtype, trainable: dtype === "f32" });
}

/** Gives every B, which begins with zeros, other values. */
async function disturb(policy: Policy): Promise<void> {
  const { adapters } = policy.parameters;
  for (const [i, name] of adapters!.names.entries()) {
    const { length } = adapters!.range(name);
    if (name.includes("lora_B")) adapters!.write(name, randomArray(i, length, 0.2));
  }
  await adapters!.synchronise();
}

test.onGpu("adapters change nothing at first, and a merged policy computes what they do", async (gpu) => {
  for (const dtype of ["f32", "f16"] as const) {
    const policy = base(gpu, dtype);
    const before = await policy.logits(TOKENS);
    policy.addAdapters({
      rank: 4,
      targetModules: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
    });
    assertEquals(await policy.logits(TOKENS), before);
    await disturb(policy);
    const after = await policy.logits(TOKENS);
    assertNotEquals(after, before);
    await inTempDir(async (dir) => {
      await policy.save(dir, { merge: true });
      const merged = await Policy.load(gpu, dir);
      assertClose(await merged.logits(TOKENS), after, {
        tolerance: dtype === "f32" ? 1e-5 : 5e-3, // keys and values are rounded to f16 in one of them
        label: `merged ${dtype}`,
      });
      merged.destroy();
    });
    // Decoding goes the same way as scoring.
    const { completions, logProbs } = await policy.generate([[3, 4]], {
      maxCompletionLength: 6,
      numGenerations: 3,
    });
    const scores = await policy.score([[3, 4], [3, 4], [3, 4]], completions);
    for (const [b, row] of scores.entries()) {
      assertClose(logProbs[b]!, row, { tolerance: 1e-5, label: "sampled" });
    }
    policy.destroy();
  }
});

test.onGpu("the adapters' gradients are PyTorch's", async (gpu) => {
  // Made by tests/interop/lora_oracle.py: a rank of 2, an alpha of 3 and random A and B on every linear layer.
  const folder = new URL("../fixtures/tiny-qwen2", import.meta.url).pathname;
  using truth = await SafetensorsFile.open(join(folder, "lora.safetensors"));
  for (const trainable of [true, false]) {
    const policy = await Policy.load(gpu, folder, { trainable });
    const adapters = policy.addAdapters({ rank: 2, alpha: 3 });
    for (const name of adapters.names) adapters.write(name, await truth.readFloat32(name));
    await adapters.synchronise();
    const batch = {
      prompts: [[3, 4]],
      completions: [[5, 6, 7, 1], [8, 9, 1]],
      rewards: [1, 0],
      oldLogProbs: await policy.score([[3, 4], [3, 4]], [[5, 6, 7, 1], [8, 9, 1]]),
    };
    const { gradients } = await policyGradient(policy, batch, {
      numGenerations: 2,
      policyLoss: "reinforce",
      lossAggregation: "dapo",
      scaleRewards: "none",
    });
    assertEquals(gradients.size, 28);
    for (const [name, gradient] of gradients) {
      assertClose(gradient, await truth.readFloat32(`${name}.grad`), {
        tolerance: 2e-5,
        label: name,
      });
    }
    policy.destroy();
  }
});

test.onGpu("the adapters' gradients are the differences of the loss", async (gpu) => {
  const policy = base(gpu);
  policy.addAdapters({ rank: 4 });
  await disturb(policy);
  const { adapters } = policy.parameters;
  const batch = {
    prompts: [[3, 4]],
    completions: [[5, 6, 7, 1], [8, 9, 1]],
    rewards: [1, 0],
    oldLogProbs: [[-3, -3, -3, -3], [-3, -3, -3]],
  };
  const options = {
    numGenerations: 2,
    policyLoss: "reinforce",
    lossAggregation: "dapo",
    scaleRewards: "none",
  } as const;
  const { gradients } = await policyGradient(policy, batch, options);
  assertEquals([...gradients.keys()], adapters!.names);
  const values = await adapters!.read();
  const lossWith = async (name: string, at: number, step: number) => {
    const changed = values.get(name)!.slice();
    changed[at]! += step;
    adapters!.write(name, changed);
    await adapters!.synchronise();
    const rows = await policy.score([[3, 4], [3, 4]], batch.completions);
    adapters!.write(name, values.get(name)!);
    // Advantages are 1/2 and -1/2, and the mean is over seven tokens.
    const sums = rows.map((row) => row.reduce((sum, x) => sum + x, 0));
    return -(0.5 * sums[0]! - 0.5 * sums[1]!) / 7;
  };
  for (const module of ["self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj"]) {
    for (const which of ["A", "B"]) {
      const name = `model.layers.1.${module}.lora_${which}.weight`;
      const gradient = gradients.get(name)!;
      const largest = gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
      const at = gradient.findIndex((g) => Math.abs(g) === largest);
      const step = 0.02;
      const slope = (await lossWith(name, at, step) - await lossWith(name, at, -step)) / (2 * step);
      assert(
        Math.abs(slope - gradient[at]!) < 2e-3 * largest,
        `${name}: ${slope}, ${gradient[at]}`,
      );
    }
  }
  policy.destroy();
});

test.onGpu("adapters are saved as PEFT's folder and come back to the bit, with their base", async (gpu) => {
  await inTempDir(async (dir) => {
    const model = join(dir, "model");
    const source = base(gpu);
    await source.save(model);
    source.destroy();
    const policy = await Policy.load(gpu, model, { dtype: "f16", trainable: false });
    policy.addAdapters({ rank: 2, alpha: 3, targetModules: ["q_proj", "gate_proj"] });
    await disturb(policy);
    const logits = await policy.logits(TOKENS);
    const folder = join(dir, "adapter");
    await policy.save(folder);
    policy.destroy();

    const json = JSON.parse(await Deno.readTextFile(join(folder, "adapter_config.json")));
    assertEquals([json.r, json.lora_alpha, json.target_modules], [2, 3, ["q_proj", "gate_proj"]]);
    assertEquals(json.base_model_name_or_path, model);
    const again = await Policy.load(gpu, folder, { dtype: "f16", trainable: false });
    assertEquals(await again.logits(TOKENS), logits);
    again.destroy();

    // What would compute something else here than in PEFT is refused, whatever it is called.
    const settings = (change: object) =>
      Deno.writeTextFile(
        join(folder, "adapter_config.json"),
        JSON.stringify({ ...json, ...change }),
      );
    const refused = (message: string) =>
      assertRejects(() => Policy.load(gpu, folder), RangeError, message);
    for (
      const [change, message] of [
        [{ use_dora: true }, "use_dora is true: only false"],
        // PEFT changes the model's own weights when it loads these.
        [{ init_lora_weights: "pissa" }, 'init_lora_weights is "pissa"'],
        [{ init_lora_weights: "olora" }, 'init_lora_weights is "olora"'],
        [{ layer_replication: [[0, 2]] }, "layer_replication is [[0,2]]: it is not supported"],
        [{ alora_invocation_tokens: [3] }, "alora_invocation_tokens is [3]: it is not supported"],
        [{ use_something_new: true }, "use_something_new is true: it is not supported"],
        [{ lora_alpha: 1e999 }, "lora_alpha is null: give a number"],
      ] as const
    ) {
      await settings(change);
      await refused(message);
    }
    // As PEFT 0.21 writes what is not used.
    await settings({
      peft_version: "0.21.2",
      auto_mapping: null,
      eva_config: null,
      init_lora_weights: "gaussian",
      loftq_config: {},
      lora_dropout: 0.1,
      megatron_core: "megatron.core",
      qalora_group_size: 16,
      trainable_token_indices: null,
      use_bdlora: null,
      use_qalora: false,
    });
    (await Policy.load(gpu, folder)).destroy();

    const weights = join(folder, "adapter_model.safetensors");
    const bytes = await Deno.readFile(weights);
    const { tensors } = decodeSafetensors(bytes, weights);
    const [name, first] = [...tensors][0]!;
    const write = (change: SafetensorsTensor, as = name) =>
      Deno.writeFile(weights, encodeSafetensors(new Map([...tensors, [as, change]])));
    await write(first, "base_model.model.lm_head.weight");
    await refused("1 tensor unexpected: base_model.model.lm_head.weight");
    const data = new Float32Array(first.data.slice().buffer);
    data[3] = NaN;
    await write({ ...first, data });
    await refused(`${name} holds NaN at element 3`);
  });
});

test.onGpu("training with LoRA changes the adapters alone; the reference is the policy without them", async (gpu) => {
  const task = tinyTask();
  const make = async () => {
    const policy = Policy.create(gpu, { ...CONFIG, vocabSize: 8 }, {
      seed: 2,
      dtype: "f16",
      trainable: false,
    });
    const trainer = await Trainer.create(policy, task, {
      maxSteps: 8,
      learningRate: 3e-2,
      promptsPerStep: 4,
      numGenerations: 8,
      beta: 0.02,
      loraRank: 4,
    });
    return { policy, trainer };
  };
  const { policy, trainer } = await make();
  const stored = await policy.parameters.readStored("model.layers.0.mlp.up_proj.weight");
  const first = await trainer.next();
  // B is zero: the policy is its reference, and A has no gradient yet.
  assert(Math.abs(first.metrics["actor/kl"]!) < 1e-6);
  let report = first;
  for (let step = 1; step < 8; step++) report = await trainer.next();
  assert((report.metrics["actor/kl"]!) > 1e-6, JSON.stringify(report.metrics));
  assertEquals(await policy.parameters.readStored("model.layers.0.mlp.up_proj.weight"), stored);
  const trained = await policy.parameters.adapters!.read();
  assert(
    [...trained].every(([name, values]) => !name.includes("lora_B") || values.some((b) => b !== 0)),
  );
  trainer.destroy();
  await assertRejects(
    () => Trainer.create(policy, task, { maxSteps: 1, learningRate: 1, beta: 1, refSyncSteps: 2 }),
    RangeError,
    "refSyncSteps is 2",
  );
  // The adapters that there are stay as they are.
  const options = { maxSteps: 1, learningRate: 1, loraRank: 4 };
  for (
    const [other, message] of [
      [{ loraRank: 3 }, "loraRank is 3, and the policy has adapters of rank 4"],
      [{ loraAlpha: 3 }, "loraAlpha is 3, and the policy has adapters of alpha 8"],
      [{ loraTargetModules: "attention" }, "loraTargetModules is attention, and the policy has"],
    ] as const
  ) {
    await assertRejects(
      () => Trainer.create(policy, task, { ...options, ...other }),
      RangeError,
      message,
    );
  }
  (await Trainer.create(policy, task, { ...options, loraAlpha: 8 })).destroy();
  policy.destroy();
});

test.onGpu("adapters with a rank or targets that make no sense are refused", (gpu) => {
  const policy = base(gpu);
  assertThrows(() => policy.addAdapters({ rank: 0 }), RangeError, "loraRank must be an integer");
  assertThrows(() => policy.addAdapters({ rank: 2, alpha: -1 }), RangeError, "loraAlpha");
  assertThrows(
    () => policy.addAdapters({ rank: 2, targetModules: ["lm_head" as "q_proj"] }),
    RangeError,
    "got lm_head",
  );
  policy.destroy();
});
