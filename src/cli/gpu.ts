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
import { choiceFlag, type Flags, switchFlag, textFlag, UsageError } from "./args.ts";
import { RUNS } from "./runs.ts";
import { count } from "./style.ts";

/** Folder that tuned kernels are kept in. */
export const TUNED: string = join(RUNS, "tuned");

/** Implementations of WebGPU. */
const IMPLEMENTATIONS = ["deno", "dawn"] as const;

/** npm's package of Dawn. */
const DAWN = "npm:webgpu@^0.6.2";

/** Flags of what a command computes on. */
export const WEBGPU_FLAGS = {
  webgpu: choiceFlag(
    IMPLEMENTATIONS,
    "The WebGPU to compute with: Deno's own, or Dawn, that of Chrome (npm's webgpu, fetched when it is used).",
    "deno",
  ),
  dawnOptions: textFlag(
    "options",
    'Options and toggles of Dawn, with blanks between them, as "backend=vulkan adapter=llvmpipe".',
  ),
  matrixUnits: switchFlag(
    "Multiply by the device's matrix units, which rounds operands to float16; --webgpu dawn has them where the driver does.",
  ),
} satisfies Flags;

/** Flags of commands that compute, with the kernels found by `tune`. */
export const DEVICE_FLAGS = {
  ...WEBGPU_FLAGS,
  tuned: {
    ...switchFlag(
      "Use the kernels that `tune` found fastest here; --no-tuned for the built-in ones.",
    ),
    default: "on",
  },
} satisfies Flags;

/** What a command computes on. */
export interface DeviceChoice {
  /** Which WebGPU. Default `"deno"`. */
  readonly webgpu?: typeof IMPLEMENTATIONS[number] | undefined;
  /** Options of Dawn. */
  readonly dawnOptions?: string | undefined;
  /** Whether matrix units are used. Default `false`. */
  readonly matrixUnits?: boolean | undefined;
}

/** What a command computes on, and with which kernels. */
export interface DeviceSource extends DeviceChoice {
  /** Whether those that `tune` found are used. Default `true`. */
  readonly tuned?: boolean | undefined;
  /** These, whatever was tuned since. */
  readonly kernels?: KernelChoices | undefined;
  /** Whether to be silent about kernels that are used. Default `false`. */
  readonly quiet?: boolean | undefined;
}

/**
 * What a run computes on: what flags say, and what its config.json has where they say nothing.
 *
 * @throws {RangeError} If the file has what no flag allows.
 */
export function deviceOfRun(values: DeviceChoice, recorded: unknown = {}): DeviceChoice {
  const { webgpu, dawnOptions, matrixUnits } = recorded as Record<string, unknown>;
  const known = {
    ...(webgpu === undefined ? {} : { webgpu: WEBGPU_FLAGS.webgpu.parse!(`${webgpu}`) }),
    ...(dawnOptions === undefined ? {} : { dawnOptions: `${dawnOptions}` }),
    ...(matrixUnits === true ? { matrixUnits } : {}),
  };
  const given: DeviceChoice = Object.fromEntries(
    Object.entries(values).filter(([name]) => Object.hasOwn(WEBGPU_FLAGS, name)),
  );
  // Options of Dawn mean nothing to another.
  if (given.webgpu !== undefined && given.webgpu !== "dawn") delete known.dawnOptions;
  return { ...known, ...given };
}

/**
 * Opens the GPU and closes it after `use`.
 *
 * @throws {Error} If there is no adapter, no such WebGPU, or no matrix units; the message names the remedy.
 */
export async function withGpu<T>(
  use: (gpu: Gpu) => Promise<T>,
  source: DeviceSource = {},
): Promise<T> {
  const { webgpu, dawnOptions, matrixUnits = false } = source;
  if (dawnOptions !== undefined && webgpu !== "dawn") {
    throw new UsageError("--dawn-options is of Dawn: give --webgpu dawn, too");
  }
  const dawn = webgpu === "dawn" ? await loadDawn(dawnOptions, matrixUnits) : undefined;
  const gpu = await openGpu({ ...(dawn ? { webgpu: dawn } : {}), matrixUnits });
  try {
    gpu.kernels = source.kernels ?? (source.tuned === false ? {} : await tunedKernels(gpu, source));
    return await use(gpu);
  } finally {
    await gpu.close();
  }
}

/**
 * Dawn, out of its package.
 *
 * @throws {Error} If it is not there, or does not know an option; the message says what to install.
 */
async function loadDawn(options: string | undefined, matrixUnits: boolean): Promise<GPU> {
  // Asked first: what is imported in vain would be in the checkout's deno.lock, and fetched by every task from then on.
  if ((await Deno.permissions.query({ name: "ffi" })).state !== "granted") {
    throw new Deno.errors.NotCapable(
      "--webgpu dawn needs ffi access for native code, run again with the --allow-ffi flag",
    );
  }
  let dawn: { create(options: string[]): GPU };
  try {
    // Not a literal, so that nothing is fetched for those who do not use it.
    dawn = await import(DAWN);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error; // to read or to fetch
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Error(
      `--webgpu dawn needs npm's package webgpu, which is not here: deno cache --no-lock ${DAWN} fetches it (${reason})`,
    );
  }
  const toggles = matrixUnits ? ["enable-dawn-features=allow_unsafe_apis"] : [];
  return dawn.create([...toggles, ...(options?.split(/\s+/).filter(Boolean) ?? [])]);
}

/** The kernels kept for a device; a file that cannot be used is no reason to stop. */
async function tunedKernels(gpu: Gpu, { quiet }: DeviceSource): Promise<KernelChoices> {
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
