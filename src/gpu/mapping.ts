/**
 * Buffers that the host reads, and whether it has to wait for them.
 *
 * @module
 */

/**
 * Creates a buffer; one that can be mapped is mapped once right away, because Deno gives access without awaiting only to
 * buffers that were mapped before.
 */
export function createReadable(device: GPUDevice, descriptor: GPUBufferDescriptor): GPUBuffer {
  if (!(descriptor.usage & GPUBufferUsage.MAP_READ)) return device.createBuffer(descriptor);
  const buffer = device.createBuffer({ ...descriptor, mappedAtCreation: true });
  buffer.unmap();
  return buffer;
}

/**
 * Finds out whether `getMappedRange` works right after an un-awaited `mapAsync`, as it does in Deno, where awaiting
 * costs 10 ms of sleep.
 */
export async function probeSynchronousMapping(device: GPUDevice): Promise<boolean> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const buffer = createReadable(device, { size: 16, usage, label: "probe" });
  try {
    device.queue.writeBuffer(buffer, 0, new Uint32Array([0x5eed]));
    device.queue.submit([]); // what is written waits for a submit
    const pending = buffer.mapAsync(GPUMapMode.READ).catch(() => {});
    const ok = new Uint32Array(buffer.getMappedRange())[0] === 0x5eed;
    buffer.unmap();
    await pending;
    return ok;
  } catch {
    return false;
  } finally {
    buffer.destroy();
  }
}
