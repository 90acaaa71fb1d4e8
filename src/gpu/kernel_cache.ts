/**
 * Kernels of a device, each compiled once.
 *
 * @module
 */

import type { CompileAhead } from "./compile_ahead.ts";
import type { GpuCounters } from "./counters.ts";
import { type Dialect, inDialect } from "./dialect.ts";
import { compileKernel, type Kernel, type KernelDescriptor } from "./kernel.ts";

/** Compiles kernels at the first request. */
export class KernelCache {
  readonly #device: GPUDevice;
  readonly #dialect: Dialect;
  readonly #counters: Pick<GpuCounters, "compileSeconds">;
  readonly #ahead: CompileAhead | undefined;
  readonly #kernels = new Map<string, Kernel>();

  /** Begins without any kernel; the seconds that compiling takes are counted. */
  constructor(
    device: GPUDevice,
    dialect: Dialect,
    counters: Pick<GpuCounters, "compileSeconds">,
    ahead?: CompileAhead,
  ) {
    this.#device = device;
    this.#dialect = dialect;
    this.#counters = counters;
    this.#ahead = ahead;
  }

  /** The kernel of a name, entry point and constants. */
  get(descriptor: KernelDescriptor): Kernel {
    const constants = Object.entries(descriptor.constants ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
    const key = `${descriptor.name}/${descriptor.entryPoint}/${JSON.stringify(constants)}`;
    let kernel = this.#kernels.get(key);
    if (!kernel) this.#kernels.set(key, kernel = this.#compile(descriptor));
    return kernel;
  }

  #compile(given: KernelDescriptor): Kernel {
    const start = performance.now();
    const descriptor = { ...given, code: inDialect(given.code, this.#dialect) };
    const kernel = compileKernel(this.#device, descriptor);
    const ms = performance.now() - start;
    this.#counters.compileSeconds += ms / 1000;
    const ahead = this.#ahead;
    if (!ahead) return kernel;
    ahead.add(descriptor, ms);
    return {
      ...kernel,
      // Whoever waits for one has recorded all that a plan needs, and has it compiled together.
      get ready() {
        return kernel.ready.then(() => ahead.finish());
      },
    };
  }

  /** Lets go of what is kept for compiling, if it was not needed for a while. */
  rest(): void {
    this.#ahead?.rest();
  }

  /** Releases what was kept for compiling. */
  async close(): Promise<void> {
    await this.#ahead?.close();
  }
}
