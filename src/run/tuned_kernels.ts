/**
 * The kernels that were measured to be the fastest, kept for each device.
 *
 * @module
 */

import { fs, host } from "../host/host.ts";
import { join } from "../host/paths.ts";
import type { Gpu } from "../gpu/device.ts";
import type { KernelChoices } from "../gpu/kernel.ts";
import { fileExists, isJsonObject, readJsonObject } from "../files/json_file.ts";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import { VERSION } from "./version.ts";

/** Kernels kept for a device. */
export interface TunedKernels {
  /** The file they are kept in. */
  readonly path: string;
  /** Those that differ from the built-in choices, by operation. */
  readonly kernels: KernelChoices;
}

const FORMAT = "deltal tuned kernels";

/** Limits that decide which kernels a device can run, and how fast. */
const LIMITS = [
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupStorageSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
] as const;

/** What has to be the same where measurements are used. */
function identityOf(gpu: Gpu): Record<string, unknown> {
  const { limits } = gpu.device;
  return {
    deltal: VERSION,
    [host.name]: host.version,
    ...gpu.adapter,
    ...Object.fromEntries(LIMITS.map((name) => [name, limits[name]])),
  };
}

/**
 * Where the kernels of a device are kept.
 *
 * @param dir Folder of all such files.
 */
export function tunedPath(dir: string, gpu: Gpu): string {
  const { description, matrixUnits } = gpu.adapter;
  const name = `${description}${matrixUnits.length > 0 ? " matrix units" : ""}`.toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
  return join(dir, `${name || "adapter"}.json`);
}

/**
 * Reads the kernels that were measured on a device.
 *
 * @param dir Folder of all such files.
 * @returns `undefined` if there are none.
 * @throws {SyntaxError | TypeError} If the file is damaged.
 * @throws {RangeError} If it is of another device, or of another version of the programs.
 */
export async function readTuned(dir: string, gpu: Gpu): Promise<TunedKernels | undefined> {
  const path = tunedPath(dir, gpu);
  if (!await fileExists(path)) return undefined;
  const { format, measuredOn, kernels } = await readJsonObject(path);
  if (format !== FORMAT || !isJsonObject(measuredOn)) {
    throw new TypeError(`${path} is not a file of tuned kernels: its format is not "${FORMAT}"`);
  }
  const different = Object.entries(identityOf(gpu)).find(([name, now]) =>
    JSON.stringify(measuredOn[name]) !== JSON.stringify(now)
  );
  if (different) {
    const [name, now] = different;
    throw new RangeError(
      `${path} was measured with ${name} ${JSON.stringify(measuredOn[name] ?? null)}, and here ` +
        `it is ${JSON.stringify(now)}`,
    );
  }
  return { path, kernels: checkedKernels(kernels, path) };
}

/**
 * Checks kernels that were read from a file.
 *
 * @param kernels What stands there.
 * @param path The file, for the message.
 * @throws {TypeError} If they are anything but a name for each operation.
 */
export function checkedKernels(kernels: unknown, path: string): KernelChoices {
  const fit = isJsonObject(kernels) && Object.values(kernels).every((k) => typeof k === "string");
  if (!fit) {
    throw new TypeError(
      `${path} is damaged: kernels is ${JSON.stringify(kernels)}, not a name for each operation`,
    );
  }
  return kernels as KernelChoices;
}

/**
 * Keeps what was measured on a device, with what is kept of other operations.
 *
 * @param dir Folder of all such files; made if it is not there.
 * @param measured The kernel of each operation measured; `undefined` for the built-in one.
 * @returns What is kept now.
 */
export async function writeTuned(
  dir: string,
  gpu: Gpu,
  measured: ReadonlyMap<string, string | undefined>,
): Promise<TunedKernels> {
  const path = tunedPath(dir, gpu);
  const kept = await readTuned(dir, gpu).catch(() => undefined);
  const all = new Map<string, string | undefined>(Object.entries(kept?.kernels ?? {}));
  for (const [operation, kernel] of measured) all.set(operation, kernel);
  const kernels = Object.fromEntries(
    [...all].filter((entry): entry is [string, string] => entry[1] !== undefined)
      .sort(([a], [b]) => a < b ? -1 : 1),
  );
  await fs.mkdir(dir, { recursive: true });
  const json = { format: FORMAT, measuredOn: identityOf(gpu), kernels };
  await writeFileAtomic(path, JSON.stringify(json, null, 2) + "\n");
  return { path, kernels };
}
