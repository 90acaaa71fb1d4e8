import { assert, assertEquals } from "@std/assert";
import { readTensor } from "../../src/gpu/submit.ts";
import { WarmStart, type WarmStartOptions } from "../../src/rl/warm_start.ts";
import { test } from "../helpers/test.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

test.onGpu("a warm start takes memory for its batch, and the same bits come of larger passes", async (gpu) => {
  const task = tinyTask();
  const learn = async (change: Partial<WarmStartOptions> = {}) => {
    const policy = tinyPolicy(gpu, task);
    const before = gpu.counters.bytesAllocated;
    const settings = { ...task.defaults.warmStart, steps: 3, ...change };
    const warmStart = await WarmStart.create(policy, task, settings);
    const bytes = gpu.counters.bytesAllocated - before;
    while (warmStart.completedSteps < 3) await warmStart.next();
    const values = await readTensor(gpu, policy.parameters.values);
    warmStart.destroy();
    policy.destroy();
    return { bytes, values };
  };
  const { batchSize } = task.defaults.warmStart;
  const whole = batchSize * (task.maxPromptLength + task.maxCompletionLength);
  const exact = await learn({ maxTokensPerMicroBatch: whole });
  const usual = await learn();
  assertEquals(usual.values, exact.values);
  assert(usual.bytes <= exact.bytes, `${usual.bytes} bytes, of which ${exact.bytes} are needed`);
  const split = await learn({ maxTokensPerMicroBatch: 16 });
  assert(split.bytes < usual.bytes);
});
