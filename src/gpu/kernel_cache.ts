/**
 * Kernels of a device, each compiled once.
 *
 * @module
 */

import type { GpuCounters } from "./counters.ts";
import { type Dialect, inDialect } from "./dialect.ts";
import { compileKernel, type Kernel, type KernelDescriptor } from "./kernel.ts";

/** Compiles kernels at the first request. */
export class KernelCache {
  readonly #device: GPUDevice;
  readonly #dialect: Dialect;
  readonly #counters: Pick<GpuCounters, "compileSeconds">;
  readonly #kernels = new Map<string, Kernel>();

  /** Begins without any kernel; the seconds that compiling takes are counted. */
  constructor(device: GPUDevice, dialect: Dialect, counters: Pick<GpuCounters, "compileSeconds">) {
    this.#device = device;
    this.#dialect = dialect;
    this.#counters = counters;
  }

  /** The kernel of a name, entry point and constants. */
  get(descriptor: KernelDescriptor): Kernel {
    const constants = Object.entries(descriptor.constants ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
    const key = `${descriptor.name}/${descriptor.entryPoint}/${JSON.stringify(constants)}`;
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      const start = performance.now();
      const code = inDialect(descriptor.code, this.#dialect);
      this.#kernels.set(key, kernel = compileKernel(this.#device, { ...descriptor, code }));
      this.#counters.compileSeconds += (performance.now() - start) / 1000;
    }
    return kernel;
  }
}
