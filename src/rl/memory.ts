/**
 * The GPU memory of a training run, known before any of it is taken.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { host } from "../host/host.ts";
import type { Gpu } from "../gpu/device.ts";
import { checkFields, type PolicyConfigOptions } from "../model/config.ts";
import { Policy } from "../model/policy.ts";
import { type PolicyStorageOptions, STORAGE_OPTIONS } from "../model/policy_storage.ts";
import type { Task } from "../task/task.ts";
import { resolveTrainOptions } from "./resolve_options.ts";
import type { TrainOptions } from "./train_options.ts";
import { Trainer } from "./trainer.ts";

/** What a training run takes of a device. */
export interface MemoryPlan {
  /** Bytes in all. */
  readonly total: number;
  /** Bytes of the parameters, of those in 16 bits too. */
  readonly parameters: number;
  /** Bytes of their gradients and of AdamW's moments. */
  readonly optimizer: number;
  /** Bytes of everything else: caches of generation, activations, logits. */
  readonly work: number;
  /** Every buffer, the largest first. */
  readonly buffers: readonly { readonly label: string; readonly size: number }[];
}

/**
 * Plans the memory of a training run by building it on a stand-in for the device, without taking any.
 *
 * @param gpu The device it is to run on.
 * @param storage How the policy is stored.
 * @throws {RangeError} If a setting is out of range, or a tensor beyond the device's limits; the message names it.
 *
 * @example
 * ```ts
 * import { describeMemory, openGpu, parity, planMemory } from "@deltal/deltal";
 * import { assertEquals } from "@std/assert";
 *
 * const gpu = await openGpu();
 * const config = { vocabSize: 8, hiddenSize: 64, numHiddenLayers: 2 };
 * const plan = await planMemory(gpu, config, parity(), { maxSteps: 1, learningRate: 1e-3 });
 * console.log(describeMemory(plan));
 * assertEquals(plan.optimizer, 3 * plan.parameters);
 * assertEquals(gpu.counters.bytesAllocated, 0);
 * await gpu.close();
 * ```
 */
export async function planMemory(
  gpu: Gpu,
  config: PolicyConfigOptions,
  task: Task,
  options: TrainOptions,
  storage: PolicyStorageOptions = {},
): Promise<MemoryPlan> {
  checkNames("planMemory's storage", storage, STORAGE_OPTIONS);
  checkFields(config);
  resolveTrainOptions(options, task.maxCompletionLength);
  return await planOf(gpu, zeroPolicy(config, options, storage), task, options);
}

/** Makes a policy on a stand-in for a device. */
export type DryPolicy = (dry: Gpu) => Policy;

/** A policy of some shape for a run; what adapters are added to is not trained. */
export function zeroPolicy(
  config: PolicyConfigOptions,
  { loraRank = 0 }: Pick<TrainOptions, "loraRank">,
  storage: PolicyStorageOptions,
): DryPolicy {
  const frozen = loraRank > 0 ? { trainable: false } : {};
  return (dry) => Policy.zeros(dry, config, { ...storage, ...frozen });
}

/** {@linkcode planMemory} for a policy of any kind. */
export async function planOf(
  gpu: Gpu,
  make: DryPolicy,
  task: Task,
  options: TrainOptions,
): Promise<MemoryPlan> {
  const dry = gpu.rehearsal();
  const policy = make(dry);
  const parameters = dry.counters.bytesAllocated;
  const { optimizer: { firstMoment, secondMoment } } = await Trainer.create(policy, task, options);
  const optimizer = policy.trained.values.byteLength + firstMoment.byteLength +
    secondMoment.byteLength;
  const { peakBytesAllocated: total } = dry.counters;
  const { buffers } = dry;
  await dry.close();
  return { total, parameters, optimizer, work: total - parameters - optimizer, buffers };
}

/** Bytes as messages state them: `2.1 GiB`. */
export function sizeText(bytes: number): string {
  const [unit, size] = unitOf(bytes);
  return `${(bytes / size).toFixed(1)} ${unit}`;
}

function unitOf(bytes: number): [unit: string, size: number] {
  if (bytes >= 2 ** 30) return ["GiB", 2 ** 30];
  return bytes >= 2 ** 20 / 10 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
}

/** A memory plan in a line: `2.1 GiB of GPU memory: 0.4 for the parameters, …`. */
export function describeMemory(plan: MemoryPlan): string {
  const [, size] = unitOf(plan.total);
  const text = (bytes: number) => (bytes / size).toFixed(1);
  const { label, size: largest } = plan.buffers[0]!;
  return `${sizeText(plan.total)} of GPU memory: ${text(plan.parameters)} for the parameters, ` +
    `${text(plan.optimizer)} for gradients and AdamW, ${
      text(plan.work)
    } for generation and learning ` +
    `(the largest buffer, ${label}, ${text(largest)})`;
}

/** What lowers the memory of a run. */
const ADVICE =
  "lower maxTokensPerMicroBatch, promptsPerStep or maxCompletionLength, set activationCheckpointing, or take a smaller " +
  "model";

/**
 * Refuses a run that the device has no room for, by taking the planned buffers and giving them back at once.
 *
 * A software adapter takes memory of the machine, which promises more than it has: there the plan is compared with what is
 * free, if the program may ask (`--allow-sys=systemMemoryInfo`).
 *
 * @param plan What {@linkcode planMemory} found.
 * @param advice What to do where there is no room. Default: settings to lower.
 * @throws {RangeError} If there is no room, with the numbers and what to do.
 */
export async function requireMemory(
  gpu: Gpu,
  plan: MemoryPlan,
  advice: string = ADVICE,
): Promise<void> {
  const free = gpu.adapter.isFallback ? host.freeMemory() : undefined;
  if (free !== undefined && free < plan.total) {
    throw new RangeError(
      `The run needs ${describeMemory(plan)}. The machine has ${(free / 2 ** 30).toFixed(1)} ` +
        `GiB free: ${advice}`,
    );
  }
  const { device } = gpu;
  device.pushErrorScope("out-of-memory");
  const taken = plan.buffers.map(({ size, label }) =>
    device.createBuffer({ size, label, usage: GPUBufferUsage.STORAGE })
  );
  const error = await device.popErrorScope();
  for (const buffer of taken) buffer.destroy();
  if (error) {
    throw new RangeError(
      `The run needs ${describeMemory(plan)}. ${gpu.adapter.description} has no room for it: ` +
        `${advice}`,
    );
  }
}
