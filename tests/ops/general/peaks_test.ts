import { assert, assertEquals } from "@std/assert";
import { Profiler } from "../../../src/gpu/profile.ts";
import { measurePeaks } from "../../../src/ops/general/peaks.ts";
import { sharedGpu } from "../../helpers/gpu.ts";

Deno.test("measurePeaks() finds rates that a device may have, and leaves it as it was", async () => {
  const gpu = await sharedGpu();
  const buffers = gpu.buffers.length;
  const profiler = gpu.profiler = new Profiler(gpu);
  const { flopsPerSecond, bytesPerSecond } = await measurePeaks(gpu);
  assertEquals(gpu.profiler, profiler);
  assertEquals(profiler.entries.size, 0);
  gpu.profiler = undefined;
  profiler.destroy();
  assertEquals(gpu.buffers.length, buffers);
  for (const [rate, most] of [[flopsPerSecond, 1e15], [bytesPerSecond, 1e14]] as const) {
    assert(rate > 1e6 && rate < most, `${rate} a second`);
  }
});
