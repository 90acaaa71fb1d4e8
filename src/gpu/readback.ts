/**
 * Bringing values back to the host.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import { fromBytes, type HostArray } from "./host_array.ts";
import { bytesOf, type Tensor } from "./tensor.ts";

/** The arrays that hold the values of a list of tensors. */
export type HostArraysOf<T extends readonly Tensor[]> = {
  -readonly [K in keyof T]: HostArray<T[K]["dtype"]>;
};

/** A staging buffer for reading a fixed list of tensors back. */
export class Readback<const T extends readonly Tensor[] = readonly Tensor[]> {
  /** The tensors read, in order. */
  readonly tensors: T;
  readonly #gpu: Gpu;
  readonly #staging: GPUBuffer;
  #destroyed = false;

  /**
   * Makes the staging buffer.
   *
   * @param gpu The device.
   * @param tensors What to read; they need no memory yet.
   */
  constructor(gpu: Gpu, tensors: T) {
    this.#gpu = gpu;
    this.tensors = tensors;
    const bytes = tensors.reduce((n, t) => n + t.byteLength, 0);
    this.#staging = gpu.createBuffer(
      bytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      `readback ${tensors.map((t) => t.name).join(", ")}`,
    );
  }

  /**
   * Encodes the copies of the values in use now.
   *
   * @throws {Error} If their memory or this was released.
   */
  encode(encoder: GPUCommandEncoder): void {
    this.#requireStaging();
    let at = 0;
    for (const tensor of this.tensors) {
      this.#gpu.memory.require(tensor, "read a tensor");
      for (const piece of tensor.pieces) {
        const { buffer, offset } = piece.storage;
        const bytes = bytesOf(piece.length, piece.dtype);
        if (bytes > 0) encoder.copyBufferToBuffer(buffer, offset, this.#staging, at, bytes);
        at += bytes;
      }
    }
  }

  /**
   * Waits for the copies and returns one array per tensor, of the tensor's type.
   *
   * @throws {Error} If this was destroyed, before or meanwhile.
   */
  async take(): Promise<HostArraysOf<T>> {
    this.#requireStaging();
    const bytes = this.tensors.reduce((n, t) => n + bytesOf(t.length, t.dtype), 0);
    const pending = this.#staging.mapAsync(GPUMapMode.READ, 0, Math.max(4, bytes));
    if (this.#gpu.mapsSynchronously) this.#gpu.background(pending);
    else {
      await pending.catch((error) => {
        this.#requireStaging();
        throw error;
      });
    }
    const copy = this.#staging.getMappedRange(0, Math.max(4, bytes)).slice(0);
    this.#staging.unmap();
    await this.#gpu.yieldNowAndThen();
    this.#gpu.counters.bytesFromGpu += bytes;
    let at = 0;
    return this.tensors.map(({ dtype, length }) => {
      const array = fromBytes(copy, at, { dtype, length });
      at += bytesOf(length, dtype);
      return array;
    }) as unknown as HostArraysOf<T>;
  }

  #requireStaging(): void {
    if (!this.#destroyed) return;
    const names = this.tensors.map(({ name }) => name).join(", ");
    throw new Error(
      `Cannot read ${names}: the buffer for it was released, when what it belongs to was destroyed`,
    );
  }

  /** Releases the staging buffer. */
  destroy(): void {
    this.#destroyed = true;
    this.#gpu.destroyBuffer(this.#staging);
  }
}
