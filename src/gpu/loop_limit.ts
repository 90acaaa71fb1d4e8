/**
 * Drivers that end loops.
 *
 * Mesa's llvmpipe before version 23 counts the turns of all loops of an invocation, nested and consecutive ones added up, and
 * leaves every loop once they are 65,535, without an error.
 *
 * @module
 */

import { compileKernel } from "./kernel.ts";

/** More turns than a driver that ends loops allows. */
const TRIED = 70_000;

const code = `
struct Params { turns: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> taken: array<u32>;

@compute @workgroup_size(1)
fn count() {
    var n = 0u;
    for (var i = 0u; i < params.turns; i++) { n += 1u; }
    taken[0] = n;
}`;

/**
 * Finds out after how many turns a device ends the loops of an invocation; about a millisecond on a software adapter.
 *
 * @param device The device.
 * @returns The turns, or `Infinity` if loops end by themselves alone.
 */
export async function probeLoopLimit(device: GPUDevice): Promise<number> {
  const kernel = compileKernel(device, { name: "loop_limit", code, entryPoint: "count" });
  await kernel.ready;
  const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = (usage: number) => device.createBuffer({ size: 16, usage });
  const params = buffer(UNIFORM | COPY_DST);
  const taken = buffer(STORAGE | COPY_SRC);
  const staging = buffer(MAP_READ | COPY_DST);
  device.queue.writeBuffer(params, 0, new Uint32Array([TRIED]));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(kernel.pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: kernel.layout,
      entries: [params, taken].map((buffer, binding) => ({ binding, resource: { buffer } })),
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(taken, 0, staging, 0, 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const turns = new Uint32Array(staging.getMappedRange())[0]!;
  for (const used of [params, taken, staging]) used.destroy();
  return turns < TRIED ? turns : Infinity;
}
