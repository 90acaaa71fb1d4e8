/**
 * Opening the GPU for a command.
 *
 * @module
 */

import { join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import type { KernelChoices } from "../gpu/kernel.ts";
import { openGpu } from "../gpu/open.ts";
import { readTuned } from "../run/tuned_kernels.ts";
import { callableHere } from "./command_name.ts";
import { type Flag, switchFlag } from "./args.ts";
import { RUNS } from "./runs.ts";
import { count } from "./style.ts";

/** Folder that tuned kernels are kept in. */
export const TUNED: string = join(RUNS, "tuned");

/** The flag of commands that compute with the kernels found by `tune`. */
export const TUNED_FLAG: Flag<boolean> = {
  ...switchFlag(
    "Use the kernels that `tune` found fastest here; --no-tuned for the built-in ones.",
  ),
  default: "on",
};

/** Which kernels a command computes with. */
export interface KernelSource {
  /** Whether those that `tune` found are used. Default `true`. */
  readonly tuned?: boolean | undefined;
  /** These, whatever was tuned since. */
  readonly kernels?: KernelChoices | undefined;
  /** Whether to be silent about kernels that are used. Default `false`. */
  readonly quiet?: boolean | undefined;
}

/**
 * Opens the GPU and closes it after `use`.
 *
 * @throws {Error} If there is no adapter; the message names the remedy.
 */
export async function withGpu<T>(
  use: (gpu: Gpu) => Promise<T>,
  source: KernelSource = {},
): Promise<T> {
  const gpu = await openGpu();
  try {
    gpu.kernels = source.kernels ?? (source.tuned === false ? {} : await tunedKernels(gpu, source));
    return await use(gpu);
  } finally {
    await gpu.close();
  }
}

/** The kernels kept for a device; a file that cannot be used is no reason to stop. */
async function tunedKernels(gpu: Gpu, { quiet }: KernelSource): Promise<KernelChoices> {
  try {
    const found = await readTuned(TUNED, gpu);
    if (found === undefined) return {};
    const number = Object.keys(found.kernels).length;
    if (number > 0 && !quiet) {
      console.error(`${count(number, "tuned kernel")} from ${found.path}; --no-tuned for none`);
    }
    return found.kernels;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(
      callableHere(
        `${message}: the built-in kernels are used instead; deno task tune measures anew`,
      ),
    );
    return {};
  }
}
