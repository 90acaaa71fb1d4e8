/**
 * Memory for the intermediate tensors of plans: blocks that are reused as soon as their last reader is recorded.
 *
 * Plans that never run at the same time share one arena, so its size is that of the largest plan. Plans that hand
 * something to each other share an arena of their own, which may live on the blocks of another. Every block is a buffer
 * of its own, because WebGPU forbids one buffer to be read and written in the same dispatch.
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
  /** Index of the last dispatch that touches it; `Infinity` if other plans of the arena read it afterwards. */
  last: number;
}

interface Block {
  readonly size: number;
  /** Name of the tensor it is as large as, for messages about its size. */
  readonly largest: string;
  buffer: GPUBuffer | undefined;
}

/** Bytes of the block that a tensor needs. */
function sizeOf({ tensor }: Lifetime): number {
  return Math.max(256, tensor.byteLength);
}

/** A set of reusable blocks of GPU memory. */
export class Arena {
  readonly #gpu: Gpu;
  readonly #name: string;
  readonly #owner: Arena | undefined;
  /** Blocks of what one plan leaves to another. */
  readonly #taken = new Set<Block>();
  #blocks: Block[] = [];

  /**
   * Makes an arena without any block.
   *
   * @param gpu Where the blocks live.
   * @param name Name shown in errors.
   * @param owner An arena whose blocks to use. The plans of either spoil what those of the other have left there. Default:
   * none.
   */
  constructor(gpu: Gpu, name: string, owner?: Arena) {
    this.#gpu = gpu;
    this.#name = name;
    this.#owner = owner;
    if (owner) this.#blocks = owner.#blocks;
  }

  /** Bytes of all blocks. */
  get byteLength(): number {
    return this.#blocks.reduce((n, b) => n + b.size, 0);
  }

  /**
   * Assigns memory to tensors so that no two of overlapping lifetime share a block.
   *
   * Greedy best fit, the largest tensors first: a small one never takes a block that a large one could have had.
   *
   * @param lifetimes One entry per root tensor.
   */
  place(lifetimes: readonly Lifetime[]): void {
    const guests = new Map<Block, Lifetime[]>();
    const placed: { tensor: Tensor; block: Block }[] = [];
    for (const lifetime of lifetimes.toSorted((a, b) => sizeOf(b) - sizeOf(a))) {
      const { tensor, first, last } = lifetime;
      const size = sizeOf(lifetime);
      let block: Block | undefined;
      for (const candidate of this.#blocks) {
        if (candidate.size < size || (block && candidate.size >= block.size)) continue;
        if (this.#taken.has(candidate)) continue;
        const others = guests.get(candidate) ?? [];
        if (others.every((other) => other.last < first || other.first > last)) block = candidate;
      }
      if (!block) {
        block = { size, largest: tensor.name, buffer: undefined };
        this.#blocks.push(block);
      }
      guests.set(block, [...guests.get(block) ?? [], lifetime]);
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
    for (const [block, of] of guests) {
      if (of.some(({ last }) => last === Infinity)) this.#taken.add(block);
    }
  }

  /** Releases all blocks, unless they are another arena's; plans placed here can no longer run. */
  destroy(): void {
    if (this.#owner) return;
    for (const { buffer } of this.#blocks) if (buffer) this.#gpu.destroyBuffer(buffer);
    this.#blocks.length = 0;
  }
}
