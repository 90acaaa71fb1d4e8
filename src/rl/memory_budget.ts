/**
 * Settings of a run that keep it within a budget of memory.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Task } from "../task/task.ts";
import { type DryPolicy, type MemoryPlan, planOf, requireMemory, sizeText } from "./memory.ts";
import { MEMORY_SETTINGS } from "./memory_settings.ts";
import { resolveTrainOptions } from "./resolve_options.ts";
import type { TrainOptions } from "./train_options.ts";

/** Settings that a budget may change; neither changes the result beyond rounding. */
export type ChosenForMemory = Pick<
  TrainOptions,
  "maxTokensPerMicroBatch" | "activationCheckpointing"
>;

const CHOICES: readonly string[] = ["maxTokensPerMicroBatch", "activationCheckpointing"];

/** A run that fits. */
export interface FittedMemory<Options> {
  /** The settings, with what was chosen. */
  readonly options: Options & ChosenForMemory;
  /** What it takes. */
  readonly plan: MemoryPlan;
  /** What was chosen. */
  readonly chosen: ChosenForMemory;
}

/** What a run has to keep to. */
export interface MemoryBudget {
  /**
   * Bytes. Default: what is free, where that is known (a software adapter takes the machine's memory); else as much as the
   * device hands out when asked for it.
   */
  readonly memoryBudget?: number | undefined;
  /** Names of settings that stay as they are. Default: those of the options that are given. */
  readonly fixed?: readonly string[];
  /** Whether the run has begun, so that only what may change on the way is advised. Default `false`. */
  readonly begun?: boolean;
}

/** What is left to change in a run that has begun. */
const BEGUN_ADVICE =
  "lower maxTokensPerMicroBatch or set activationCheckpointing where that is not done yet, or free memory; a run that has " +
  "begun keeps its other settings";

/** Fewer tokens than this at once leave a graphics processor idle. */
const BUSY_TOKENS = 1024;

/**
 * Chooses settings that keep a training run within a budget of memory, before any of it is taken, in this order: as they
 * are; micro-batches of half the tokens, and half of that, down to 1024 (more passes over the weights);
 * `activationCheckpointing` (a third more products) with as many tokens as possible, down to those of the longest prompt and
 * completion. None of it changes the result beyond rounding. The same bytes give the same choice.
 *
 * @param policy Makes the policy, without weights, on a stand-in for the device.
 * @param options The run's settings; those given are kept.
 * @param budget How much there is.
 * @throws {RangeError} If nothing fits, with the least that would, and what else to change.
 */
export async function fitMemory<Options extends TrainOptions>(
  gpu: Gpu,
  policy: DryPolicy,
  task: Task,
  options: Options,
  { memoryBudget, fixed = givenNames(options), begun = false }: MemoryBudget,
): Promise<FittedMemory<Options>> {
  const room = (plan: MemoryPlan) =>
    memoryBudget === undefined ? hasRoom(gpu, plan) : plan.total <= memoryBudget;
  let least: FittedMemory<Options> | undefined;
  for (const chosen of candidates(options, task, fixed)) {
    const settings = { ...options, ...chosen };
    const plan = await planOf(gpu, policy, task, settings);
    const fitted = { options: settings, plan, chosen };
    if (await room(plan)) return fitted;
    if (!least || plan.total < least.plan.total) least = fitted;
  }
  // Where nothing may be chosen, what could be is the advice.
  const advice = begun
    ? BEGUN_ADVICE
    : memoryBudget === undefined && CHOICES.every((name) => fixed.includes(name))
    ? undefined
    : await otherWays(gpu, policy, task, least!.options, room);
  if (memoryBudget === undefined) {
    await requireMemory(gpu, least!.plan, advice);
    return least!; // There is room by now.
  }
  throw new RangeError(
    `memoryBudget is ${sizeText(memoryBudget)}, and the run needs ${
      sizeText(least!.plan.total)
    } with ` +
      `${describeChoice(least!.options)}: ${advice}`,
  );
}

function givenNames(options: TrainOptions): string[] {
  return Object.entries(options).filter(([, value]) => value !== undefined).map(([name]) => name);
}

/** Whether a device has room for a plan, without a budget. */
export async function hasRoom(gpu: Gpu, plan: MemoryPlan): Promise<boolean> {
  try {
    await requireMemory(gpu, plan);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** What to try for a run, the cheapest in time first. */
function candidates(
  options: TrainOptions,
  task: Task,
  fixed: readonly string[],
): Generator<ChosenForMemory> {
  const resolved = resolveTrainOptions(options, task.maxCompletionLength);
  const { min } = MEMORY_SETTINGS.maxTokensPerMicroBatch;
  const longest = Math.max(task.maxPromptLength + resolved.maxCompletionLength, min);
  return memoryChoices(resolved, longest, fixed);
}

/**
 * What lowers the memory of training, the cheapest in time first, beginning with nothing.
 *
 * @param options The settings to begin with.
 * @param longest Tokens of the longest prompt and completion.
 * @param fixed Names of settings that stay as they are. Default: none.
 */
export function* memoryChoices(
  { maxTokensPerMicroBatch, activationCheckpointing = false }: ChosenForMemory & {
    readonly maxTokensPerMicroBatch: number;
  },
  longest: number,
  fixed: readonly string[] = [],
): Generator<ChosenForMemory> {
  yield {};
  const mayCut = !fixed.includes("maxTokensPerMicroBatch");
  const tokens = function* (least: number): Generator<ChosenForMemory> {
    let now = maxTokensPerMicroBatch;
    while (mayCut && now > least) {
      now = Math.max(least, Math.floor(now / 2));
      yield { maxTokensPerMicroBatch: now };
    }
  };
  yield* tokens(Math.max(longest, BUSY_TOKENS));
  if (activationCheckpointing) return yield* tokens(longest);
  if (fixed.includes("activationCheckpointing")) return yield* tokens(longest);
  yield { activationCheckpointing: true };
  for (const fewer of tokens(longest)) yield { ...fewer, activationCheckpointing: true };
}

/** What to change where nothing fits that leaves the result alone; first what would do. */
async function otherWays(
  gpu: Gpu,
  policy: DryPolicy,
  task: Task,
  options: TrainOptions,
  room: (plan: MemoryPlan) => boolean | Promise<boolean>,
): Promise<string> {
  const adapts = (options.loraRank ?? 0) > 0;
  const ways: [name: string, change: Partial<TrainOptions>][] = [
    ...(options.optimizerDtype === "bf16" || adapts
      ? []
      : [[`optimizerDtype "bf16"`, { optimizerDtype: "bf16" }] as const]),
    ...(adapts ? [] : [["loraRank 16", { loraRank: 16 }] as const]),
  ].map(([name, change]) => [name, { ...options, ...change }]);
  for (const [name, settings] of ways) {
    const plan = await planOf(gpu, policy, task, settings as TrainOptions);
    if (await room(plan)) return `${name} would do, ${sizeText(plan.total)}`;
  }
  return "lower promptsPerStep, numGenerations or maxCompletionLength, set loraRank, or take a smaller model";
}

/** Settings as a line names them. */
export function describeChoice(
  { maxTokensPerMicroBatch, activationCheckpointing }: ChosenForMemory,
): string {
  return [
    ...(maxTokensPerMicroBatch === undefined
      ? []
      : [`maxTokensPerMicroBatch ${maxTokensPerMicroBatch}`]),
    ...(activationCheckpointing ? ["activationCheckpointing"] : []),
  ].join(" and ") || "the settings as they are";
}
