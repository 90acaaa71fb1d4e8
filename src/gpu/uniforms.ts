/**
 * The parameters of a plan's commands, in one buffer.
 *
 * @module
 */

import { type Command, paramNow } from "./command.ts";
import type { Gpu } from "./device.ts";
import type { ParamField } from "./kernel.ts";

/** Slots are this far apart: the largest alignment WebGPU may ask for. */
const STRIDE = 256;

/** A parameter that is taken anew before each run. */
interface Changing {
  readonly offset: number;
  readonly type: ParamField["type"];
  readonly value: () => number;
  readonly label: string;
}

/** A slot of parameters for each command of a plan. */
export class Uniforms {
  readonly #gpu: Gpu;
  readonly #data: DataView<ArrayBuffer>;
  readonly #buffer: GPUBuffer;
  readonly #changing: Changing[] = [];
  #dirty = true;

  /**
   * Makes the buffer and takes the parameters that never change.
   *
   * @param gpu The device.
   * @param name Name of the plan.
   * @param commands The plan's commands.
   * @throws {RangeError} If an integer parameter is none.
   */
  constructor(gpu: Gpu, name: string, commands: readonly Command[]) {
    this.#gpu = gpu;
    this.#data = new DataView(new ArrayBuffer(Math.max(1, commands.length) * STRIDE));
    this.#buffer = gpu.createBuffer(
      this.#data.byteLength,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      `${name}.params`,
    );
    for (const [index, { kernel, params, label }] of commands.entries()) {
      for (const [k, { name, type }] of kernel.params.entries()) {
        const offset = index * STRIDE + 4 * k;
        const param = params![name]!;
        if (typeof param === "number") this.#set(offset, type, param, label);
        else this.#changing.push({ offset, type, value: () => paramNow(param), label });
      }
    }
  }

  /** Where the parameters of the command at `index` are. */
  slot(index: number, { kernel }: Command): GPUBufferBinding {
    const size = Math.max(16, Math.ceil(kernel.params.length / 4) * 16);
    return { buffer: this.#buffer, offset: index * STRIDE, size };
  }

  #set(offset: number, type: ParamField["type"], value: number, label: string): void {
    if (type !== "f32" && !Number.isInteger(value)) {
      throw new RangeError(
        `${label}: a ${type} parameter must be an integer: current value is ${value}`,
      );
    }
    const before = this.#data.getUint32(offset, true);
    if (type === "f32") this.#data.setFloat32(offset, value, true);
    else this.#data.setUint32(offset, value >>> 0, true);
    if (this.#data.getUint32(offset, true) !== before) this.#dirty = true;
  }

  /** Takes dimensions and computed parameters as they are now, and brings the buffer up to date. */
  update(): void {
    for (const { offset, type, value, label } of this.#changing) {
      this.#set(offset, type, value(), label);
    }
    if (!this.#dirty) return;
    this.#gpu.device.queue.writeBuffer(this.#buffer, 0, this.#data.buffer);
    this.#gpu.counters.bytesToGpu += this.#data.byteLength;
    this.#dirty = false;
  }

  /** Releases the buffer. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#buffer);
  }
}
