/**
 * The memory of a run: chosen within a budget, stated, and refused where there is no room, before anything is loaded or
 * computed.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { PolicyConfig } from "../model/config.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import type { LoraOptions } from "../model/lora_options.ts";
import { readLoraFolder } from "../model/lora_folder.ts";
import { Policy } from "../model/policy.ts";
import type { PolicyStorageOptions } from "../model/policy_storage.ts";
import { describeMemory, sizeText } from "../rl/memory.ts";
import { describeChoice, fitMemory } from "../rl/memory_budget.ts";
import { asUsageError, flagNames } from "./args.ts";
import { TRAIN_FLAGS } from "./train_flags.ts";
import type { TrainSettings } from "./train_settings.ts";

/** What {@linkcode withinMemory} found. */
export interface Fitted<Settings> {
  /** The settings, with what was chosen. */
  readonly settings: Settings;
  /** A line that states the memory. */
  readonly line: string;
  /** Whether anything was chosen. */
  readonly changed: boolean;
}

/**
 * Plans the memory of a run, chooses what keeps it within its budget or what there is, and checks that the device has it.
 *
 * @param settings The run's.
 * @param storage How the policy is stored.
 * @throws {RangeError} If a tensor is beyond the device's limits, or there is no room; with the numbers.
 * @throws {UsageError} The same, for a policy of flags or a budget of them; or for settings that do not fit together.
 */
export async function withinMemory<Settings extends TrainSettings>(
  gpu: Gpu,
  settings: Settings,
  storage: PolicyStorageOptions,
): Promise<Fitted<Settings>> {
  const { task, options, memoryBudget, fixed } = settings;
  const { config, lora } = await shapeOf(settings);
  const policy = (dry: Gpu) => {
    const policy = Policy.zeros(dry, config, storage);
    if (lora) policy.addAdapters(lora);
    return policy;
  };
  try {
    const budget = { memoryBudget, fixed, begun: settings.kind === "resumed" };
    const { plan, chosen, options: fitting } = await fitMemory(gpu, policy, task, options, budget);
    const changed = Object.keys(chosen).length > 0;
    const choice = !changed
      ? ""
      : `, with ${flagNames(describeChoice(chosen), TRAIN_FLAGS)} to fit into ${
        memoryBudget === undefined ? "what is free" : sizeText(memoryBudget)
      }`;
    return {
      settings: { ...settings, options: fitting },
      line: `needs ${describeMemory(plan)}${choice}`,
      changed,
    };
  } catch (error) {
    const ofFlags = memoryBudget !== undefined ||
      (settings.kind === "new" && settings.source.kind !== "folder");
    if (ofFlags || !(error instanceof RangeError)) throw asUsageError(error, TRAIN_FLAGS);
    throw new RangeError(flagNames(error.message, TRAIN_FLAGS), { cause: error });
  }
}

/** The policy that a run trains, before it is there. */
async function shapeOf(
  settings: TrainSettings,
): Promise<{ config: PolicyConfig; lora?: LoraOptions | undefined }> {
  const source = settings.kind === "resumed"
    ? { kind: "folder", dir: settings.checkpoint } as const
    : settings.source;
  if (source.kind === "random") return { config: source.config };
  if (source.kind === "warmStart") return { config: source.recipe.policy };
  const adapted = await readLoraFolder(source.dir);
  using checkpoint = await loadCheckpoint(adapted?.base ?? source.dir);
  return { config: checkpoint.config, lora: adapted?.options };
}
