/**
 * Opening a device.
 *
 * @module
 */

import { requestDevice } from "./adapter.ts";
import { Gpu, type GpuOptions } from "./device.ts";

/** Options of {@linkcode openGpu}. */
export interface OpenGpuOptions extends GpuOptions {
  /** A device to use instead of asking `navigator.gpu`, for example one of another WebGPU implementation. */
  device?: GPUDevice;
}

/**
 * Opens a GPU for compute.
 *
 * @param options The device to use, or how to choose one.
 * @returns A {@linkcode Gpu}; call {@linkcode Gpu.close} when done.
 * @throws {Error} If there is no adapter; the message names the remedy.
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  if (options.device) return await Gpu.fromDevice(options.device, options);
  const { device, info } = await requestDevice();
  return await Gpu.fromDevice(device, options, { info, owned: true });
}
