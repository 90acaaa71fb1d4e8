/**
 * The memory of a run on a policy that exists: stated, and refused where there is no room, before anything is loaded.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import { describeMemory, planMemory, requireMemory } from "../rl/memory.ts";
import type { Task } from "../rl/task.ts";
import type { TrainOptions } from "../rl/train_options.ts";

/**
 * Plans the memory of a run and checks that the device has it.
 *
 * @param gpu The device.
 * @param dir Folder of the policy.
 * @param task The task.
 * @param options The run's settings.
 * @returns A line that states the memory.
 * @throws {RangeError} If a tensor is beyond the device's limits, or there is no room; with the numbers.
 */
export async function checkMemory(
  gpu: Gpu,
  dir: string,
  task: Task,
  options: TrainOptions,
): Promise<string> {
  using checkpoint = await loadCheckpoint(dir);
  const plan = await planMemory(gpu, checkpoint.config, task, options);
  await requireMemory(gpu, plan);
  return `needs ${describeMemory(plan)}`;
}
