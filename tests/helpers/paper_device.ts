/** A device that exists on paper only, and a model too large for tests. */

import { Gpu } from "../../src/gpu/device.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";

/** Sizes of Qwen2.5-0.5B. */
export const QWEN = {
  vocabSize: 151936,
  hiddenSize: 896,
  intermediateSize: 4864,
  numHiddenLayers: 24,
  numAttentionHeads: 14,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 32768,
};

/** A device with some limits that computes nothing. */
export async function paperDevice(limits: Partial<Record<string, number>>): Promise<Gpu> {
  const device = {
    limits: { maxStorageBufferBindingSize: 2 ** 31 - 1, maxBufferSize: 2 ** 32, ...limits },
    features: new Set(),
  };
  return await Gpu.fromDevice(dryDevice(device as unknown as GPUDevice));
}
