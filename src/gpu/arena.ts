/**
 * Memory for the intermediate tensors of plans: blocks that are reused as soon as their last reader is recorded.
 *
 * Plans that never run at the same time share one arena, so its size is that of the largest plan. Every block is a
 * buffer of its own, because WebGPU forbids one buffer to be read and written in the same dispatch.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import type { Tensor } from "./tensor.ts";

/** When a tensor is first written and last read, as indices of a plan's dispatches. */
export interface Lifetime {
  /** The root tensor. */
  readonly tensor: Tensor;
  /** Index of the first dispatch that touches it. */
  readonly first: number;
  /** Index of the last dispatch that touches it. */
  last: number;
}

interface Block {
  size: number;
  /** Name of the tensor it is as large as, for messages about its size. */
  largest: string;
  buffer: GPUBuffer | undefined;
}

/** A set of reusable blocks of GPU memory. */
export class Arena {
  readonly #gpu: Gpu;
  readonly #name: string;
  #blocks: Block[] = [];

  /**
   * Makes an arena without any block.
   *
   * @param gpu Where the blocks live.
   * @param name Name shown in errors.
   */
  constructor(gpu: Gpu, name: string) {
    this.#gpu = gpu;
    this.#name = name;
  }

  /** Bytes of all blocks. */
  get byteLength(): number {
    return this.#blocks.reduce((n, b) => n + b.size, 0);
  }

  /**
   * Assigns memory to tensors so that no two of overlapping lifetime share a block.
   *
   * Greedy best fit in the order of first use; blocks not yet created grow to what is asked of them.
   *
   * @param lifetimes One entry per root tensor, in order of first use.
   */
  place(lifetimes: readonly Lifetime[]): void {
    const free = new Set(this.#blocks);
    const live: { last: number; block: Block }[] = [];
    const placed: { tensor: Tensor; block: Block }[] = [];
    for (const { tensor, first, last } of lifetimes) {
      for (let i = live.length - 1; i >= 0; i--) {
        if (live[i]!.last < first) free.add(live.splice(i, 1)[0]!.block);
      }
      const block = this.#choose(free, tensor);
      free.delete(block);
      live.push({ last, block });
      placed.push({ tensor, block });
    }
    for (const block of this.#blocks) {
      block.buffer ??= this.#gpu.createBuffer(
        block.size,
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        `${this.#name}: ${block.largest}`,
      );
    }
    for (const { tensor, block } of placed) tensor.allocate(block.buffer!);
  }

  #choose(free: Set<Block>, { byteLength, name: largest }: Tensor): Block {
    const size = Math.max(256, byteLength);
    let best: Block | undefined;
    let growable: Block | undefined;
    for (const block of free) {
      if (block.size >= size && (!best || block.size < best.size)) best = block;
      if (!block.buffer && (!growable || block.size > growable.size)) growable = block;
    }
    if (best) return best;
    if (growable) {
      growable.size = size;
      growable.largest = largest;
      return growable;
    }
    const block: Block = { size, largest, buffer: undefined };
    this.#blocks.push(block);
    return block;
  }

  /** Releases all blocks; plans placed here can no longer run. */
  destroy(): void {
    for (const { buffer } of this.#blocks) if (buffer) this.#gpu.destroyBuffer(buffer);
    this.#blocks = [];
  }
}
