/**
 * Kernels and steps as cases of `deno bench`; the device's completion is inside the timed section.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { submit } from "../../src/gpu/submit.ts";
import { Inputs, type KernelCase } from "../cases/kernels.ts";
import { Fence } from "./measure.ts";

let opened: Promise<Gpu> | undefined;

/** The device all cases of a file share. */
export function benchGpu(): Promise<Gpu> {
  return opened ??= openGpu();
}

/** Where a case appears. */
export interface BenchOptions {
  /** Cases of one group are compared. */
  readonly group: string;
  /** The case that the others of its group are compared with. Default `false`. */
  readonly baseline?: boolean;
}

/** Registers work that is made ready once and then timed from its submit to its end. */
export function benchWork(
  name: string,
  options: BenchOptions,
  prepare: (gpu: Gpu) => Promise<() => Promise<void>>,
): void {
  let ready: Promise<() => Promise<void>> | undefined;
  Deno.bench({
    name,
    ...options,
    fn: async (b) => {
      const run = await (ready ??= benchGpu().then(prepare));
      b.start();
      await run();
      b.end();
    },
  });
}

/** Registers a kernel. */
export function benchKernel(kernel: KernelCase, options: BenchOptions): void {
  benchWork(`${kernel.name} ${kernel.shape}`, options, async (gpu) => {
    const plan = new Plan(gpu, "bench", { gradients: true });
    const ready = kernel.build(plan, new Inputs(gpu));
    await plan.compile();
    ready?.();
    const fence = new Fence(gpu);
    return async () => {
      submit(gpu, [plan]);
      await fence.wait();
    };
  });
}
