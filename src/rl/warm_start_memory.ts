/**
 * Settings of a warm start that keep it within a budget of memory.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Task } from "../task/task.ts";
import { type DryPolicy, type MemoryPlan, requireMemory, sizeText } from "./memory.ts";
import {
  type ChosenForMemory,
  describeChoice,
  hasRoom,
  type MemoryBudget,
  memoryChoices,
} from "./memory_budget.ts";
import { MEMORY_SETTINGS } from "./memory_settings.ts";
import { MICRO_BATCH, WarmStart, type WarmStartOptions } from "./warm_start.ts";

/** A warm start that fits. */
export interface FittedWarmStart {
  /** What it takes. */
  readonly plan: MemoryPlan;
  /** What was chosen; empty where it fits as it is. */
  readonly chosen: ChosenForMemory;
}

/** What to do where nothing fits. */
const ADVICE = "take a smaller policy, or give --policy one that was warmed up elsewhere";

/**
 * Chooses settings that keep a warm start within a budget of memory, before any of it is taken, in the order of
 * `fitMemory`. None of it changes the result beyond rounding. The same bytes give the same choice.
 *
 * @param policy Makes the policy, without weights, on a stand-in for the device.
 * @param options The warm start's settings.
 * @throws {RangeError} If nothing fits, with the least that would.
 */
export async function fitWarmStart(
  gpu: Gpu,
  policy: DryPolicy,
  task: Task,
  options: WarmStartOptions,
  { memoryBudget }: Pick<MemoryBudget, "memoryBudget">,
): Promise<FittedWarmStart> {
  const whole = { maxTokensPerMicroBatch: MICRO_BATCH, ...options };
  const longest = Math.max(
    task.maxPromptLength + task.maxCompletionLength,
    MEMORY_SETTINGS.maxTokensPerMicroBatch.min,
  );
  let least: FittedWarmStart | undefined;
  for (const chosen of memoryChoices(whole, longest)) {
    const plan = await planWarmStart(gpu, policy, task, { ...options, ...chosen });
    const fits = memoryBudget === undefined ? await hasRoom(gpu, plan) : plan.total <= memoryBudget;
    if (fits) return { plan, chosen };
    if (!least || plan.total < least.plan.total) least = { plan, chosen };
  }
  if (memoryBudget === undefined) {
    await requireMemory(gpu, least!.plan, ADVICE);
    return least!; // There is room by now.
  }
  throw new RangeError(
    `memoryBudget is ${sizeText(memoryBudget)}, and the warm start needs ` +
      `${sizeText(least!.plan.total)} with ${describeChoice(least!.chosen)}: ${ADVICE}`,
  );
}

/** The memory of a warm start, found by building it on a stand-in for the device. */
export async function planWarmStart(
  gpu: Gpu,
  make: DryPolicy,
  task: Task,
  options: WarmStartOptions,
): Promise<MemoryPlan> {
  const dry = gpu.rehearsal();
  const policy = make(dry);
  const parameters = dry.counters.bytesAllocated;
  await WarmStart.create(policy, task, options);
  // Gradients and two moments, all float32.
  const optimizer = 3 * policy.trained.values.byteLength;
  const { peakBytesAllocated: total } = dry.counters;
  const { buffers } = dry;
  await dry.close();
  return { total, parameters, optimizer, work: total - parameters - optimizer, buffers };
}
