/**
 * Low-rank adapters for the policy that is to be trained.
 *
 * @module
 */

import type { Destroyable } from "../gpu/readied.ts";
import { LORA_TARGET_SETS, type ResolvedLoraOptions } from "../model/lora_options.ts";
import type { Policy } from "../model/policy.ts";
import { SETTINGS } from "./settings.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/**
 * Gives a policy the adapters that the settings ask for, unless it came with them.
 *
 * @returns What takes them away again.
 * @throws {RangeError} If it came with others, or they do not go with the other settings; nothing has been added then.
 */
export function adapt(policy: Policy, options: ResolvedTrainOptions): Destroyable {
  const { loraRank: rank, loraAlpha, loraTargetModules: targets, seed } = options;
  const { adapters } = policy.parameters;
  if (adapters && rank > 0) checkSame(adapters.options, options);
  if ((adapters || rank > 0) && options.refSyncSteps > 0) {
    throw new RangeError(
      `refSyncSteps is ${options.refSyncSteps}: with LoRA the reference is the policy without its adapters, which does ` +
        "not change; give 0",
    );
  }
  if (adapters || rank === 0) return { destroy() {} };
  const targetModules = LORA_TARGET_SETS[targets];
  policy.addAdapters({ rank, alpha: loraAlpha || undefined, targetModules, seed });
  return { destroy: () => policy.removeAdapters() };
}

/** Refuses settings that adapters which are there already do not have; those that say nothing are let pass. */
function checkSame(
  { rank, alpha, targetModules }: ResolvedLoraOptions,
  { loraRank, loraAlpha, loraTargetModules }: ResolvedTrainOptions,
): void {
  const refuse = (name: string, value: unknown, have: string) => {
    throw new RangeError(
      `${name} is ${value}, and the policy has adapters of ${have}: leave it out, or give the same`,
    );
  };
  if (loraRank !== rank) refuse("loraRank", loraRank, `rank ${rank}`);
  if (loraAlpha > 0 && loraAlpha !== alpha) refuse("loraAlpha", loraAlpha, `alpha ${alpha}`);
  const wanted: readonly string[] = LORA_TARGET_SETS[loraTargetModules];
  const differ = wanted.join() !== targetModules.join();
  if (loraTargetModules !== SETTINGS.loraTargetModules.default && differ) {
    refuse("loraTargetModules", loraTargetModules, targetModules.join(", "));
  }
}
