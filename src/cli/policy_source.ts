/**
 * Where the policy of a new run comes from: a folder, a warm start, or random weights.
 *
 * @module
 */

import type { PolicyConfig } from "../model/config.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { weightsDigest } from "../run/fingerprint.ts";
import type { WarmStartRecipe } from "../run/warm_start_cache.ts";
import type { Task } from "../task/task.ts";
import { type FlagValues, refuseBeside, UsageError } from "./args.ts";
import { newPolicyConfig } from "./policy_size.ts";
import { SIZE_FLAGS, type TRAIN_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";

/** Where the policy of a new run comes from. */
export type PolicySource =
  /** A Hugging Face folder. */
  | { readonly kind: "folder"; readonly dir: string }
  /** A warm start, made now or before. */
  | { readonly kind: "warmStart"; readonly recipe: WarmStartRecipe }
  /** Random weights. */
  | { readonly kind: "random"; readonly config: PolicyConfig; readonly seed: number };

/**
 * Decides where the policy comes from.
 *
 * @param values What was given.
 * @param options Every setting of the run.
 * @throws {UsageError} For flags that do not go together.
 */
export async function policySource(
  values: FlagValues<typeof TRAIN_FLAGS>,
  task: Task,
  options: ResolvedTrainOptions,
): Promise<PolicySource> {
  if (values.policy !== undefined) {
    refuseBeside(values, SIZE_FLAGS, "--policy", "the folder decides it");
    if (values.warmStartSteps) {
      const recipe = await fineTuneRecipe(values, task, values.policy, options.seed);
      return { kind: "warmStart", recipe };
    }
    refuseBeside(
      values,
      WARM_START_FLAGS,
      "--policy",
      "without --warm-start-steps it is taken as it is",
    );
    return { kind: "folder", dir: values.policy };
  }
  const config = newPolicyConfig(task, values, options.maxCompletionLength);
  const recipe = warmStartRecipe(values, task, config, options.seed);
  if (recipe.steps > 0) return { kind: "warmStart", recipe };
  // What no demonstration teaches to leave alone would be sampled, as often as any symbol.
  const vocabSize = task.vocabulary.length;
  return { kind: "random", config: { ...config, vocabSize }, seed: options.seed };
}

/** A warm start of a model that exists, where flags do not say otherwise: small steps, and few of them. */
const FINE_TUNE = { steps: 100, batchSize: 16, learningRate: 1e-5 };

/**
 * The warm start of the policy in a folder: supervised fine-tuning on the task's demonstrations.
 *
 * @throws {UsageError} If the task has none.
 */
export async function fineTuneRecipe(
  values: FlagValues<typeof WARM_START_FLAGS>,
  task: Task,
  dir: string,
  seed: number,
): Promise<WarmStartRecipe> {
  if (task.demonstration === undefined) {
    throw new UsageError(
      `${task.name} has no demonstrations, which a warm start imitates: give the rows of --data a ` +
        "column demonstration, or a task of your own demonstrate",
    );
  }
  using checkpoint = await loadCheckpoint(dir);
  return {
    task,
    policy: checkpoint.config,
    from: { dir, weights: await weightsDigest(dir) },
    steps: values.warmStartSteps ?? FINE_TUNE.steps,
    batchSize: values.warmStartBatchSize ?? FINE_TUNE.batchSize,
    learningRate: values.warmStartLearningRate ?? FINE_TUNE.learningRate,
    seed,
  };
}

/** The warm start that flags ask for. */
export function warmStartRecipe(
  values: FlagValues<typeof WARM_START_FLAGS>,
  task: Task,
  policy: PolicyConfig,
  seed: number,
): WarmStartRecipe {
  const { steps, batchSize, learningRate, embeddingStd } = task.defaults.warmStart;
  return {
    task,
    policy,
    steps: values.warmStartSteps ?? (task.demonstration ? steps : 0),
    batchSize: values.warmStartBatchSize ?? batchSize,
    learningRate: values.warmStartLearningRate ?? learningRate,
    embeddingStd,
    seed,
  };
}
