import { assert, assertEquals } from "@std/assert";
import { QUICK } from "../../bench/harness/measure.ts";
import { kernelCases, timeKernel } from "../../bench/suites/kernels.ts";
import { Rollout } from "../../bench/cases/rollout.ts";
import { TrainingStep } from "../../bench/cases/training_step.ts";
import { quickWorkload } from "../../bench/cases/workloads.ts";
import { test } from "../helpers/test.ts";

test.onGpu("every kernel that is measured runs, and states its work", async (gpu, t) => {
  for (const kernel of kernelCases("quick")) {
    await t.step(`${kernel.name} ${kernel.shape}`, async () => {
      const bytes = gpu.counters.bytesAllocated;
      const timing = await timeKernel(gpu, kernel, QUICK);
      assert(timing.wallMs > 0 && kernel.flops > 0 && kernel.bytes > 0);
      assertEquals(gpu.counters.bytesAllocated, bytes);
    });
  }
});

test.onGpu("an optimizer step is one submit and creates nothing", async (gpu) => {
  const { step: { policy, batch } } = quickWorkload();
  const step = await TrainingStep.create(gpu, policy, batch);
  assertEquals([step.tokens, step.usefulTokens], [2 * 3 + 12 - 4, 12]);
  step.run();
  const first = await step.wait();
  const before = { ...gpu.counters };
  step.run();
  const second = await step.wait();
  assertEquals(gpu.counters.submits - before.submits, 1);
  assertEquals(gpu.counters.buffersCreated, before.buffersCreated);
  assertEquals(gpu.counters.bindGroups, before.bindGroups);
  assert(first.gradNorm > 0, "no gradient");
  assert(second.gradNorm !== first.gradNorm, "the optimizer changed nothing");
  step.destroy();
});

test.onGpu("a rollout gives the same tokens every time and creates nothing", async (gpu) => {
  const { rollout: { policy, work } } = quickWorkload();
  const rollout = await Rollout.create(gpu, policy, work);
  const first = await rollout.run();
  const before = { ...gpu.counters };
  assertEquals(await rollout.run(), first);
  assertEquals(gpu.counters.buffersCreated, before.buffersCreated);
  assertEquals(gpu.counters.bindGroups, before.bindGroups);
  assert(first.tokens >= 4 && first.longest <= work.maxCompletionLength);
  rollout.destroy();
});
