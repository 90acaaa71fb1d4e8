import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { host } from "../../src/host/host.ts";
import { planMemory, zeroPolicy } from "../../src/rl/memory.ts";
import { fitMemory } from "../../src/rl/memory_budget.ts";
import { WarmStart } from "../../src/rl/warm_start.ts";
import { fitWarmStart, planWarmStart } from "../../src/rl/warm_start_memory.ts";
import { train } from "../../src/rl/train.ts";
import { paperDevice, QWEN } from "../helpers/paper_device.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const GIB = 2 ** 30;

/** Qwen2.5-0.5B with four layers. */
const SHALLOW = { ...QWEN, numHiddenLayers: 4 };

/** 8 prompts of 128 tokens with 8 responses of 512. */
const TASK = tinyTask({ maxPromptLength: 128, maxCompletionLength: 512 });
const OPTIONS = { maxSteps: 1, learningRate: 1e-6, promptsPerStep: 8, numGenerations: 8 };

Deno.test("fitMemory() gives up time for memory in the order it states, and no more than needed", async () => {
  const gpu = await paperDevice({});
  const fit = (memoryBudget: number, more = {}) =>
    fitMemory(gpu, zeroPolicy(SHALLOW, {}, {}), TASK, { ...OPTIONS, ...more }, { memoryBudget });
  const steps: [gib: number, chosen: object, more?: object][] = [
    [6, {}],
    [4, { maxTokensPerMicroBatch: 2048 }],
    // With activations computed again there is room for more tokens at once.
    [3.3, { maxTokensPerMicroBatch: 2048, activationCheckpointing: true }],
    [2.7, { maxTokensPerMicroBatch: 1024 }, { optimizerDtype: "bf16" }],
    // What was asked for stays.
    [4.1, { activationCheckpointing: true }, { maxTokensPerMicroBatch: 8192 }],
    [3.3, { maxTokensPerMicroBatch: 640 }, { activationCheckpointing: false }],
  ];
  for (const [gib, chosen, more] of steps) {
    const fitted = await fit(gib * GIB, more);
    assertEquals(fitted.chosen, chosen, `${gib} GiB`);
    assert(fitted.plan.total <= gib * GIB);
    assertEquals((await planMemory(gpu, SHALLOW, TASK, fitted.options)).total, fitted.plan.total);
  }
  const tooLittle = (more = {}) => assertRejects(() => fit(3 * GIB, more), RangeError);
  assertMatch(
    (await tooLittle()).message,
    /^memoryBudget is 3\.0 GiB, and the run needs 3\.\d GiB with maxTokensPerMicroBatch 640 and activationCheckpointing: optimizerDtype "bf16" would do, \d\.\d GiB$/,
  );
  assertMatch(
    (await assertRejects(() => fit(GIB), RangeError)).message,
    /lower promptsPerStep, .* smaller model$/,
  );
  assertEquals(gpu.counters.bytesAllocated, 0);
});

Deno.test("fitWarmStart() goes the same way, and plans what is then taken", async () => {
  const gpu = await paperDevice({});
  const make = zeroPolicy(SHALLOW, {}, {});
  const options = { steps: 1, batchSize: 16, learningRate: 1e-3 };
  const task = { ...TASK, demonstration: tinyTask().demonstration! };
  const fit = (gib: number) => fitWarmStart(gpu, make, task, options, { memoryBudget: gib * GIB });
  const choices = [];
  for (const gib of [6, 4, 3.3]) {
    const { chosen, plan } = await fit(gib);
    choices.push(chosen);
    assert(plan.total <= gib * GIB);
    const planned = await planWarmStart(gpu, make, task, { ...options, ...chosen });
    assertEquals(planned.total, plan.total);
  }
  assertEquals(choices, [
    {},
    { maxTokensPerMicroBatch: 2048 },
    { maxTokensPerMicroBatch: 2048, activationCheckpointing: true },
  ]);
  assertMatch(
    (await assertRejects(() => fit(1), RangeError)).message,
    /^memoryBudget is 1\.0 GiB, and the warm start needs \d\.\d GiB with maxTokensPerMicroBatch 640 and activationCheckpointing: /,
  );
  assertEquals(gpu.counters.bytesAllocated, 0);
});

test.onGpu("a warm start whose activations are computed again gives the same bytes, of less memory", async (gpu) => {
  const task = tinyTask();
  const weights = [];
  for (const activationCheckpointing of [false, true]) {
    const policy = tinyPolicy(gpu, task);
    const options = { steps: 2, batchSize: 8, learningRate: 1e-2, activationCheckpointing };
    const before = gpu.counters.bytesAllocated;
    const warmStart = await WarmStart.create(policy, task, options);
    const bytes = gpu.counters.bytesAllocated - before;
    for (let step = 0; step < 2; step++) await warmStart.next();
    weights.push([await policy.parameters.read(), bytes] as const);
    warmStart.destroy();
    policy.destroy();
  }
  const [[kept, whole], [again, less]] = weights as [typeof weights[0], typeof weights[0]];
  assertEquals(again, kept);
  assert(less! < whole!, `${less} for ${whole}`);
});

Deno.test("without a budget a software adapter keeps to the memory that is free", async () => {
  const gpu = await paperDevice({});
  const software = new Proxy(gpu, {
    get: (target, key) =>
      key === "adapter"
        ? { ...target.adapter, isFallback: true }
        : Reflect.get(target, key, target),
  });
  const { freeMemory } = host;
  const fit = () =>
    fitMemory(software, zeroPolicy({ vocabSize: 8 }, {}, {}), tinyTask(), OPTIONS, {});
  try {
    const { plan, chosen } = await fit();
    assertEquals(chosen, {});
    Object.assign(host, { freeMemory: () => plan.total - 1 });
    assertEquals((await fit()).chosen, { maxTokensPerMicroBatch: 4096 });
    Object.assign(host, { freeMemory: () => 2 ** 20 });
    assertMatch(
      (await assertRejects(fit, RangeError)).message,
      /^The run needs .* The machine has 0\.0 GiB free: lower promptsPerStep/,
    );
  } finally {
    Object.assign(host, { freeMemory });
  }
});

test.onGpu("train() keeps to a budget of memory", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const { total } = await planMemory(gpu, policy.config, task, OPTIONS);
  const memoryBudget = total / 4;
  for await (const { metrics } of train({ policy, task, ...OPTIONS, memoryBudget })) {
    assert(Number.isFinite(metrics["actor/grad_norm"]));
  }
  assert(gpu.counters.peakBytesAllocated <= memoryBudget, `${gpu.counters.peakBytesAllocated}`);
  policy.destroy();
});
