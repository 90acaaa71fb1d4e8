/** A device that has no room for some buffers. */

import type { Gpu } from "../../src/gpu/device.ts";

/**
 * Lets a device report that there is no room for buffers, as it would.
 *
 * @param isTooMuch Which, by their labels.
 * @returns What ends it.
 */
export function withoutRoomFor(gpu: Gpu, isTooMuch: (label: string) => boolean): () => void {
  const { device } = gpu;
  const { createBuffer, pushErrorScope, popErrorScope } = device;
  // The scopes that are open, and whether a buffer was too much in them.
  const open: { filter: GPUErrorFilter; tooMuch: boolean }[] = [];
  device.pushErrorScope = (filter) => {
    open.push({ filter, tooMuch: false });
    pushErrorScope.call(device, filter);
  };
  device.createBuffer = (descriptor) => {
    const scope = open.findLast(({ filter }) => filter === "out-of-memory");
    if (scope && isTooMuch(descriptor.label ?? "")) scope.tooMuch = true;
    return createBuffer.call(device, descriptor);
  };
  device.popErrorScope = async () => {
    const scope = open.pop();
    const error = await popErrorScope.call(device);
    return scope?.tooMuch ? { message: "not enough memory" } as GPUOutOfMemoryError : error;
  };
  return () => Object.assign(device, { createBuffer, pushErrorScope, popErrorScope });
}
