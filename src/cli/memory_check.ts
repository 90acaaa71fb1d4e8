/**
 * The memory of a run: stated, and refused where there is no room, before anything is loaded or computed.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { PolicyConfig } from "../model/config.ts";
import type { PolicyStorageOptions } from "../model/policy_storage.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import { readLoraFolder } from "../model/lora_folder.ts";
import { describeMemory, planMemory, requireMemory } from "../rl/memory.ts";
import type { Task } from "../task/task.ts";
import type { TrainOptions } from "../rl/train_options.ts";

/**
 * Plans the memory of a run on a policy that exists and checks that the device has it.
 *
 * @param dir Folder of the policy.
 * @param storage How the policy is stored.
 * @returns A line that states the memory.
 * @throws {RangeError} If a tensor is beyond the device's limits, or there is no room; with the numbers.
 */
export async function checkMemory(
  gpu: Gpu,
  dir: string,
  task: Task,
  options: TrainOptions,
  storage: PolicyStorageOptions,
): Promise<string> {
  const adapted = await readLoraFolder(dir);
  using checkpoint = await loadCheckpoint(adapted?.base ?? dir);
  return await checkMemoryOf(gpu, checkpoint.config, task, options, storage);
}

/**
 * Plans the memory of a run on a policy of some shape and checks that the device has it.
 *
 * @param storage How the policy is stored.
 * @returns A line that states the memory.
 * @throws {RangeError} As {@linkcode checkMemory} does, or if the settings do not fit together.
 */
export async function checkMemoryOf(
  gpu: Gpu,
  config: PolicyConfig,
  task: Task,
  options: TrainOptions,
  storage: PolicyStorageOptions,
): Promise<string> {
  const plan = await planMemory(gpu, config, task, options, storage);
  await requireMemory(gpu, plan);
  return `needs ${describeMemory(plan)}`;
}
