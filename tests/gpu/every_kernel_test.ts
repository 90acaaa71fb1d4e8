/** What holds of every kernel, whatever the device. */

import { assert, assertEquals } from "@std/assert";
import { reflect } from "../../src/gpu/kernel.ts";
import { entryPointsWithout } from "../helpers/entry_points.ts";
import { everyKernel } from "../helpers/every_kernel.ts";

/** Storage buffers that every WebGPU device can bind at once. */
const DEFAULT_STORAGE_BUFFERS = 8;

const kernels = await everyKernel();

Deno.test("the list of kernels has every entry point there is", () => {
  // What measures a device is no part of any policy.
  const peaks = ["peaks.copy", "peaks.multiply_add"];
  assertEquals(entryPointsWithout(kernels.map((k) => `${k.name}.${k.entryPoint}`)), peaks);
});

Deno.test("no kernel binds more storage buffers than every device has", () => {
  assert(kernels.length > 100, `only ${kernels.length} kernels`);
  const beyond = new Set<string>();
  for (const { name, code, entryPoint } of kernels) {
    const { bindings } = reflect(code, entryPoint);
    if (bindings.length > DEFAULT_STORAGE_BUFFERS) {
      beyond.add(`${name}.${entryPoint}: ${bindings.map((b) => b.name).join(", ")}`);
    }
  }
  assertEquals([...beyond], []);
});
