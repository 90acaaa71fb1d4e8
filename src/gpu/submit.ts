/**
 * Running plans: everything handed over together goes into one pass and one submit, and what is asked for comes back
 * through a staging buffer made beforehand.
 *
 * @module
 */

import { encode } from "./command.ts";
import type { Gpu } from "./device.ts";
import { type HostArray, zeros } from "./host_array.ts";
import type { Plan } from "./plan.ts";
import { Readback } from "./readback.ts";
import { bytesOf, type DType, type Tensor } from "./tensor.ts";

/** One thing to do in a submit. */
export type Work =
  | Plan
  /** A plan, several times. */
  | { readonly plan: Plan; readonly times: number }
  /** Fill a tensor with zeros. */
  | { readonly clear: Tensor }
  /** Copy a tensor's values into another of the same size and cuts, in another buffer. */
  | { readonly copy: Tensor; readonly to: Tensor };

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
      gpu.memory.require(item.clear, "clear a tensor");
      for (const piece of item.clear.pieces) {
        const { buffer, offset } = piece.storage;
        encoder.clearBuffer(buffer, offset, bytesOf(piece.length, piece.dtype));
      }
      continue;
    }
    if ("copy" in item) {
      endPass();
      const { length, dtype } = item.copy;
      if (length !== item.to.length || dtype !== item.to.dtype) {
        throw new RangeError(
          `Cannot copy ${item.copy.name} of ${length} values to ${item.to.name} of ${item.to.length} ` +
            `(${dtype} to ${item.to.dtype})`,
        );
      }
      for (const tensor of [item.copy, item.to]) gpu.memory.require(tensor, "copy a tensor");
      const parts = item.to.pieces;
      for (const [i, piece] of item.copy.pieces.entries()) {
        const [from, to] = [piece.storage, parts[i]!.storage];
        const bytes = bytesOf(piece.length, dtype);
        encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
      }
      continue;
    }
    const { plan, times } = "plan" in item ? item : { plan: item, times: 1 };
    plan.prepare();
    for (let run = 0; run < times; run++) {
      for (const command of plan) {
        if (gpu.profiler) {
          endPass();
          gpu.profiler.encode(encoder, plan.name, command);
        } else {
          pass ??= encoder.beginComputePass();
          encode(pass, command, gpu.counters);
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
const AT_ONCE = 2 ** 24;

/**
 * Reads one tensor; for tests, tools and checkpoints. Hot paths keep a {@linkcode Readback}.
 *
 * @param gpu The device.
 * @param tensor What to read.
 */
export async function readTensor<D extends DType>(
  gpu: Gpu,
  tensor: Tensor<D>,
): Promise<HostArray<D>> {
  const { length } = tensor;
  if (length <= AT_ONCE) return await readPart(gpu, tensor);
  const all = zeros(tensor.dtype, length);
  for (let elementOffset = 0; elementOffset < length; elementOffset += AT_ONCE) {
    const part = tensor.view([Math.min(AT_ONCE, length - elementOffset)], { elementOffset });
    all.set(await readPart(gpu, part), elementOffset);
  }
  return all;
}

async function readPart<D extends DType>(gpu: Gpu, tensor: Tensor<D>): Promise<HostArray<D>> {
  const readback = new Readback(gpu, [tensor]);
  try {
    submit(gpu, [], readback);
    const [values] = await readback.take();
    gpu.check();
    return values;
  } finally {
    readback.destroy();
  }
}
