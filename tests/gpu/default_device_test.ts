/** A device with the limits and features that every WebGPU device has. */

import { assert, assertEquals } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { readTensor } from "../../src/gpu/submit.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

Deno.test("a policy trains on a device with WebGPU's default limits", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice();
  assertEquals(device.limits.maxStorageBuffersPerShaderStage, 8);
  const gpu = await openGpu({ device });
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const { values } = policy.parameters;
  const before = await readTensor(gpu, values);
  const trainer = await Trainer.create(policy, task, {
    maxSteps: 1,
    learningRate: 1e-2,
    promptsPerStep: 2,
    numGenerations: 4,
    beta: 0.1,
    entropyCoef: 0.01,
  });
  const { metrics } = await trainer.next();
  assert(Number.isFinite(metrics["actor/grad_norm"]!));
  assert((await readTensor(gpu, values)).some((value, i) => value !== before[i]));
  gpu.check();
  await gpu.close();
  device.destroy();
});
