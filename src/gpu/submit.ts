/**
 * Running plans: everything handed over together goes into one pass and one submit, and what is asked for comes back
 * through a staging buffer made beforehand.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import type { Plan } from "./plan.ts";
import { bytesOf, type DType, type Tensor } from "./tensor.ts";

/** One thing to do in a submit. */
export type Work =
  | Plan
  /** A plan, several times. */
  | { readonly plan: Plan; readonly times: number }
  /** Fill a tensor with zeros. */
  | { readonly clear: Tensor }
  /** Copy a tensor's values into another of the same size, in another buffer. */
  | { readonly copy: Tensor; readonly to: Tensor };

/** A typed copy of a tensor's values; those of `f16` come as float32. */
export type HostArray =
  | Float32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>;

/** A staging buffer for reading a fixed list of tensors back. */
export class Readback {
  /** The tensors read, in order. */
  readonly tensors: readonly Tensor[];
  readonly #gpu: Gpu;
  readonly #staging: GPUBuffer;

  /**
   * Makes the staging buffer.
   *
   * @param gpu The device.
   * @param tensors What to read; they need no memory yet.
   */
  constructor(gpu: Gpu, tensors: readonly Tensor[]) {
    this.#gpu = gpu;
    this.tensors = tensors;
    const bytes = tensors.reduce((n, t) => n + t.byteLength, 0);
    this.#staging = gpu.createBuffer(
      bytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      `readback ${tensors.map((t) => t.name).join(", ")}`,
    );
  }

  /** Encodes the copies of the values in use now. */
  encode(encoder: GPUCommandEncoder): void {
    let at = 0;
    for (const tensor of this.tensors) {
      const { buffer, offset } = tensor.storage;
      const bytes = bytesOf(tensor.length, tensor.dtype);
      if (bytes > 0) encoder.copyBufferToBuffer(buffer, offset, this.#staging, at, bytes);
      at += bytes;
    }
  }

  /** Waits for the copies and returns one typed array per tensor. */
  async take(): Promise<HostArray[]> {
    const bytes = this.tensors.reduce((n, t) => n + bytesOf(t.length, t.dtype), 0);
    const pending = this.#staging.mapAsync(GPUMapMode.READ, 0, Math.max(4, bytes));
    if (this.#gpu.mapsSynchronously) this.#gpu.background(pending);
    else await pending;
    const copy = this.#staging.getMappedRange(0, Math.max(4, bytes)).slice(0);
    this.#staging.unmap();
    await this.#gpu.yieldNowAndThen();
    this.#gpu.counters.bytesFromGpu += bytes;
    let at = 0;
    return this.tensors.map(({ dtype, length }) => {
      const array = dtype === "f16"
        ? Float32Array.from(new Float16Array(copy, at, length))
        : new (hostArrayType(dtype))(copy, at, length);
      at += bytesOf(length, dtype);
      return array;
    });
  }

  /** Releases the staging buffer. */
  destroy(): void {
    this.#gpu.destroyBuffer(this.#staging);
  }
}

function hostArrayType(dtype: DType) {
  return dtype === "u32" ? Uint32Array : dtype === "i32" ? Int32Array : Float32Array;
}

/**
 * Runs work in order, in one submit.
 *
 * @param gpu The device.
 * @param work Plans, clears and copies. All plans' parameters are taken before the first one runs.
 * @param readback What to copy to the host afterwards; call {@linkcode Readback.take} next.
 * @throws {Error} If the device failed since the last call.
 */
export function submit(gpu: Gpu, work: readonly Work[], readback?: Readback): void {
  gpu.check();
  const encoder = gpu.device.createCommandEncoder();
  let pass: GPUComputePassEncoder | undefined;
  const endPass = () => {
    pass?.end();
    pass = undefined;
  };
  for (const item of work) {
    if ("clear" in item) {
      endPass();
      const { buffer, offset } = item.clear.storage;
      encoder.clearBuffer(buffer, offset, bytesOf(item.clear.length, item.clear.dtype));
      continue;
    }
    if ("copy" in item) {
      endPass();
      const [from, to] = [item.copy.storage, item.to.storage];
      const { length, dtype } = item.copy;
      if (length !== item.to.length || dtype !== item.to.dtype) {
        throw new RangeError(
          `Cannot copy ${item.copy.name} of ${length} values to ${item.to.name} of ${item.to.length} ` +
            `(${dtype} to ${item.to.dtype})`,
        );
      }
      const bytes = bytesOf(length, dtype);
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
      continue;
    }
    const { plan, times } = "plan" in item ? item : { plan: item, times: 1 };
    plan.prepare();
    for (let run = 0; run < times; run++) {
      for (const command of plan.commands) {
        if (gpu.profiler) {
          endPass();
          gpu.profiler.encode(encoder, plan, command);
        } else {
          pass ??= encoder.beginComputePass();
          plan.encodeCommand(pass, command);
        }
      }
    }
  }
  endPass();
  readback?.encode(encoder);
  gpu.profiler?.encodeCopy(encoder);
  gpu.device.queue.submit([encoder.finish()]);
  gpu.counters.submits++;
}

/** Elements {@linkcode readTensor} reads at a time: a device full to the brim has room for 64 MiB. */
const PIECE = 2 ** 24;

/**
 * Reads one tensor; for tests, tools and checkpoints. Hot paths keep a {@linkcode Readback}.
 *
 * @param gpu The device.
 * @param tensor What to read.
 * @param options `pieceLength`, the most elements to read at a time. Default 2^24.
 */
export async function readTensor(
  gpu: Gpu,
  tensor: Tensor,
  { pieceLength = PIECE }: { readonly pieceLength?: number } = {},
): Promise<HostArray> {
  const { length } = tensor;
  if (length <= pieceLength) return await readPiece(gpu, tensor);
  const all = new (hostArrayType(tensor.dtype))(length);
  for (let elementOffset = 0; elementOffset < length; elementOffset += pieceLength) {
    const piece = tensor.view([Math.min(pieceLength, length - elementOffset)], { elementOffset });
    all.set(await readPiece(gpu, piece), elementOffset);
  }
  return all;
}

async function readPiece(gpu: Gpu, tensor: Tensor): Promise<HostArray> {
  const readback = new Readback(gpu, [tensor]);
  try {
    submit(gpu, [], readback);
    const [values] = await readback.take();
    gpu.check();
    return values!;
  } finally {
    readback.destroy();
  }
}

/** A dispatch whose output is not finite. */
export interface NonFinite {
  /** Path of the dispatch. */
  readonly label: string;
  /** The tensor it wrote. */
  readonly tensor: string;
  /** Index of the first bad element. */
  readonly index: number;
  /** Its value. */
  readonly value: number;
}

/**
 * Runs a plan one dispatch at a time and reports the first value that is not finite. Slow; for finding out why a step
 * failed.
 *
 * @param gpu The device.
 * @param plan The plan, with its inputs as they were when it failed.
 */
export async function locateNonFinite(gpu: Gpu, plan: Plan): Promise<NonFinite | undefined> {
  plan.prepare();
  const seen = new Set<Tensor>();
  for (const command of plan.commands) {
    const encoder = gpu.device.createCommandEncoder();
    // Memory is shared among intermediate tensors; what a kernel leaves unwritten must not be taken for its output.
    for (const { root } of Object.values(command.bindings)) {
      if (!seen.has(root) && plan.isIntermediate(root)) {
        encoder.clearBuffer(root.storage.buffer, root.storage.offset, root.byteLength);
      }
      seen.add(root);
    }
    const pass = encoder.beginComputePass();
    plan.encodeCommand(pass, command);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    for (const binding of command.kernel.bindings) {
      const tensor = command.bindings[binding.name]!;
      if (!binding.writes || !["f32", "f16"].includes(tensor.dtype)) continue;
      const values = await readTensor(gpu, tensor);
      const index = values.findIndex((v) => !Number.isFinite(v));
      if (index >= 0) {
        return { label: command.label, tensor: tensor.name, index, value: values[index]! };
      }
    }
  }
  return undefined;
}
