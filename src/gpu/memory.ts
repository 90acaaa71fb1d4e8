/**
 * The memory of a device: buffers that are alive, and those that are not any more.
 *
 * @module
 */

import type { GpuCounters } from "./counters.ts";
import { createReadable } from "./mapping.ts";
import type { Tensor } from "./tensor.ts";

/** Makes, counts and destroys buffers. */
export class DeviceMemory {
  readonly #device: GPUDevice;
  readonly #counters: GpuCounters;
  readonly #alive = new Set<GPUBuffer>();
  readonly #gone = new WeakSet<GPUBuffer>();
  /** Buffers that are there by name only, and the bytes that there was no room for. */
  readonly #missing = new Map<GPUBuffer, number>();
  readonly #pending = new Set<Promise<void>>();
  #made: GPUBuffer[] | undefined;
  #destroyed = 0;

  /** Begins without any. */
  constructor(device: GPUDevice, counters: GpuCounters) {
    this.#device = device;
    this.#counters = counters;
  }

  /** Those that are alive, the largest first. */
  get list(): { readonly label: string; readonly size: number }[] {
    return [...this.#alive]
      .map(({ label, size }) => ({ label, size }))
      .sort((a, b) => b.size - a.size);
  }

  /** Buffers destroyed so far: as long as it stays the same, what had memory has it still. */
  get destroyed(): number {
    return this.#destroyed;
  }

  /**
   * Refuses a tensor whose memory was released. The device would report an error to whoever uses it next.
   *
   * @param use What is to be done with it, for the message.
   * @throws {Error} Naming the tensor.
   */
  require({ name, buffers }: Tensor, use: string): void {
    if (!buffers.some((buffer) => this.#gone.has(buffer))) return;
    throw new Error(
      `Cannot ${use}: ${name} was released, when what it belongs to was destroyed. Make that anew, or destroy it later`,
    );
  }

  /**
   * Creates a zeroed buffer and counts it.
   *
   * @throws {RangeError} If the size is beyond what the device allows.
   */
  create(size: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const bytes = Math.max(16, Math.ceil(size / 4) * 4);
    const limit = this.#device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new RangeError(
        `Cannot create buffer ${label}: ${bytes} bytes are more than this device's maxBufferSize of ${limit}`,
      );
    }
    const buffer = this.#createHeard({ size: bytes, usage, label });
    this.#alive.add(buffer);
    this.#made?.push(buffer);
    this.#counters.buffersCreated++;
    this.#counters.bytesAllocated += bytes;
    this.#counters.peakBytesAllocated = Math.max(
      this.#counters.peakBytesAllocated,
      this.#counters.bytesAllocated,
    );
    return buffer;
  }

  /** Creates a buffer, and hears later whether there was room for it. */
  #createHeard(descriptor: GPUBufferDescriptor): GPUBuffer {
    const device = this.#device;
    let buffer: GPUBuffer | undefined;
    device.pushErrorScope("out-of-memory");
    try {
      return buffer = createReadable(device, descriptor);
    } finally {
      const heard = device.popErrorScope().then((error) => {
        if (error && buffer && this.#alive.has(buffer)) {
          this.#missing.set(buffer, descriptor.size);
        }
      }, () => {}).finally(() => this.#pending.delete(heard));
      this.#pending.add(heard);
    }
  }

  /** Whether it is not known yet of some buffers if there was room for them. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Waits until it is known of every buffer whether there was room for it. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** Whether there was no room for a buffer, as far as is known. */
  isMissing(buffer: GPUBuffer): boolean {
    return this.#missing.has(buffer);
  }

  /**
   * What there was no room for, in words; `undefined` where there is nothing. Whoever destroys it may go on.
   */
  get shortage(): string | undefined {
    const [first] = this.#missing;
    if (!first) return undefined;
    const lacking = [...this.#missing.values()].reduce((sum, bytes) => sum + bytes, 0);
    const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    return `the device has no room for ${first[0].label} of ${mebibytes(first[1])}, with ` +
      `${mebibytes(this.#counters.bytesAllocated - lacking)} in use`;
  }

  /** Destroys a buffer that was created here. */
  destroy(buffer: GPUBuffer): void {
    if (!this.#alive.delete(buffer)) return;
    this.#missing.delete(buffer);
    this.#gone.add(buffer);
    this.#destroyed++;
    this.#counters.bytesAllocated -= buffer.size;
    buffer.destroy();
  }

  /** Destroys all. */
  destroyAll(): void {
    for (const buffer of this.#alive) buffer.destroy();
    this.#alive.clear();
    this.#missing.clear();
  }

  /**
   * Makes something that takes memory.
   *
   * @param make Makes it; if it throws, the buffers that it has created are destroyed.
   */
  allOrNone<T>(make: () => T): T {
    const outer = this.#made;
    const made: GPUBuffer[] = this.#made = [];
    try {
      return make();
    } catch (error) {
      for (const buffer of made) this.destroy(buffer);
      throw error;
    } finally {
      this.#made = outer;
      outer?.push(...made);
    }
  }
}
