/**
 * Learning-rate schedules.
 *
 * @module
 */

/** Shape of the learning rate after warm-up. */
export type LrScheduler = "constant" | "cosine";

/** Options of {@linkcode learningRateAt}. */
export interface ScheduleOptions {
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Optimizer steps of linear warm-up. Default 0. */
  readonly warmupSteps?: number;
  /** What follows the warm-up. Default `"constant"`. */
  readonly lrScheduler?: LrScheduler;
  /** Optimizer steps in all; the cosine reaches zero after the last one. */
  readonly totalSteps: number;
}

/**
 * The learning rate of one optimizer step.
 *
 * Warm-up is `learningRate * (step + 1) / warmupSteps`, so that the first step already learns; the cosine is half a
 * period from the peak to zero (Loshchilov & Hutter 2017, eq. 5).
 *
 * @param step Zero-based optimizer step.
 * @param options Peak, warm-up and shape.
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { learningRate, warmupSteps = 0, lrScheduler = "constant", totalSteps } = options;
  if (step < warmupSteps) return learningRate * (step + 1) / warmupSteps;
  if (lrScheduler === "constant") return learningRate;
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  return learningRate * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)));
}
