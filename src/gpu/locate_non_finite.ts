/**
 * Finding the dispatch that first left a number that is none.
 *
 * @module
 */

import { encode } from "./command.ts";
import type { Gpu } from "./device.ts";
import type { Plan } from "./plan.ts";
import { readTensor } from "./submit.ts";
import type { Tensor } from "./tensor.ts";

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
  for (const command of plan) {
    const encoder = gpu.device.createCommandEncoder();
    // Memory is shared among intermediate tensors; what a kernel leaves unwritten must not be taken for its output.
    for (const { root } of Object.values(command.bindings)) {
      if (!seen.has(root) && plan.isIntermediate(root)) {
        encoder.clearBuffer(root.storage.buffer, root.storage.offset, root.byteLength);
      }
      seen.add(root);
    }
    const pass = encoder.beginComputePass();
    encode(pass, command, gpu.counters);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    for (const binding of command.kernel.bindings) {
      const tensor = command.bindings[binding.name]!;
      if (!binding.writes || !["f32", "f16", "bf16"].includes(tensor.dtype)) continue;
      const values = await readTensor(gpu, tensor);
      const index = values.findIndex((v) => !Number.isFinite(v));
      if (index >= 0) {
        return { label: command.label, tensor: tensor.name, index, value: values[index]! };
      }
    }
  }
  return undefined;
}
