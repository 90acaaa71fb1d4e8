/**
 * What a device can do at most: the roofline that a kernel's time is compared with.
 *
 * @module
 */

import code from "../../../kernels/general/peaks.wgsl" with { type: "text" };
import type { Gpu } from "../../gpu/device.ts";
import { Plan } from "../../gpu/plan.ts";
import { Profiler } from "../../gpu/profile.ts";
import { submit } from "../../gpu/submit.ts";

/** What a device does at most in a second, as far as kernels get. */
export interface DevicePeaks {
  /** Floating-point operations in float32, a multiplication and an addition being two; matrix units do more. */
  readonly flopsPerSecond: number;
  /** Bytes read and written in order, of arrays that no cache holds. */
  readonly bytesPerSecond: number;
}

/** Operations of a turn of the kernel's loop. */
const TURN_FLOPS = 64;

/** Numbers to copy, lanes that compute, and their turns: a few milliseconds, for processors and for graphics processors. */
const [SOFTWARE, HARDWARE] = [
  { numbers: 2 ** 23, lanes: 2 ** 14, turns: 1024 },
  { numbers: 2 ** 26, lanes: 2 ** 21, turns: 1024 },
];

/** The best of so many runs counts. */
const RUNS = 5;

/**
 * Measures a device's peaks, by copying an array and by multiplying and adding in registers.
 *
 * @param gpu A device with timestamp queries; its profiler rests meanwhile.
 * @throws {Error} If the device has none.
 */
export async function measurePeaks(gpu: Gpu): Promise<DevicePeaks> {
  const { numbers: wanted, lanes, turns } = gpu.adapter.isFallback ? SOFTWARE : HARDWARE;
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const numbers = Math.min(wanted, maxStorageBufferBindingSize / 4, maxBufferSize / 4);
  const plan = new Plan(gpu, "peaks");
  const before = gpu.profiler;
  const profiler = new Profiler(gpu);
  try {
    const src = plan.input([numbers], "src");
    const dst = plan.keep(plan.empty([numbers], "dst"));
    const flops = lanes * turns * TURN_FLOPS;
    const record = (entryPoint: "copy" | "multiply_add", count: number) =>
      plan.dispatch({
        kernel: gpu.kernel({ name: "peaks", code, entryPoint }),
        label: entryPoint,
        bindings: { src, dst },
        params: { count, turns },
        turns: entryPoint === "copy" ? 0 : turns,
        workgroups: Math.ceil(count / 64),
      });
    record("copy", numbers / 4);
    record("multiply_add", lanes);
    await plan.compile();
    gpu.profiler = profiler;
    const best = { copy: Infinity, multiply_add: Infinity };
    for (let run = 0; run < RUNS; run++) {
      profiler.reset();
      submit(gpu, [plan]);
      await profiler.collect();
      for (const { label, nanoseconds } of profiler.entries.values()) {
        const name = label as keyof typeof best;
        best[name] = Math.min(best[name], nanoseconds / 1e9);
      }
    }
    return { flopsPerSecond: flops / best.multiply_add, bytesPerSecond: 8 * numbers / best.copy };
  } finally {
    gpu.profiler = before;
    profiler.destroy();
    plan.destroy();
  }
}
