/**
 * Kernels dispatched for nothing but having them compiled.
 *
 * @module
 */

import { compileKernel, type Kernel, type KernelDescriptor } from "./kernel.ts";
import { createReadable } from "./mapping.ts";

/**
 * What every parameter is taken to be. Zeros would switch off most of a kernel, and Mesa compiles what is left of it.
 */
const PARAMETER = 999;

/** Bytes of a buffer: no kernel has a larger struct of parameters or element. */
const SIZE = 256;

/** Dispatches kernels in no workgroup, with buffers that stand in for those they are to have. */
export class StandIn {
  readonly #device: GPUDevice;
  readonly #params: GPUBuffer;
  readonly #storage: GPUBuffer[] = [];
  readonly #staging: GPUBuffer;
  #encoded: GPUCommandBuffer[] = [];
  #mapping: Promise<void> | undefined;

  /**
   * Makes the buffers.
   *
   * @param device What compiles; its mappings can be read without awaiting them.
   */
  constructor(device: GPUDevice) {
    this.#device = device;
    const { UNIFORM, COPY_DST, MAP_READ } = GPUBufferUsage;
    const label = "stand-in";
    this.#params = device.createBuffer({ label, size: SIZE, usage: UNIFORM | COPY_DST });
    device.queue.writeBuffer(this.#params, 0, new Uint32Array(SIZE / 4).fill(PARAMETER));
    this.#staging = createReadable(device, { label, size: 4, usage: MAP_READ | COPY_DST });
  }

  /** Makes a kernel and encodes its dispatch, to be submitted next. */
  encode(descriptor: KernelDescriptor): void {
    this.#quietly(() => this.#encode(descriptor));
  }

  #encode(descriptor: KernelDescriptor): void {
    const kernel = compileKernel(this.#device, descriptor);
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, this.#bind(kernel));
    pass.dispatchWorkgroups(0);
    pass.end();
    this.#encoded.push(encoder.finish());
  }

  #bind({ bindings, paramsIndex, layout }: Kernel): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = bindings.map(({ index }, i) => {
      this.#storage[i] ??= this.#device.createBuffer({ size: SIZE, usage: GPUBufferUsage.STORAGE });
      return { binding: index, resource: { buffer: this.#storage[i] } };
    });
    if (paramsIndex !== undefined) {
      entries.push({ binding: paramsIndex, resource: { buffer: this.#params } });
    }
    return this.#device.createBindGroup({ layout, entries });
  }

  /** Submits what is encoded. In Deno this waits for what was submitted before. */
  submit(): void {
    this.#quietly(() => this.#device.queue.submit(this.#encoded.splice(0)));
  }

  /** A kernel that is not valid says so to whoever asked for it, and is no error of the device. */
  #quietly(run: () => void): void {
    this.#device.pushErrorScope("validation");
    try {
      run();
    } finally {
      this.#device.popErrorScope().catch(() => {});
    }
  }

  /** Blocks until everything submitted to the device is done. */
  wait(): void {
    this.#mapping = this.#staging.mapAsync(GPUMapMode.READ).catch(() => {});
    this.#staging.getMappedRange();
    this.#staging.unmap();
  }

  /** Releases the buffers. */
  async destroy(): Promise<void> {
    await this.#mapping;
    for (const buffer of [this.#params, this.#staging, ...this.#storage]) buffer.destroy();
  }
}
