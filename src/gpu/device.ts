/**
 * The one object that owns a WebGPU device.
 *
 * A {@linkcode Gpu} creates buffers and kernels, counts what crosses the bus, and turns a lost device or an uncaptured
 * error into an exception at the next call.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { type AdapterSummary, type DeviceOrigin, ORIGIN } from "./adapter.ts";
import type { DispatchTimer } from "./command.ts";
import { compileAhead } from "./compile_ahead.ts";
import { type GpuCounters, zeroCounters } from "./counters.ts";
import { PLAIN } from "./dialect.ts";
import { dryDevice } from "./dry_device.ts";
import { type DeviceFacts, factsOf } from "./facts.ts";
import { toBytes } from "./host_array.ts";
import { DESCRIPTOR, type Kernel, type KernelChoices, type KernelDescriptor } from "./kernel.ts";
import { KernelCache } from "./kernel_cache.ts";
import { DeviceMemory } from "./memory.ts";
import { noMatrixUnits } from "./matrix_units.ts";
import { GPU_OPTIONS, type GpuOptions } from "./options.ts";
import { bytesOf, type DType, type Size, Tensor } from "./tensor.ts";
import { type DeviceTraits, traitsOf } from "./traits.ts";

/** The event loop gets a turn at least this often while results are read without awaiting. */
const TURN_MS = 100;

/** An open device: buffers, kernels, counters. Create one with {@linkcode openGpu}. */
export class Gpu {
  /** The WebGPU device underneath. */
  readonly device: GPUDevice;
  /** What the adapter is and can do. */
  readonly adapter: AdapterSummary;
  /** What kernels are chosen by. */
  readonly traits: DeviceTraits;
  /** Running totals since the device was opened. */
  readonly counters: GpuCounters = zeroCounters();
  /** Its buffers. */
  readonly memory: DeviceMemory;
  /** Whether a mapping can be read without awaiting it (found out by a probe when the device is opened). */
  readonly mapsSynchronously: boolean;
  /** Turns after which the driver ends the loops of an invocation without an error; `Infinity` for all but old Mesa. */
  readonly loopLimit: number;
  /** When set, every dispatch is timed, for example by a {@linkcode Profiler}. */
  profiler: DispatchTimer | undefined;
  /**
   * Kernels to take instead of the built-in choices, for what is recorded from now on. Names that an operation does not
   * have are passed over.
   */
  kernels: KernelChoices;

  /**
   * Is told how far compiling is, where kernels are compiled before they are needed: how many are, or soon will be, and of
   * how many.
   */
  onCompiling: ((kernels: number, total: number) => void) | undefined;

  readonly #kernels: KernelCache;
  #failure: Error | undefined;
  #closed = false;
  #background = new Set<Promise<unknown>>();
  #lastTurn = performance.now();
  readonly #ownsDevice: boolean;

