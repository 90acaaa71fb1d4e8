/** Tests with what they need set up and put away again. */

import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { onEveryDevice } from "./gpu.ts";
import { inTempDir } from "./temp_dir.ts";

/** Ways to register a test; bodies get its context besides. */
export const test = {
  /** With an empty folder. */
  inDir(name: string, body: (dir: string, t: Deno.TestContext) => Promise<void>): void {
    Deno.test(name, (t) => inTempDir((dir) => body(dir, t)));
  },

  /** With a device. */
  onGpu(name: string, body: (gpu: Gpu, t: Deno.TestContext) => Promise<void> | void): void {
    Deno.test(name, async (t) => {
      const gpu = await openGpu();
      try {
        await body(gpu, t);
      } finally {
        await gpu.close();
      }
    });
  },

  /** On every path the kernels have, see {@linkcode onEveryDevice}. */
  onDevices(name: string, body: (gpu: Gpu, t: Deno.TestContext) => Promise<void> | void): void {
    Deno.test(name, (t) => onEveryDevice(t, async (gpu, t) => await body(gpu, t)));
  },
};
