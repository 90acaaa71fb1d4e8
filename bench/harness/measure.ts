/**
 * Timing: medians of repeated samples, in wall-clock time and in CPU time of the whole process.
 *
 * On a software adapter the "GPU" is threads of this process, so CPU time is the figure that survives a busy machine; on
 * a real GPU it only says how much the host did.
 *
 * @module
 */

import process from "node:process";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";

/** How long something took, milliseconds. */
export interface Timing {
  /** Median wall-clock time of one repetition. */
  readonly wallMs: number;
  /** Median CPU time of one repetition, all threads of the process. */
  readonly cpuMs: number;
  /** The fastest sample's wall-clock time. */
  readonly minWallMs: number;
  /** Samples taken, each of `repetitions`. */
  readonly samples: number;
  /** Repetitions in each sample. */
  readonly repetitions: number;
}

/** How long to measure. */
export interface Effort {
  /** Samples of each measurement. */
  readonly samples: number;
  /** A sample repeats the work until it takes about this long. */
  readonly sampleMs: number;
  /** No more repetitions than this. */
  readonly maxRepetitions: number;
}

/** For figures. */
export const FULL: Effort = { samples: 5, sampleMs: 120, maxRepetitions: 2000 };
/** For trying out that everything runs. */
export const QUICK: Effort = { samples: 2, sampleMs: 1, maxRepetitions: 4 };

/** CPU time of this process so far, milliseconds. */
export function cpuNow(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/**
 * Times work that can be repeated.
 *
 * @param run Does the work `repetitions` times and waits until it is done.
 * @param effort How long to measure.
 */
export async function measure(
  run: (repetitions: number) => Promise<void>,
  effort: Effort,
): Promise<Timing> {
  await run(1); // compiles, fills caches
  let start = performance.now();
  await run(1);
  const once = performance.now() - start;
  const repetitions = Math.max(
    1,
    Math.min(effort.maxRepetitions, Math.round(effort.sampleMs / Math.max(once, 1e-3))),
  );
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let sample = 0; sample < effort.samples; sample++) {
    const cpu = cpuNow();
    start = performance.now();
    await run(repetitions);
    walls.push((performance.now() - start) / repetitions);
    cpus.push((cpuNow() - cpu) / repetitions);
  }
  return {
    wallMs: median(walls),
    cpuMs: median(cpus),
    minWallMs: Math.min(...walls),
    samples: effort.samples,
    repetitions,
  };
}

/**
 * Waits for the GPU without the 10 ms that awaiting costs in Deno, where the device allows it.
 */
export class Fence {
  readonly #gpu: Gpu;
  readonly #tensor: Tensor;
  readonly #readback: Readback;

  /** @param gpu The device to wait for. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#tensor = gpu.tensor([4], { name: "fence" });
    this.#readback = new Readback(gpu, [this.#tensor]);
  }

  /** Resolves when everything submitted so far is done. */
  async wait(): Promise<void> {
    submit(this.#gpu, [], this.#readback);
    await this.#readback.take();
    this.#gpu.check();
  }

  /** Releases the memory. */
  destroy(): void {
    this.#readback.destroy();
    this.#gpu.destroyBuffer(this.#tensor.storage.buffer);
  }
}

/** The time that rates are taken over: CPU time on a software adapter, wall-clock time on a GPU. */
export function costMs(gpu: Gpu, timing: Timing): number {
  return gpu.adapter.isFallback ? timing.cpuMs : timing.wallMs;
}
