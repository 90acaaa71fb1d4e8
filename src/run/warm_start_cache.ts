/**
 * Finished warm starts, kept so that every run with the same settings begins from the same one.
 *
 * A warm start is a Hugging Face folder with `warm_start.json` beside the weights, which says what
 * made it.
 */

import { join } from "node:path";
import type { KernelChoices } from "../gpu/kernel.ts";
import type { PolicyConfig } from "../model/config.ts";
import { fileExists, isJsonObject, readJsonObject } from "../files/json_file.ts";
import type { Policy } from "../model/policy.ts";
import type { WarmStartOptions } from "../rl/warm_start.ts";
import type { Task } from "../task/task.ts";
import { replaceDirectoryAtomic, writeFileAtomic } from "../files/atomic_directory.ts";
import { digest, digestFile, taskFingerprint } from "./fingerprint.ts";
import { refuseExisting } from "./run_directory.ts";
import { VERSION } from "./version.ts";

/** A policy that a warm start fits further. */
export interface WarmStartOrigin {
  /** Its folder. */
  readonly dir: string;
  /** SHA-256 of its weights: of one file, or of all of them. */
  readonly weights: string;
}

/**
 * What decides the weights of a warm start; its seed is that of the first weights and of the demonstrations. What was chosen to
 * fit into memory is left out where that is nothing.
 */
export interface WarmStartRecipe
  extends
    Readonly<Required<Pick<WarmStartOptions, "steps" | "batchSize" | "learningRate" | "seed">>>,
    Readonly<Pick<WarmStartOptions, "maxTokensPerMicroBatch" | "activationCheckpointing">> {
  /** The task. */
  readonly task: Task;
  /** Shape of the policy. */
  readonly policy: PolicyConfig;
  /** The Hugging Face folder it begins from; left out where it begins from random weights. */
  readonly from?: WarmStartOrigin | undefined;
  /** Standard deviation of the first embeddings; left out where it is that of the other matrices. */
  readonly embeddingStd?: number | undefined;
  /** Kernels other than the built-in choices, by operation; left out where there are none. */
  readonly kernels?: KernelChoices | undefined;
  /** Fingerprint of the numbers of the device that makes it, see {@linkcode numbersOf}. */
  readonly numbers?: string | undefined;
}

/** Name of the file that makes a folder a warm start. */
export const WARM_START = "warm_start.json";

const WEIGHTS = "model.safetensors";

/** The recipe as plain data. */
function describeRecipe({ task, from, ...rest }: WarmStartRecipe): Record<string, unknown> {
  return {
    task: task.name,
    fingerprint: taskFingerprint(task),
    // Wherever it lies, the same weights are the same beginning.
    ...(from ? { from: from.weights } : {}),
    ...rest,
  };
}

/** Name of the folder of a warm start: the settings one looks for, and a digest of all of them. */
export function warmStartKey(recipe: WarmStartRecipe): string {
  const { task, policy, steps, batchSize, seed } = recipe;
  return [
    task.name,
    `${policy.hiddenSize}x${policy.numHiddenLayers}`,
    `${steps}x${batchSize}`,
    `seed${seed}`,
    digest(describeRecipe(recipe)).slice(0, 8),
  ].join("-");
}

/** Whether a folder holds a warm start. */
export async function isWarmStart(dir: string): Promise<boolean> {
  return await fileExists(join(dir, WARM_START));
}

/**
 * Whether a folder holds the warm start of a recipe.
 *
 * @throws {Error} If it holds another one, a damaged one, or something else.
 */
export async function hasWarmStart(dir: string, recipe: WarmStartRecipe): Promise<boolean> {
  const path = join(dir, WARM_START);
  if (!await isWarmStart(dir)) {
    // It would be replaced as a whole, whatever is in it.
    await refuseExisting(dir, "give another folder");
    return false;
  }
  const { recipe: saved, weights } = await readJsonObject(path);
  if (saved === undefined || digest(saved) !== digest(describeRecipe(recipe))) {
    throw new RangeError(
      `${dir} holds a warm start with other settings${differences(saved, recipe)}: choose ` +
        "another folder",
    );
  }
  const file = join(dir, WEIGHTS);
  if (!await fileExists(file) || await digestFile(file) !== weights) {
    throw new RangeError(`${dir} is damaged: its ${WEIGHTS} is not the one saved. Remove it`);
  }
  return true;
}

/** Names what differs between what a folder recorded and a recipe. */
function differences(saved: unknown, recipe: WarmStartRecipe): string {
  if (!isJsonObject(saved)) return "";
  const wanted = describeRecipe(recipe);
  const names = [...new Set([...Object.keys(saved), ...Object.keys(wanted)])]
    .filter((name) => digest(saved[name] ?? null) !== digest(wanted[name] ?? null))
    .map((name) => name === "numbers" ? "numbers (it was made on another device)" : name);
  return names.length > 0 ? ` (${names.join(", ")})` : "";
}

/**
 * Keeps a finished warm start.
 *
 * @param dir The folder; replaced as a whole. Its parent has to exist.
 * @param recipe What made it.
 * @param loss Its last cross-entropy, nats per token.
 */
export async function saveWarmStart(
  dir: string,
  recipe: WarmStartRecipe,
  policy: Policy,
  loss: number,
): Promise<void> {
  await replaceDirectoryAtomic(dir, async (temporary) => {
    await policy.save(temporary);
    const json = {
      recipe: describeRecipe(recipe),
      loss,
      weights: await digestFile(join(temporary, WEIGHTS)),
      adapter: policy.gpu.adapter.description,
      version: VERSION,
    };
    await writeFileAtomic(join(temporary, WARM_START), JSON.stringify(json, null, 2) + "\n");
  });
}

/** Name of the task of the warm start in a folder; `undefined` if it holds none. */
export async function taskOfWarmStart(dir: string): Promise<string | undefined> {
  const path = join(dir, WARM_START);
  if (!await fileExists(path)) return undefined;
  const { recipe } = await readJsonObject(path) as { recipe?: { task?: unknown } };
  return typeof recipe?.task === "string" ? recipe.task : undefined;
}
