/**
 * Asking for an adapter and a device, and what they say of themselves.
 *
 * This is the only file that touches `navigator.gpu`.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import { MATRIX_UNITS, type MatrixUnit, matrixUnitsOf } from "./matrix_units.ts";
import { withQuietWayland } from "./quiet_wayland.ts";

/** What an adapter says of itself, and the features this engine makes use of. */
export interface AdapterSummary {
  /** Human-readable device name, for example `llvmpipe (LLVM 15.0.6, 256 bits)`. */
  readonly description: string;
  /** Vendor as the adapter states it; may be empty or a number in text form. */
  readonly vendor: string;
  /** True for a software adapter. */
  readonly isFallback: boolean;
  /** Lanes per subgroup when the device has subgroups of one fixed size, otherwise 0. */
  readonly subgroupSize: number;
  /** Whether 16-bit floats can be stored. */
  readonly f16: boolean;
  /** Whether shaders may use 64-bit integers, with which software devices load twice as much at a time. */
  readonly int64: boolean;
  /** Whether timestamp queries work, which `--profile` needs. */
  readonly timestamps: boolean;
  /** Products that subgroups compute at once; empty unless {@linkcode GpuOptions.matrixUnits} asks for them. */
  readonly matrixUnits: readonly MatrixUnit[];
}

const NO_ADAPTER =
  "No WebGPU adapter was found: a Vulkan, Metal or DirectX 12 driver is needed. On Debian or Ubuntu run `sh setup.sh` " +
  "(it installs Mesa's software Vulkan driver), elsewhere install your GPU's driver, then try again. Node has no WebGPU " +
  "of its own: give openGpu({ webgpu: create([]) }) with create from npm's webgpu";

const NO_ADAPTER_OF_GIVEN =
  "The given implementation of WebGPU found no adapter: a driver that it accepts is needed. Dawn refuses Mesa's software " +
  "driver before version 25; with that one use Deno's own WebGPU";

/** Limits that the engine asks for at the adapter's own maximum, because the WebGPU defaults are too small. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Deno's name for 64-bit integers in shaders, which WebGPU does not have. */
const INT64 = "wgpu-shader-int64";

/** What is asked for. */
export interface DeviceRequest {
  /** Whom to ask. Default: `navigator.gpu`. */
  readonly webgpu?: GPU | undefined;
  /** Which of several adapters. Default `"high-performance"`. */
  readonly powerPreference?: GPUPowerPreference | undefined;
  /** Whether to ask for matrix units where there are any. Default `false`. */
  readonly matrixUnits?: boolean | undefined;
}

/** Where a device is from. */
export interface DeviceOrigin {
  /** What its adapter says of itself. */
  readonly info?: GPUAdapterInfo;
  /** Whether whoever takes it destroys it. */
  readonly owned?: boolean;
  /** Opens another like it. */
  readonly another?: () => Promise<GPUDevice>;
}

/** Every field of {@linkcode DeviceOrigin}. */
export const ORIGIN: readonly string[] = namesOf<DeviceOrigin>({
  info: true,
  owned: true,
  another: true,
});

/**
 * Asks for a device with every feature and limit that the engine makes use of.
 *
 * @returns The device, what its adapter says of itself, and how to open another.
 * @throws {Error} If there is no adapter; the message names the remedy.
 */
export async function requestDevice(
  { webgpu: given, powerPreference = "high-performance", matrixUnits = false }: DeviceRequest = {},
): Promise<{ device: GPUDevice } & Required<Omit<DeviceOrigin, "owned">>> {
  const gpu = given ?? (globalThis.navigator as { gpu?: GPU } | undefined)?.gpu;
  const adapter = await withQuietWayland(async () =>
    await gpu?.requestAdapter({ powerPreference })
  );
  if (!adapter) throw new Error(given ? NO_ADAPTER_OF_GIVEN : NO_ADAPTER);
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const listed = ["shader-f16", "timestamp-query", ...(matrixUnits ? [MATRIX_UNITS] : [])]
    .filter((name) => adapter.features.has(name as GPUFeatureName));
  const request = async (features: string[]) => {
    const another = () =>
      adapter.requestDevice({
        label: "deltal",
        requiredFeatures: features as GPUFeatureName[],
        requiredLimits,
      });
    return { device: await another(), info: adapter.info, another };
  };
  // Deno grants subgroups and 64-bit integers when they are asked for by name, although the adapter does not list them.
  for (const unlisted of [["subgroups", INT64], ["subgroups"]]) {
    try {
      return await request([...listed, ...unlisted]);
    } catch {
      // The next attempt asks for less.
    }
  }
  return await request(listed);
}

/** Processor cores that this process may use; 1 where that cannot be told. */
export function processorCores(): number {
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/**
 * Puts together what is known of a device.
 *
 * @param device Its features tell what it can do.
 * @param info What its adapter says of itself. Default: what the device says of it.
 */
export function summarize(device: GPUDevice, info?: GPUAdapterInfo): AdapterSummary {
  const stated = (info ?? (device as { adapterInfo?: GPUAdapterInfo }).adapterInfo) as
    | (Partial<GPUAdapterInfo> & {
      subgroupMinSize?: number;
      subgroupMaxSize?: number;
      isFallbackAdapter?: boolean;
    })
    | undefined;
  const has = (name: string) => device.features.has(name as GPUFeatureName);
  const fixedSize = stated?.subgroupMinSize === stated?.subgroupMaxSize
    ? stated?.subgroupMinSize ?? 0
    : 0;
  return {
    description: stated?.description || stated?.device || "unnamed adapter",
    vendor: stated?.vendor ?? "",
    isFallback: stated?.isFallbackAdapter ?? false,
    subgroupSize: has("subgroups") ? fixedSize : 0,
    f16: has("shader-f16"),
    int64: has(INT64),
    timestamps: has("timestamp-query"),
    matrixUnits: [MATRIX_UNITS, "subgroups", "shader-f16"].every(has) && fixedSize > 0
      ? matrixUnitsOf(stated as GPUAdapterInfo | undefined)
      : [],
  };
}
