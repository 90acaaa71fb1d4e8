/**
 * Tensors: a shape, a data type and a range of a GPU buffer.
 *
 * Shape letters used throughout: T packed tokens, C hidden, N output features, K input features, H query heads,
 * J key/value heads, D head size, F feed-forward size, V vocabulary, B responses, G completions per prompt, P prompts.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";

/** Element types of a tensor. Two `f16` or `bf16` share a word; kernels compute in float32 whatever is stored. */
export type DType = "f32" | "f16" | "bf16" | "u32" | "i32";

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return dtype === "f16" || dtype === "bf16" ? 2 : 4;
}

/** Bytes of so many elements, in whole words. */
export function bytesOf(elements: number, dtype: DType): number {
  return Math.ceil(elements * bytesPerElement(dtype) / 4) * 4;
}

/** The largest magnitude that `f16` holds. */
export const LARGEST_HALF = 65504;

/**
 * A size that is known only when a plan runs, up to a capacity that memory is planned for.
 *
 * Dispatch sizes and kernel parameters that mention a `Dim` follow its current value, so work is done for real tokens
 * and never for padding.
 */
export class Dim {
  /** Name shown in messages. */
  readonly name: string;
  /** The largest value it may take. */
  readonly capacity: number;
  #value: number;

  /**
   * Makes a dimension that has its largest value.
   *
   * @param name Name shown in messages.
   * @param capacity The largest value it may take; also its first value.
   * @throws {RangeError} If the capacity is not a positive integer.
   */
  constructor(name: string, capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `Dimension ${name} needs a positive integer capacity: current value is ${capacity}`,
      );
    }
    this.name = name;
    this.capacity = capacity;
    this.#value = capacity;
  }

  /** The current value. */
  get value(): number {
    return this.#value;
  }

  /**
   * Sets the value for the runs to come.
   *
   * @throws {RangeError} If it is not an integer from 0 to the capacity.
   */
  set value(value: number) {
    if (!Number.isInteger(value) || value < 0 || value > this.capacity) {
      throw new RangeError(
        `Dimension ${this.name} must be an integer from 0 to ${this.capacity}: current value is ${value}`,
      );
    }
    this.#value = value;
  }

  /**
   * How many of this dimension's elements lie in a range of them; follows its value.
   *
   * @param first The first element of the range.
   * @param capacity The range's length.
   */
  part(first: number, capacity: number): Dim {
    return new PartOfDim(this, first, capacity);
  }
}

class PartOfDim extends Dim {
  readonly #whole: Dim;
  readonly #first: number;

  constructor(whole: Dim, first: number, capacity: number) {
    super(`${whole.name} from ${first}`, capacity);
    this.#whole = whole;
    this.#first = first;
  }

