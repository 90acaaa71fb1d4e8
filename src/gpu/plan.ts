/**
 * Plans: a list of dispatches recorded once and replayed every step.
 *
 * Recording creates nothing on the GPU. {@linkcode Plan.compile} assigns memory by lifetime, makes all bind groups and
 * one uniform buffer; after that a run only encodes and submits. Sizes that change from run to run are {@linkcode Dim}s:
 * dispatch counts and parameters follow their current value.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { Arena, type Lifetime } from "./arena.ts";
import { bind } from "./command.ts";
import type { Gpu } from "./device.ts";
import { Tape } from "./tape.ts";
import type { Tensor } from "./tensor.ts";
import { Uniforms } from "./uniforms.ts";

/** Options of {@linkcode Plan}. */
export interface PlanOptions {
  /** Where intermediate tensors live; a new arena by default. */
  arena?: Arena;
  /** Whether gradient rules are recorded. Default `false`. */
  gradients?: boolean;
}

/** A recorded list of dispatches with planned memory. */
export class Plan extends Tape {
  /** The device it runs on. */
  readonly gpu: Gpu;

  readonly #arena: Arena;
  readonly #ownsArena: boolean;
  #uniforms: Uniforms | undefined;
  #ownBuffers: GPUBuffer[] = [];
  #destroyed = false;
  /** Buffers of the device destroyed when this plan's were last looked at. */
  #checkedAt = -1;

  /**
   * Begins a plan without any dispatch.
   *
   * @param gpu The device.
   * @param name Name shown in errors.
   * @param options Arena to share and whether to record gradients.
   */
  constructor(gpu: Gpu, name: string, options: PlanOptions = {}) {
    checkNames("Plan", options, ["arena", "gradients"]);
    super(name, options.gradients ?? false);
    this.gpu = gpu;
    this.#arena = options.arena ?? new Arena(gpu, name);
    this.#ownsArena = options.arena === undefined;
  }

  /** Whether memory is planned, so that nothing more can be recorded. */
  protected get isCompiled(): boolean {
    return this.#uniforms !== undefined;
  }

  /**
   * Waits for the kernels, plans memory and makes the bind groups.
   *
   * @returns This plan.
   * @throws {Error} If a kernel does not compile (with its message and line), or memory does not suffice.
   */
  async compile(): Promise<this> {
    const { gpu } = this;
    for (const { kernel, label } of this) {
      try {
        await kernel.ready;
      } catch (error) {
        throw new Error(`${(error as Error).message}\n  needed by ${label} in plan ${this.name}`);
      }
    }
    gpu.device.pushErrorScope("validation");
    let thrown: unknown;
    try {
      this.#requireMemory();
      this.#placeTensors();
      this.#uniforms = gpu.memory.allOrNone(() => new Uniforms(gpu, this.name, [...this]));
      this.#bindCommands(this.#uniforms);
    } catch (error) {
      thrown = error;
    }
    const validation = await gpu.device.popErrorScope();
    await gpu.memory.settle();
    const lacks = [...this].some(({ bindings }) =>
      Object.values(bindings).some(({ buffers }) => buffers.some((b) => gpu.memory.isMissing(b)))
    );
    if (lacks) {
      throw new Error(
        `Plan ${this.name} needs ${mebibytes(this.#arena.byteLength)} MiB for intermediate ` +
          `tensors beside ${mebibytes(gpu.counters.bytesAllocated - this.#arena.byteLength)} ` +
          `MiB already in use: ${gpu.memory.shortage}. Lower ` +
          "maxTokensPerMicroBatch or the model's size",
      );
    }
    if (thrown) throw thrown;
    if (validation) throw new Error(`Plan ${this.name} is not valid: ${validation.message}`);
    return this;
  }

  #placeTensors(): void {
    const lifetimes = new Map<Tensor, Lifetime>();
    const used = new Set<Tensor>();
    for (const [index, { bindings }] of [...this].entries()) {
      for (const { root } of Object.values(bindings)) {
        used.add(root);
        if (root.isAllocated || this.keptTensors.has(root)) continue;
        if (!this.declares(root)) {
          throw new TypeError(
            `Tensor ${root.name} is used in plan ${this.name} but belongs to another`,
          );
        }
        const known = lifetimes.get(root);
        if (known) known.last = index;
        else lifetimes.set(root, { tensor: root, first: index, last: index });
      }
    }
    for (const tensor of this.leftTensors) {
      if (lifetimes.has(tensor)) lifetimes.set(tensor, { tensor, first: 0, last: Infinity });
    }
    this.#arena.place([...lifetimes.values()]);
    for (const tensor of this.keptTensors) {
      if (tensor.isAllocated || !used.has(tensor)) continue;
      const buffer = this.gpu.createBuffer(
        tensor.byteLength,
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        tensor.name,
      );
      this.#ownBuffers.push(buffer);
      tensor.allocate(buffer);
      const values = this.constants.get(tensor);
      if (values) this.gpu.write(tensor, values);
    }
  }

  #bindCommands(uniforms: Uniforms): void {
    for (const [index, command] of [...this].entries()) {
      command.bindGroup = bind(this.gpu.device, command, uniforms.slot(index, command));
      this.gpu.counters.bindGroups++;
    }
  }

  /** Turns after which the device ends the loops of an invocation. */
  protected get loopLimit(): number {
    return this.gpu.loopLimit;
  }

  /** Refuses to run on memory that was released: the device would be out of order for everybody. */
  #requireMemory(): void {
    const { gpu } = this;
    if (this.#destroyed) throw new Error(`Plan ${this.name} was destroyed: record another`);
    if (this.#checkedAt === gpu.memory.destroyed) return;
    for (const { bindings, label } of this) {
      for (const tensor of Object.values(bindings)) {
        gpu.memory.require(tensor, `run ${label} of plan ${this.name}`);
      }
    }
    this.#checkedAt = gpu.memory.destroyed;
  }

  /**
   * Takes dimensions and computed parameters as they are now; called before a run.
   *
   * @throws {Error} If the plan, or a tensor of it, was destroyed.
   */
  prepare(): void {
    if (!this.#uniforms) {
      throw new TypeError(`Plan ${this.name} is not compiled: await compile() first`);
    }
    this.#requireMemory();
    this.#uniforms.update();
  }

  /** Releases the plan's own buffers, and its arena unless it is shared. Tensors kept by it can no longer be used. */
  destroy(): void {
    this.#destroyed = true;
    this.#uniforms?.destroy();
    for (const buffer of this.#ownBuffers) this.gpu.destroyBuffer(buffer);
    this.#ownBuffers = [];
    if (this.#ownsArena) this.#arena.destroy();
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
