import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { countParameters, resolveConfig } from "../../src/model/config.ts";
import { Policy } from "../../src/model/policy.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { describeMemory, planMemory, requireMemory } from "../../src/rl/memory.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { paperDevice, QWEN } from "../helpers/paper_device.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

const OPTIONS = { maxSteps: 1, learningRate: 1e-3, promptsPerStep: 4, numGenerations: 4 };

/** A task for a tokenizer, with prompts and completions of some hundred tokens. */
const longTask = defineTask({
  name: "long",
  tokenizer: symbolTokenizer("ab"),
  prompts: ["a"],
  verify: () => 0,
  maxPromptLength: 256,
  maxCompletionLength: 768,
});

Deno.test("planMemory() foresees every byte of a trainer, and takes none", async () => {
  const task = tinyTask();
  for (
    const more of <Partial<TrainOptions>[]> [{}, { beta: 0.1, activationCheckpointing: true }, {
      maxTokensPerMicroBatch: 64,
      miniBatchSize: 8,
      optimizerDtype: "bf16",
    }]
  ) {
    const gpu = await openGpu();
    const options = { ...OPTIONS, ...more };
    const { config } = tinyPolicy(gpu.rehearsal(), task);
    const plan = await planMemory(gpu, config, task, options);
    assertEquals(gpu.counters.bytesAllocated, 0);
    await requireMemory(gpu, plan);

    const policy = tinyPolicy(gpu, task);
    assertEquals(gpu.counters.bytesAllocated, plan.parameters);
    const trainer = await Trainer.create(policy, task, options);
    assertEquals(gpu.counters.bytesAllocated, plan.total);
    assertEquals(plan.buffers.reduce((n, { size }) => n + size, 0), plan.total);
    assertEquals(plan.parameters + plan.optimizer + plan.work, plan.total);
    trainer.destroy();
    policy.destroy();
    // The table of rotary frequencies belongs to the device.
    assertEquals(gpu.buffers.map(({ label }) => label.split(".")[0]), ["rope"]);
    await gpu.close();
  }
});

Deno.test("logits wait for the backward pass, but not under activation checkpointing", async () => {
  const gpu = await paperDevice({});
  const config = { vocabSize: 4096, hiddenSize: 16, numHiddenLayers: 1 };
  // 8192 x 4096 logits are two ranges of 64 MiB.
  const ranges = async (activationCheckpointing: boolean) => {
    const options = { ...OPTIONS, maxTokensPerMicroBatch: 8192, activationCheckpointing };
    const { buffers } = await planMemory(gpu, config, longTask, options);
    return buffers.filter(({ size }) => size === 2 ** 26).length;
  };
  assertEquals([await ranges(false), await ranges(true)], [2, 1]);
});

Deno.test("planMemory() states what Qwen2.5-0.5B takes, with logits the device can bind", async () => {
  const gpu = await paperDevice({});
  const options = { ...OPTIONS, numGenerations: 8 };
  const plan = await planMemory(gpu, QWEN, longTask, options);
  // 494 million parameters, each with a gradient and two moments.
  assertEquals(Math.round(plan.parameters / 4e6), 494);
  assert(plan.total > 16 * 2 ** 30, describeMemory(plan));
  assert(plan.buffers[0]!.size <= 2 ** 31 - 1);
  assertMatch(
    describeMemory(plan),
    /^\d+\.\d GiB of GPU memory: 1\.8 for the parameters, 5\.5 for gradients and AdamW, \d+\.\d for generation and learning \(the largest buffer, .*\)$/,
  );
  const smaller = await planMemory(gpu, QWEN, longTask, {
    ...options,
    maxTokensPerMicroBatch: 1024,
  });
  assert(smaller.total < plan.total);
  // Moments of two bytes in place of four, and nothing else.
  const short = await planMemory(gpu, QWEN, longTask, { ...options, optimizerDtype: "bf16" });
  assertEquals(plan.total - short.total, plan.optimizer / 3);
  assertEquals(short.optimizer, plan.optimizer * 2 / 3);
});

Deno.test("a policy beyond the device's limits is refused by name, before anything is allocated", async () => {
  const narrow = await paperDevice({ maxStorageBufferBindingSize: 2 ** 27 });
  // The embedding and the head are used in ranges.
  const plan = await planMemory(narrow, QWEN, longTask, OPTIONS);
  assert(plan.buffers[0]!.size > 2 ** 27);
  assertEquals(narrow.counters.buffersCreated, 0);
  const narrower = await paperDevice({ maxStorageBufferBindingSize: 20 * 2 ** 20 });
  const message =
    "model.layers.0.mlp.gate_proj.weight with up_proj [9728, 896] has 34 MiB in f32, and " +
    "unnamed adapter binds at most 20 MiB";
  assertThrows(() => Policy.zeros(narrower, QWEN), RangeError, message);
  await assertRejects(() => planMemory(narrower, QWEN, longTask, OPTIONS), RangeError, message);
  for (const storage of [{}, { dtype: "f16" } as const]) {
    assertThrows(() => Policy.zeros(narrower, QWEN, storage), RangeError, "has 34 MiB in f32");
  }
  assertEquals(narrower.counters.buffersCreated, 0);
  const asked = { dtype: "f16", trainable: false } as const;
  Policy.zeros(narrower, QWEN, asked);
  assert(narrower.counters.bytesAllocated < 2.01 * countParameters(resolveConfig(QWEN)));
  // What is larger than a buffer is in several.
  const small = await paperDevice({ maxBufferSize: 2 ** 28 });
  const cut = await planMemory(small, QWEN, longTask, { ...OPTIONS, maxTokensPerMicroBatch: 1024 });
  assert(cut.buffers[0]!.size <= 2 ** 28, describeMemory(cut));
  assert(cut.parameters >= 4 * countParameters(resolveConfig(QWEN)));
  const tiny = await paperDevice({ maxBufferSize: 2 ** 18 });
  assertThrows(
    () => Policy.zeros(tiny, { vocabSize: 8, hiddenSize: 64, numHiddenLayers: 500 }),
    RangeError,
    "norms and biases have 1 MiB in f32, and unnamed adapter binds at most 1 MiB (maxBufferSize)",
  );

  // So many gates that those of one prompt and completion are more than the device binds; a vocabulary never is.
  const large = { vocabSize: 100000, hiddenSize: 64, numHiddenLayers: 1 };
  await planMemory(narrow, { ...large, maxPositionEmbeddings: 2048 }, longTask, OPTIONS);
  const wide = {
    vocabSize: 40000,
    hiddenSize: 64,
    intermediateSize: 20000,
    numHiddenLayers: 1,
    maxPositionEmbeddings: 2048,
  };
  await assertRejects(
    () => planMemory(narrow, wide, longTask, OPTIONS),
    RangeError,
    "1024 tokens have activations that unnamed adapter cannot bind, at most 838 tokens",
  );
});

Deno.test("requireMemory() refuses with the numbers what the device has no room for", async () => {
  const gpu = await paperDevice({});
  const plan = await planMemory(gpu, QWEN, longTask, OPTIONS);
  await requireMemory(gpu, plan);
  const full = { ...gpu.device, popErrorScope: () => Promise.resolve({ message: "no room" }) };
  const fullGpu = await Gpu.fromDevice(full as unknown as GPUDevice);
  await assertRejects(
    () => requireMemory(fullGpu, plan),
    RangeError,
    `needs ${
      describeMemory(plan)
    }. unnamed adapter has no room for it: lower maxTokensPerMicroBatch`,
  );
});
