/**
 * Whether a device can hold and bind a policy's parameters.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { bytesPerElement } from "../gpu/tensor.ts";
import { countParameters, parameterShapes, type PolicyConfig } from "./config.ts";

/** Logits of a token that exist at the least. */
const LOGITS = 64;

/**
 * Checks a policy's parameters against a device's limits, before any memory is taken.
 *
 * @param dtype What its matrices take on the device at the most.
 * @throws {RangeError} Naming the tensor that is larger than the device can bind, or the number of parameters that is more
 * than it can hold in one buffer.
 */
export function checkDeviceLimits(gpu: Gpu, config: PolicyConfig, dtype: "f32" | "f16"): void {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  for (const { name, shape } of parameterShapes(config)) {
    // The embedding and the head are used in ranges of rows.
    if (shape[0] === config.vocabSize) continue;
    const isGate = name.endsWith("gate_proj.weight");
    const bound = isGate ? [2 * shape[0]!, shape[1]!] : shape;
    const bytes = bound.reduce((n, size) => n * size, bytesPerElement(dtype));
    if (bytes > maxStorageBufferBindingSize) {
      throw new RangeError(
        `${name}${isGate ? " with up_proj" : ""} [${bound.join(", ")}] has ${mebibytes(bytes)} ` +
          `in ${dtype}, and ${gpu.adapter.description} binds at most ` +
          `${mebibytes(maxStorageBufferBindingSize)} (maxStorageBufferBindingSize): use another ` +
          "device or a smaller model",
      );
    }
  }
  const bytes = bytesPerElement(dtype) * countParameters(config);
  if (bytes > maxBufferSize) {
    throw new RangeError(
      `${countParameters(config)} parameters have ${mebibytes(bytes)} in ${dtype}, and the ` +
        `largest buffer of ${gpu.adapter.description} has ${mebibytes(maxBufferSize)} ` +
        "(maxBufferSize): use another device or a smaller model",
    );
  }
}

/** How many packed tokens a pass of a policy may have, so that the device can bind its activations. */
export function bindableTokens(gpu: Gpu, config: PolicyConfig): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = config;
  // A token's widest activation: gates and ups, queries with keys and values, or what the head knows of it.
  const widest = Math.max(
    2 * intermediateSize,
    (numAttentionHeads + 2 * numKeyValueHeads) * headDim,
    hiddenSize,
    LOGITS,
    3 * gpu.traits.lanes,
  );
  return Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4 / widest);
}

/**
 * How many sequences a policy may decode at once, so that the device can bind a layer's cache.
 *
 * @param dtype How the cache is stored.
 * @param completionLength The most tokens of a sequence.
 */
export function bindableSequences(
  gpu: Gpu,
  { numKeyValueHeads, headDim }: PolicyConfig,
  dtype: "f32" | "f16",
  completionLength: number,
): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const perToken = 2 * numKeyValueHeads * headDim * bytesPerElement(dtype);
  const bytes = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  return Math.floor(bytes / perToken / completionLength);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