  private constructor(
    device: GPUDevice,
    facts: DeviceFacts,
    kernels: KernelChoices,
    { owned = false, another }: DeviceOrigin,
  ) {
    this.device = device;
    this.kernels = kernels;
    this.memory = new DeviceMemory(device, this.counters);
    const onProgress = (kernels: number, total: number) => this.onCompiling?.(kernels, total);
    const ahead = compileAhead(device, facts, { another, counters: this.counters, onProgress });
    this.#kernels = new KernelCache(device, facts.dialect, this.counters, ahead);
    this.#ownsDevice = owned;
    this.adapter = facts.adapter;
    this.traits = traitsOf(facts.adapter, device.limits.maxComputeWorkgroupStorageSize);
    this.mapsSynchronously = facts.mapsSynchronously;
    this.loopLimit = facts.loopLimit;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      this.#hear(new Error(`The GPU reported an error: ${error.message}`));
    });
    device.lost.then((info) => {
      if (!this.#closed) {
        this.#failure = new Error(
          `The GPU device was lost (${info.reason || "unknown"}): ${info.message}. Resume from ` +
            "the last checkpoint",
        );
      }
    });
  }

  /**
   * Wraps a device that already exists.
   *
   * @param device Any `GPUDevice`.
   * @param options Kernels to choose, and what to treat the adapter as.
   * @param origin Where it is from. Default: unknown, and it is left to whoever made it.
   * @throws {Error} If matrix units are asked for and there are none; the message says where they can be had.
   */
  static async fromDevice(
    device: GPUDevice,
    options: GpuOptions = {},
    origin: DeviceOrigin = {},
  ): Promise<Gpu> {
    checkNames("Gpu.fromDevice", options, GPU_OPTIONS);
    checkNames("Gpu.fromDevice's origin", origin, ORIGIN);
    const facts = await factsOf(device, origin.info);
    const { matrixUnits, ...known } = facts.adapter;
    if (options.matrixUnits && matrixUnits.length === 0) {
      throw noMatrixUnits(device, known.description);
    }
    const units = options.matrixUnits ? matrixUnits : [];
    const adapter = { ...known, matrixUnits: units, ...options.treatAs };
    return new Gpu(device, { ...facts, adapter }, options.kernels ?? {}, origin);
  }

  /**
   * A stand-in for this device that allocates and computes nothing.
   *
   * Build something on it to learn from its {@linkcode counters} what that takes, and be refused what is beyond the
   * device's limits, before any memory is taken.
   */
  rehearsal(): Gpu {
    const facts = {
      adapter: this.adapter,
      mapsSynchronously: false,
      loopLimit: this.loopLimit,
      dialect: PLAIN,
      compilesLate: false,
    };
    return new Gpu(dryDevice(this.device), facts, this.kernels, { owned: true });
  }

  /** The buffers alive now, the largest first. */
  get buffers(): { readonly label: string; readonly size: number }[] {
    return this.memory.list;
  }

  /**
   * Throws what went wrong on the device since the last call, if anything.
   *
   * @throws {Error} If the device was lost, closed, or reported an error nobody caught; or if there is no room for a buffer,
   * for as long as that is not destroyed.
   */
  check(): void {
    if (this.#closed) throw new Error("This Gpu was closed: open another with openGpu()");
    if (this.#failure) throw this.#failure;
    const { shortage } = this.memory;
    if (shortage !== undefined) {
      throw new Error(
        `${shortage[0]!.toUpperCase()}${
          shortage.slice(1)
        }: ask for less, or destroy something first`,
      );
    }
  }

  /** Takes note of an error, unless it only follows from a buffer that there is no room for. */
  #hear(error: Error): void {
    if (this.memory.shortage !== undefined) return;
    if (this.memory.isPending) this.memory.settle().then(() => this.#hear(error));
    else this.#failure ??= error;
  }

  /**
   * Creates a zeroed buffer and counts it.
   *
   * @param size Bytes; rounded up to a multiple of 4.
   * @param usage `GPUBufferUsage` flags.
   * @param label Name shown in errors.
   * @throws {RangeError} If the size is beyond what the device allows.
   */
  createBuffer(size: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    this.check();
    return this.memory.create(size, usage, label);
  }

  /** Destroys a buffer made by {@linkcode createBuffer}. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.memory.destroy(buffer);
  }

  /**
   * Creates a tensor with memory of its own, zeroed or filled.
   *
   * @param shape Sizes; the last is contiguous.
   * @param options `data` in row-major order, `dtype` (default `"f32"`), a `name` for messages, and `cuts`, elements at which
   * the memory goes on in another buffer (default: none; dispatches bind what lies in one).
   * @throws {RangeError} If `data` does not have as many elements as `shape`, or memory does not suffice.
   */
  tensor<D extends DType = "f32">(
    shape: readonly Size[],
    options: {
      data?: ArrayLike<number>;
      dtype?: D;
      name?: string;
      cuts?: readonly number[] | undefined;
    } = {},
  ): Tensor<D> {
    checkNames("Gpu.tensor", options, ["data", "dtype", "name", "cuts"]);
    const { name = "tensor", cuts = [] } = options;
    const tensor = new Tensor(shape, options.dtype ?? "f32" as D, name);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffers = [0, ...cuts].map((first, i) => {
      const length = (cuts[i] ?? tensor.capacity) - first;
      return this.createBuffer(bytesOf(length, tensor.dtype), usage, name);
    });
    tensor.allocate(buffers, cuts);
    if (options.data) this.write(tensor, options.data);
    return tensor;
  }

  /** Releases the memory of a tensor made by {@linkcode tensor}, and so of all its views. */
  destroyTensor(tensor: Tensor): void {
    for (const buffer of tensor.buffers) this.destroyBuffer(buffer);
  }

  /**
   * Writes host values to the start of a tensor.
   *
   * @param tensor The destination; must have memory.
   * @param values At most as many values as the tensor holds. `f16` rounds them to the nearest, ties to even.
   * @param elementOffset Where in the tensor to begin. Default 0.
   * @throws {RangeError} If the values do not fit, or `f16` would make one of them infinite.
   */
  write(tensor: Tensor, values: ArrayLike<number>, elementOffset = 0): void {
    this.check();
    this.memory.require(tensor, "write to a tensor");
    if (elementOffset + values.length > tensor.capacity) {
      throw new RangeError(
        `Cannot write ${values.length} values at ${elementOffset} to tensor ${tensor.name} of ${tensor.capacity}`,
      );
    }
    if (values.length === 0) return;
    const data = toBytes(tensor, values, elementOffset);
    const target = tensor.view([values.length], { elementOffset });
    for (const piece of target.pieces) {
      const { buffer, offset } = piece.storage;
      const from = data.byteOffset + piece.rootOffset - target.rootOffset;
      this.device.queue.writeBuffer(buffer, offset, data.buffer, from, piece.byteLength);
    }
    this.counters.bytesToGpu += data.byteLength;
  }

  /**
   * Fetches a compiled kernel, compiling it at the first request.
   *
   * @param descriptor Source, entry point and override constants.
   */
  kernel(descriptor: KernelDescriptor): Kernel {
    checkNames("Gpu.kernel", descriptor, DESCRIPTOR);
    this.check();
    return this.#kernels.get(descriptor);
  }

  /** Waits until everything submitted so far is done. */
  async finish(): Promise<void> {
    await Promise.all([this.device.queue.onSubmittedWorkDone(), ...this.#background]);
    this.check();
  }

  /**
   * Gives the event loop a turn if it had none for a while. What is read without awaiting would otherwise keep timers,
   * signals and the device's own reports of errors waiting for as long as a loop runs.
   */
  async yieldNowAndThen(): Promise<void> {
    if (performance.now() - this.#lastTurn < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#lastTurn = performance.now();
    this.#kernels.rest();
  }

  /** Remembers a promise nobody awaits, so that {@linkcode close} can wait for it. */
  background(promise: Promise<unknown>): void {
    const settled = promise.catch(() => {}).finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  /**
   * Releases every buffer, and the device unless the caller brought it. Nothing made from this object may be used
   * afterwards.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    await Promise.all(this.#background);
    this.#closed = true;
    await this.#kernels.close();
    this.memory.destroyAll();
    if (!this.#ownsDevice) return;
    this.device.destroy();
    await this.device.lost;
  }
}
