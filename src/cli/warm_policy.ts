/**
 * A policy after its warm start: from the cache, or made now and kept there.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import type { KernelChoices } from "../gpu/kernel.ts";
import { Policy } from "../model/policy.ts";
import { choicesOf } from "../ops/choices.ts";
import { describeMemory, sizeText } from "../rl/memory.ts";
import { describeChoice } from "../rl/memory_budget.ts";
import { WarmStart, type WarmStartOptions } from "../rl/warm_start.ts";
import { fitWarmStart } from "../rl/warm_start_memory.ts";
import { recoverDirectory } from "../files/atomic_directory.ts";
import {
  hasWarmStart,
  isWarmStart,
  saveWarmStart,
  warmStartKey,
  type WarmStartRecipe,
} from "../run/warm_start_cache.ts";
import { numbersOf } from "../run/numbers.ts";
import { asUsageError } from "./args.ts";
import { makeFolder } from "./folders.ts";
import type { Interrupt } from "./interrupt.ts";
import { MEMORY_BUDGET_FLAG } from "./memory_flag.ts";
import { COMPILING, Progress, type ProgressOutput, whileCompiling } from "./progress.ts";
import { short } from "./style.ts";
import { RUNS } from "./runs.ts";

/** A policy and where it came from. */
export interface WarmPolicy {
  /** The policy. */
  readonly policy: Policy;
  /** Folder it is kept in. */
  readonly dir: string;
  /** Whether it was there already. */
  readonly cached: boolean;
  /** Seconds it took to make; 0 where it was there. */
  readonly seconds: number;
}

/**
 * A recipe with what its last bits depend on beside the settings: the device's numbers, and the
 * tuned kernels that it uses.
 *
 * @param gpu The device; nothing is kept on it.
 * @param recipe The recipe.
 */
export async function onDevice(gpu: Gpu, recipe: WarmStartRecipe): Promise<WarmStartRecipe> {
  return { ...recipe, kernels: await kernelsOf(gpu, recipe), numbers: await numbersOf(gpu) };
}

/**
 * {@linkcode onDevice} with what keeps the warm start within a budget of memory, or within what is free unless it is
 * there already.
 *
 * @param memoryBudget Bytes, if there is a budget.
 * @returns The recipe, and a line that states the memory where there is something to say.
 * @throws {UsageError} If it fits into no budget that was given.
 * @throws {RangeError} If there is no room.
 */
export async function withinBudget(
  gpu: Gpu,
  recipe: WarmStartRecipe,
  memoryBudget: number | undefined,
): Promise<{ recipe: WarmStartRecipe; line: string | undefined }> {
  const whole = await onDevice(gpu, recipe);
  if (memoryBudget === undefined && await isWarmStart(warmStartDirectory(whole))) {
    return { recipe: whole, line: undefined };
  }
  const make = (dry: Gpu) => Policy.zeros(dry, recipe.policy);
  const budget = { memoryBudget };
  const { plan, chosen } = await fitWarmStart(gpu, make, recipe.task, optionsOf(recipe), budget)
    .catch((error) => {
      throw memoryBudget === undefined
        ? error
        : asUsageError(error, { memoryBudget: MEMORY_BUDGET_FLAG });
    });
  const changed = Object.keys(chosen).length > 0;
  const room = memoryBudget === undefined ? "what is free" : sizeText(memoryBudget);
  const choice = changed ? `, with ${describeChoice(chosen)} to fit into ${room}` : "";
  return {
    recipe: changed ? await onDevice(gpu, { ...recipe, ...chosen }) : whole,
    line: changed || memoryBudget !== undefined
      ? `the warm start needs ${describeMemory(plan)}${choice}`
      : undefined,
  };
}

/** The tuned kernels that a warm start uses; `undefined` where there are none. */
async function kernelsOf(gpu: Gpu, recipe: WarmStartRecipe): Promise<KernelChoices | undefined> {
  if (Object.keys(gpu.kernels).length === 0) return undefined;
  const dry = gpu.rehearsal();
  await WarmStart.create(Policy.zeros(dry, recipe.policy), recipe.task, optionsOf(recipe));
  const kernels = [...choicesOf(dry)]
    .filter(([, { candidates, chosen }]) => chosen !== candidates[0])
    .map(([operation, { chosen }]) => [operation, chosen] as const)
    .sort(([a], [b]) => a < b ? -1 : 1);
  await dry.close();
  return kernels.length === 0 ? undefined : Object.fromEntries(kernels);
}

function optionsOf(recipe: WarmStartRecipe): WarmStartOptions {
  const { steps, batchSize, learningRate, seed } = recipe;
  const { maxTokensPerMicroBatch, activationCheckpointing } = recipe;
  return {
    steps,
    batchSize,
    learningRate,
    seed,
    ...(maxTokensPerMicroBatch !== undefined && { maxTokensPerMicroBatch }),
    ...(activationCheckpointing !== undefined && { activationCheckpointing }),
  };
}

/** Where the warm start of a recipe is kept unless told otherwise. */
export function warmStartDirectory(recipe: WarmStartRecipe): string {
  return join(RUNS, "warm-start", warmStartKey(recipe));
}

/**
 * Fetches or makes a warm start.
 *
 * @param recipe What to make.
 * @param tools Where to show progress, and what may interrupt it.
 * @param dir Where it is kept.
 * @returns `undefined` if it was interrupted; then nothing is kept.
 * @throws {Error} If `dir` holds something else or something damaged.
 */
export async function warmPolicy(
  gpu: Gpu,
  recipe: WarmStartRecipe,
  tools: { readonly output: ProgressOutput; readonly interrupt: Interrupt },
  dir: string = warmStartDirectory(recipe),
): Promise<WarmPolicy | undefined> {
  await recoverDirectory(dir);
  if (await hasWarmStart(dir, recipe)) {
    return { policy: await Policy.load(gpu, dir), dir, cached: true, seconds: 0 };
  }
  await using _folder = await makeFolder(dirname(dir));
  const start = performance.now();
  const { steps, embeddingStd, seed } = recipe;
  const policy = recipe.from
    ? await Policy.load(gpu, recipe.from.dir)
    : Policy.create(gpu, recipe.policy, { seed, embeddingStd });
  const warmStart = await whileCompiling(
    tools.output,
    gpu,
    () => WarmStart.create(policy, recipe.task, optionsOf(recipe)),
  );
  const progress = new Progress(tools.output, "warm start", steps, 0, COMPILING);
  let loss = NaN;
  try {
    while (warmStart.completedSteps < steps) {
      if (await tools.interrupt.requested()) {
        policy.destroy();
        return undefined;
      }
      const report = await warmStart.next();
      loss = report.loss;
      progress.update(report.step, `loss ${short(loss)}`);
    }
  } finally {
    progress.clear();
    warmStart.destroy();
  }
  await saveWarmStart(dir, recipe, policy, loss);
  return { policy, dir, cached: false, seconds: (performance.now() - start) / 1000 };
}
