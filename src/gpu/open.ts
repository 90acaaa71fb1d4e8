/**
 * Opening a device.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { requestDevice } from "./adapter.ts";
import { Gpu } from "./device.ts";
import { GPU_OPTIONS, type GpuOptions } from "./options.ts";

/** Options of {@linkcode openGpu}. */
export interface OpenGpuOptions extends GpuOptions {
  /** A device to use instead of asking for one. {@linkcode Gpu.close} leaves it to whoever made it. */
  device?: GPUDevice;
  /**
   * Another WebGPU implementation to ask, for example `create([])` of npm's `webgpu` (Dawn); with `device`, the one that it
   * is of. It is kept for as long as the {@linkcode Gpu}: Dawn's devices do not outlive it. Default: `navigator.gpu`.
   */
  webgpu?: GPU;
  /** Which of a machine's adapters to ask for. Default `"high-performance"`: a graphics card before what the processor has. */
  powerPreference?: GPUPowerPreference;
}

const NAMES = [
  ...GPU_OPTIONS,
  ...namesOf<Omit<OpenGpuOptions, keyof GpuOptions>>({
    device: true,
    webgpu: true,
    powerPreference: true,
  }),
];

/** The implementations in use, kept from being collected. */
const kept = new WeakMap<Gpu, GPU>();

/**
 * Opens a GPU for compute.
 *
 * @param options The device to use, or how to choose one.
 * @returns A {@linkcode Gpu}; call {@linkcode Gpu.close} when done.
 * @throws {TypeError} If there is no such option.
 * @throws {Error} If there is no adapter, or no matrix units where they are asked for; the message names the remedy.
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  checkNames("openGpu", options, NAMES);
  const { device: given, webgpu, powerPreference: _, ...settings } = options;
  const { device, ...origin } = given
    ? { device: given }
    : { ...await requestDevice(options), owned: true };
  const gpu = await Gpu.fromDevice(device, settings, origin).catch((error) => {
    if (!given) device.destroy();
    throw error;
  });
  if (webgpu) kept.set(gpu, webgpu);
  return gpu;
}
