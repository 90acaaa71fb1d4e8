/**
 * The policy that a command looks at: a checkpoint, or a task's warm start.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Policy } from "../model/policy.ts";
import type { Task } from "../task/task.ts";
import type { FlagValues } from "./args.ts";
import { findCheckpoint, type RecordedSettings, settingsOf } from "./checkpoint.ts";
import { type DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { findTask } from "./find_task.ts";
import type { Interrupt } from "./interrupt.ts";
import { newPolicyConfig } from "./policy_size.ts";
import type { ProgressOutput } from "./progress.ts";
import type { SIZE_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";
import { warmStartRecipe } from "./policy_source.ts";
import { onDevice, warmPolicy } from "./warm_policy.ts";

/** What says which policy to look at. */
export type PolicyToStudyValues =
  & FlagValues<typeof WARM_START_FLAGS>
  & FlagValues<typeof SIZE_FLAGS>
  & FlagValues<typeof DATASET_FLAGS>
  & { readonly checkpoint?: string; readonly task?: string };

/** A policy, its task, and the folder it is from. */
export interface PolicyToStudy {
  /** The policy. */
  readonly policy: Policy;
  /** The task. */
  readonly task: Task;
  /** Folder of the weights. */
  readonly checkpoint: string;
  /** What the run it belongs to was trained with, otherwise the defaults. */
  readonly recorded: RecordedSettings;
}

/** Seed of the warm starts that nobody chose another for, as `train` has it. */
const WARM_START_SEED = 42;

/**
 * Loads the checkpoint that was given, or fetches or makes a task's warm start.
 *
 * @param values What was given.
 * @param tools Where to show progress, and what may interrupt a warm start.
 * @param defaultTask The task where neither a task nor a checkpoint was given.
 * @returns `undefined` if a warm start was interrupted.
 */
export async function policyToStudy(
  gpu: Gpu,
  values: PolicyToStudyValues,
  tools: { readonly output: ProgressOutput; readonly interrupt: Interrupt },
  defaultTask: string,
): Promise<PolicyToStudy | undefined> {
  const names = namesOf(values);
  if (values.checkpoint !== undefined) {
    const found = await findCheckpoint(values.checkpoint, names);
    const { dir, task } = found;
    const policy = await Policy.load(gpu, dir);
    return { policy, task, checkpoint: dir, recorded: settingsOf(found) };
  }
  const task = await findTask(
    names.data === undefined ? { ...names, task: names.task ?? defaultTask } : names,
  );
  const recipe = warmStartRecipe(values, task, newPolicyConfig(task, values), WARM_START_SEED);
  const warm = await warmPolicy(gpu, await onDevice(gpu, recipe), tools);
  if (warm === undefined) return undefined;
  const recorded = settingsOf({ task, state: undefined });
  return { policy: warm.policy, task, checkpoint: warm.dir, recorded };
}
