/**
 * `--profile`: where the GPU's time goes while a command works.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Profiler } from "../gpu/profile.ts";
import { type DevicePeaks, measurePeaks } from "../ops/general/peaks.ts";
import { formatProfile } from "../run/profile_report.ts";
import { type Flag, switchFlag } from "./args.ts";
import { bold } from "./style.ts";

/** The flag. */
export const PROFILE_FLAG: Flag<boolean> = switchFlag(
  "Time every kernel and print where the GPU's time went; the work takes a little longer.",
);

/** Rows of the table by kernel and of the one by place in the model. */
const [KERNEL_ROWS, PATH_ROWS] = [12, 24];

/** Times what a device does until disposed. */
export class GpuProfile implements Disposable {
  readonly #gpu: Gpu;
  readonly #profiler: Profiler;
  #peaks: DevicePeaks | undefined;

  /**
   * Gets ready; the time begins with {@linkcode begin}.
   *
   * @throws {Error} If the device cannot measure times.
   */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#profiler = new Profiler(gpu);
  }

  /** Times everything from here on. */
  begin(): void {
    this.#gpu.profiler = this.#profiler;
  }

  /** Fetches the times so far, which take memory until then; the first time it also measures what the device can do. */
  async collect(): Promise<void> {
    await this.#profiler.collect();
    this.#peaks ??= await measurePeaks(this.#gpu);
  }

  /** Two tables: by kernel, and by place in the model. */
  format(): string {
    return [
      "",
      bold("Where the GPU's time went"),
      formatProfile(this.#profiler, { groupBy: "kernel", rows: KERNEL_ROWS, peaks: this.#peaks }),
      "",
      formatProfile(this.#profiler, { rows: PATH_ROWS, peaks: this.#peaks }),
    ].join("\n");
  }

  /** Stops timing and releases the memory. */
  [Symbol.dispose](): void {
    this.#gpu.profiler = undefined;
    this.#profiler.destroy();
  }
}