  override get value(): number {
    return Math.min(this.capacity, Math.max(0, this.#whole.value - this.#first));
  }

  override set value(_value: number) {
    throw new TypeError(`Dimension ${this.name} follows ${this.#whole.name}: set that one`);
  }
}

/** A size: fixed, or set before each run. */
export type Size = number | Dim;

/** The value a size has now. */
export function sizeNow(size: Size): number {
  return typeof size === "number" ? size : size.value;
}

/** The largest value a size can take. */
export function sizeLimit(size: Size): number {
  return typeof size === "number" ? size : size.capacity;
}

/** Formats a shape for messages: `[T<=4096, 64]`. */
export function formatShape(shape: readonly Size[]): string {
  return `[${shape.map((s) => typeof s === "number" ? s : `${s.name}<=${s.capacity}`).join(", ")}]`;
}

/** Where a tensor's bytes are. */
export interface Storage {
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** Byte offset of the first element. */
  readonly offset: number;
}

/**
 * A named, typed, shaped range of GPU memory.
 *
 * Tensors made by {@linkcode Gpu.tensor} have memory at once; those made by {@linkcode Plan.empty} get theirs when the
 * plan is compiled. A view shares its root's memory.
 */
export class Tensor<D extends DType = DType> {
  /** Row-major sizes; the last is contiguous. */
  readonly shape: readonly Size[];
  /** Element type. */
  readonly dtype: D;
  /** Path shown in errors and profiles, for example `layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** Where this tensor's gradient accumulates, if it is a parameter. */
  grad: Tensor | undefined;

  #parent: { tensor: Tensor; byteOffset: number } | undefined;
  #buffers: readonly GPUBuffer[] = [];
  /** Bytes from which on the root lies in the next buffer. */
  #cuts: readonly number[] = [];

  /**
   * Makes a tensor without memory, or a view.
   *
   * @param shape Row-major sizes.
   * @param dtype Element type.
   * @param name Name shown in messages.
   * @param parent The tensor to share memory with, and the byte offset in it.
   */
  constructor(
    shape: readonly Size[],
    dtype: D,
    name: string,
    parent?: { tensor: Tensor; byteOffset: number },
  ) {
    for (const size of shape) {
      const n = sizeLimit(size);
      if (!Number.isInteger(n) || n < 0) {
        throw new RangeError(
          `Tensor ${name} has shape ${formatShape(shape)}: sizes must be integers >= 0`,
        );
      }
    }
    this.shape = shape;
    this.dtype = dtype;
    this.name = name;
    this.#parent = parent;
  }

  /** The tensor whose memory this one shares; itself unless it is a view. */
  get root(): Tensor {
    return this.#parent ? this.#parent.tensor.root : this;
  }

  /** Byte offset from the start of the root. */
  get rootOffset(): number {
    return this.#parent ? this.#parent.tensor.rootOffset + this.#parent.byteOffset : 0;
  }

  /** Elements memory is planned for. */
  get capacity(): number {
    return this.shape.reduce<number>((n, s) => n * sizeLimit(s), 1);
  }

  /** Elements in use now. */
  get length(): number {
    return this.shape.reduce<number>((n, s) => n * sizeNow(s), 1);
  }

  /** Bytes memory is planned for. */
  get byteLength(): number {
    return bytesOf(this.capacity, this.dtype);
  }

  /** Whether the memory exists yet. */
  get isAllocated(): boolean {
    return this.root.#buffers.length > 0;
  }

  /**
   * The buffer and offset.
   *
   * @throws {Error} If the plan this tensor belongs to is not compiled yet, or it lies in several buffers.
   */
  get storage(): Storage {
    const { piece } = this;
    const buffer = this.root.#buffers[piece];
    if (!buffer) throw new Error(`Tensor ${this.name} has no memory yet: compile its plan first`);
    const cuts = this.root.#cuts;
    const { rootOffset } = this;
    if (rootOffset + this.byteLength > (cuts[piece] ?? Infinity)) {
      throw new Error(
        `Tensor ${this.name} ${formatShape(this.shape)} lies in several buffers: use its pieces`,
      );
    }
    return { buffer, offset: rootOffset - (cuts[piece - 1] ?? 0) };
  }

  /** The buffers of its root. */
  get buffers(): readonly GPUBuffer[] {
    return this.root.#buffers;
  }

  /** Which of its root's buffers it begins in. */
  get piece(): number {
    const { rootOffset } = this;
    return this.root.#cuts.filter((cut) => cut <= rootOffset).length;
  }

  /** Elements at which it goes on in another buffer; none for most. */
  get cuts(): number[] {
    const { rootOffset, capacity } = this;
    return this.root.#cuts.map((cut) => (cut - rootOffset) / bytesPerElement(this.dtype))
      .filter((cut) => cut > 0 && cut < capacity);
  }

  /** The values in use now, flat, as far as they lie in one buffer each; itself for most. */
  get pieces(): readonly Tensor<D>[] {
    const { length } = this;
    const cuts = this.cuts.filter((cut) => cut < length);
    if (cuts.length === 0) return [this];
    return [0, ...cuts].map((elementOffset, i) =>
      this.view([(cuts[i] ?? length) - elementOffset], { elementOffset })
    );
  }

  /** Makes a root tensor that has no memory, and so all its views, part of another. */
  moveInto(tensor: Tensor, byteOffset: number): void {
    if (this.#parent || this.isAllocated) {
      throw new Error(`Tensor ${this.name} has its place already`);
    }
    this.#parent = { tensor, byteOffset };
  }

  /** Gives a root tensor its memory: a buffer, or several and the elements at which it goes on in the next one. */
  allocate(buffers: GPUBuffer | readonly GPUBuffer[], cuts: readonly number[] = []): void {
    if (this.root !== this) throw new Error(`Tensor ${this.name} is a view: allocate its root`);
    this.#buffers = [buffers].flat();
    this.#cuts = cuts.map((cut) => cut * bytesPerElement(this.dtype));
  }

  /**
   * A tensor over part of this one's memory.
   *
   * @param shape Shape of the view.
   * @param options `elementOffset` from the start of this tensor (default 0), and a `name`.
   * @throws {RangeError} If the view reaches beyond this tensor.
   */
  view(shape: readonly Size[], options: { elementOffset?: number; name?: string } = {}): Tensor<D> {
    checkNames("Tensor.view", options, ["elementOffset", "name"]);
    const elementOffset = options.elementOffset ?? 0;
    const view = new Tensor(shape, this.dtype, options.name ?? this.name, {
      tensor: this,
      byteOffset: elementOffset * bytesPerElement(this.dtype),
    });
    if (elementOffset + view.capacity > this.capacity) {
      throw new RangeError(
        `View ${view.name} ${formatShape(shape)} at ${elementOffset} reaches beyond ` +
          `${this.name} ${formatShape(this.shape)}`,
      );
    }
    return view;
  }
}
