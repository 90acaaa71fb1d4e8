/**
 * Whether a device can hold and bind a policy's parameters.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { bytesPerElement } from "../gpu/tensor.ts";
import { bindableBytes } from "../ops/row_ranges.ts";
import { isByToken, layoutParameters } from "./parameter_layout.ts";
import type { StoredDType } from "./policy_weights.ts";
import { parameterShapes, type PolicyConfig } from "./config.ts";

/** Logits of a token that exist at the least. */
const LOGITS = 64;

/**
 * Checks a policy's parameters against a device's limits, before any memory is taken.
 *
 * @param dtype What its matrices take on the device at the most.
 * @throws {RangeError} Naming the tensor that is larger than the device can bind or hold in one buffer.
 */
export function checkDeviceLimits(gpu: Gpu, config: PolicyConfig, dtype: StoredDType): void {
  const most = bindableBytes(gpu);
  const refuse = (what: string, bytes: number) => {
    throw new RangeError(
      `${what} ${mebibytes(bytes)} in ${dtype}, and ${gpu.adapter.description} binds at ` +
        `most ${mebibytes(most)} (${
          most === gpu.device.limits.maxBufferSize ? "maxBufferSize" : "maxStorageBufferBindingSize"
        }): use another device or a smaller model`,
    );
  };
  for (const { name, shape } of parameterShapes(config)) {
    if (isByToken(name)) continue;
    const isGate = name.endsWith("gate_proj.weight");
    const bound = isGate ? [2 * shape[0]!, shape[1]!] : shape;
    const bytes = bound.reduce((n, size) => n * size, bytesPerElement(dtype));
    if (bytes > most) {
      refuse(`${name}${isGate ? " with up_proj" : ""} [${bound.join(", ")}] has`, bytes);
    }
  }
  const { vectors } = layoutParameters(config, dtype);
  if (4 * vectors > gpu.device.limits.maxBufferSize) refuse("norms and biases have", 4 * vectors);
}

/** How many packed tokens a pass of a policy may have, so that the device can bind its activations. */
export function bindableTokens(gpu: Gpu, config: PolicyConfig): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = config;
  // A token's widest activation: gates and ups, queries with keys and values, or what the head knows of it.
  const widest = Math.max(
    2 * intermediateSize,
    (numAttentionHeads + 2 * numKeyValueHeads) * headDim,
    hiddenSize,
    LOGITS,
    3 * gpu.traits.lanes,
  );
  return Math.floor(bindableBytes(gpu) / 4 / widest);
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
  dtype: StoredDType,
  completionLength: number,
): number {
  const perToken = 2 * numKeyValueHeads * headDim * bytesPerElement(dtype);
  return Math.floor(bindableBytes(gpu) / perToken / completionLength);
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
