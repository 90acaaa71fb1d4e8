/**
 * Writing a policy's weights: all of them, its adapters alone, or both in one.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import { saveCheckpoint, type SaveCheckpointOptions } from "./hf_checkpoint.ts";
import { mergedWeight, saveLoraFolder } from "./lora_folder.ts";
import type { Parameters } from "./parameters.ts";

/** Settings of `Policy.save`. */
export interface SavePolicyOptions extends SaveCheckpointOptions {
  /** Write a whole model with the adapters added to its weights. Default `false`. */
  readonly merge?: boolean;
}

/** Every option of {@linkcode SavePolicyOptions}. */
export const SAVE_OPTIONS: readonly string[] = namesOf<SavePolicyOptions>({
  dtype: true,
  merge: true,
});

/**
 * Writes a Hugging Face folder of a policy's weights, or PEFT's folder of its adapters if there are some.
 *
 * @param options How, and the `base` folder of adapters.
 * @throws {Error} If there are adapters and no base.
 */
export async function saveWeights(
  dir: string,
  parameters: Parameters,
  options: SavePolicyOptions & { readonly base: string | undefined },
): Promise<void> {
  const { config, adapters } = parameters;
  const { merge = false, base, ...rest } = options;
  if (!adapters) {
    return parameters.trainable
      ? await saveCheckpoint(dir, config, (name) => parameters.readOne(name), rest)
      : await saveCheckpoint(dir, config, (name) => parameters.readStored(name), {
        dtype: parameters.dtype,
        ...rest,
      });
  }
  if (merge) {
    const values = await adapters.read();
    const merged = async (name: string) =>
      mergedWeight(name, await parameters.readStored(name), adapters, values);
    return await saveCheckpoint(dir, config, merged, rest);
  }
  if (base === undefined) {
    throw new Error(
      "These adapters belong to a policy that was not loaded from a folder, so none could be named as their base: " +
        "save it first and load it from there, or save with merge: true",
    );
  }
  await saveLoraFolder(dir, adapters, base);
}
