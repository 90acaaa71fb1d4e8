/**
 * Learning-rate schedules.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { checkNumber } from "../objective/check_numbers.ts";
import { ruleOf } from "../objective/rule.ts";

/**
 * Shape of the learning rate after warm-up: the same throughout, half a cosine's period down to zero (Loshchilov & Hutter
 * 2017, eq. 5), or a straight line down to zero.
 */
export type LrScheduler = "constant" | "cosine" | "linear";

/** The shapes, from progress in 0 … 1 to a factor. */
export const LR_SCHEDULERS: Readonly<
  Record<LrScheduler, { readonly factor: (progress: number) => number }>
> = {
  constant: { factor: () => 1 },
  cosine: { factor: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)) },
  linear: { factor: (progress) => 1 - progress },
};

/** Options of {@linkcode learningRateAt}. */
export interface ScheduleOptions {
  /** Peak learning rate. */
  readonly learningRate: number;
  /** Optimizer steps of linear warm-up. Default 0. */
  readonly warmupSteps?: number;
  /** What follows the warm-up. Default `"constant"`. */
  readonly lrScheduler?: LrScheduler;
  /** Optimizer steps in all; what falls reaches zero after the last one. */
  readonly totalSteps: number;
}

const NAMES = namesOf<ScheduleOptions>(
  { learningRate: true, warmupSteps: true, lrScheduler: true, totalSteps: true },
);

/**
 * The learning rate of one optimizer step.
 *
 * Warm-up is `learningRate * (step + 1) / warmupSteps`, so that the first step already learns.
 *
 * @param step Optimizer step from 0. Where an update had fewer steps than planned, each stands for more than one, and
 * `step` may be a fraction: the schedule follows the progress of training.
 * @param options Peak, warm-up and shape.
 * @throws {RangeError} If one of them is not a finite number, or there is no such shape.
 * @throws {TypeError} If there is no such option.
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  checkNames("learningRateAt", options, NAMES);
  const { learningRate, warmupSteps = 0, lrScheduler = "constant", totalSteps } = options;
  for (const [name, value] of Object.entries({ step, learningRate, warmupSteps, totalSteps })) {
    checkNumber(value, name);
  }
  const { factor } = ruleOf(LR_SCHEDULERS, "lrScheduler", lrScheduler);
  if (step < warmupSteps) return learningRate * Math.min(1, (step + 1) / warmupSteps);
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  return learningRate * factor(Math.min(1, progress));
}
