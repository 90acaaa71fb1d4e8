/**
 * How a device is used.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import type { AdapterSummary } from "./adapter.ts";
import type { KernelChoices } from "./kernel.ts";

/** How a device is used. */
export interface GpuOptions {
  /**
   * What to take the adapter for, against what it says of itself: `{ subgroupSize: 0 }` leaves subgroup operations unused,
   * `{ isFallback: false }` takes the kernels of a graphics processor. Default: nothing.
   */
  treatAs?: Partial<AdapterSummary>;
  /** Kernels to take instead of the built-in choices, see {@linkcode Gpu.kernels}. Default: none. */
  kernels?: KernelChoices;
  /**
   * Multiply matrices by the device's matrix units: operands are rounded to float16's 11 binary digits, sums are float32.
   * Only Dawn offers them, see docs/portability.md. Default `false`.
   */
  matrixUnits?: boolean;
}

/** Every option of {@linkcode GpuOptions}. */
export const GPU_OPTIONS: readonly string[] = namesOf<GpuOptions>({
  treatAs: true,
  kernels: true,
  matrixUnits: true,
});
