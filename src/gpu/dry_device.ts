/**
 * A device that allocates and computes nothing, to find out what something would need.
 *
 * @module
 */

import { deferred } from "../host/deferred.ts";

/** What {@linkcode dryDevice} fakes of a buffer. */
class DryBuffer {
  readonly size: number;
  readonly label: string;

  constructor({ size, label = "" }: GPUBufferDescriptor) {
    this.size = size;
    this.label = label;
  }

  destroy(): void {}

  unmap(): void {}

  mapAsync(): Promise<void> {
    return Promise.resolve();
  }

  getMappedRange(_offset = 0, size = this.size): ArrayBuffer {
    return new ArrayBuffer(size);
  }
}

/**
 * A stand-in with the limits and features of a device; nothing is allocated, compiled or run, and all that is read is
 * zero.
 *
 * @param device Whose limits and features to have.
 */
export function dryDevice(device: GPUDevice): GPUDevice {
  const { promise: lost, resolve: lose } = deferred<{ reason: string }>();
  const nothing = () => ({});
  const pass = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
  const stand = {
    limits: device.limits,
    features: device.features,
    lost,
    destroy: () => lose({ reason: "destroyed" }),
    addEventListener() {},
    pushErrorScope() {},
    popErrorScope: () => Promise.resolve(null),
    createBuffer: (descriptor: GPUBufferDescriptor) => new DryBuffer(descriptor),
    createShaderModule: nothing,
    createBindGroupLayout: nothing,
    createPipelineLayout: nothing,
    createComputePipeline: nothing,
    createBindGroup: nothing,
    createCommandEncoder: () => ({
      beginComputePass: () => pass,
      copyBufferToBuffer() {},
      clearBuffer() {},
      finish: nothing,
    }),
    queue: { writeBuffer() {}, submit() {}, onSubmittedWorkDone: () => Promise.resolve() },
  };
  return stand as unknown as GPUDevice;
}
