/**
 * The operations of a policy that have several kernels, found without running anything.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { PolicyConfigOptions } from "../model/config.ts";
import { choicesOf, type KernelChoice } from "../ops/choices.ts";
import { Policy } from "../model/policy.ts";
import type { PolicyStorageOptions } from "../model/policy_storage.ts";
import type { Task } from "../task/task.ts";
import { Trainer } from "../rl/trainer.ts";
import type { TrainOptions } from "../rl/train_options.ts";
import { WarmStart, type WarmStartOptions } from "../rl/warm_start.ts";

/** An operation and the names of the kernels that compute it, the built-in choice first. */
export type TunableOperation = Pick<KernelChoice, "key" | "candidates">;

/**
 * Lists what training a policy runs that has several kernels: rollouts, updates, and the warm start.
 *
 * @param gpu The device; nothing is allocated on it.
 * @param options Settings of the run.
 * @param warmStart Settings of its warm start; `undefined` if it has none.
 * @param storage `dtype` the policy is stored in; the warm start is always in f32.
 */
export async function tunableOperations(
  gpu: Gpu,
  config: PolicyConfigOptions,
  task: Task,
  options: TrainOptions,
  warmStart?: WarmStartOptions,
  storage: PolicyStorageOptions = {},
): Promise<TunableOperation[]> {
  const dry = gpu.rehearsal();
  await Trainer.create(Policy.zeros(dry, config, storage), task, options);
  if (warmStart) await WarmStart.create(Policy.zeros(dry, config), task, warmStart);
  const found = [...choicesOf(dry).values()];
  await dry.close();
  return found;
}
