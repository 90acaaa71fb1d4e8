/**
 * Published methods as settings.
 *
 * @module
 */

import type { Preset, TrainOptions } from "./train_options.ts";

/** Clip bounds of PPO. */
const SYMMETRIC_CLIP = { policyLoss: "ppo", epsilon: 0.2, epsilonHigh: 0.2 } as const;

/** Clip bounds of the authors of arXiv 2509.07558, in all their scripts. */
const AUTHORS_CLIP = { policyLoss: "ppo", epsilon: 0.2, epsilonHigh: 0.3 } as const;

const OPTIONS: Readonly<Record<Preset, (maxCompletionLength: number) => Partial<TrainOptions>>> = {
  grpo: () => ({ advantageEstimator: "grpo", lossAggregation: "grpo", ...SYMMETRIC_CLIP }),
  drGrpo: () => ({ advantageEstimator: "drGrpo", lossAggregation: "drGrpo", ...SYMMETRIC_CLIP }),
  dapo: (maxCompletionLength) => ({
    advantageEstimator: "grpo",
    lossAggregation: "dapo",
    policyLoss: "ppo",
    epsilon: 0.2,
    epsilonHigh: 0.28,
    dynamicSampling: true,
    // 4096 of 20480 tokens there.
    softOverlongBuffer: Math.floor(maxCompletionLength / 5),
    softOverlongPenalty: 1,
  }),
  gspo: () => ({ advantageEstimator: "grpo", lossAggregation: "grpo", policyLoss: "gspo" }),
  cispo: () => ({ advantageEstimator: "grpo", lossAggregation: "dapo", policyLoss: "cispo" }),
  deltaL: () => ({
    ...AUTHORS_CLIP,
    advantageEstimator: "grpo",
    lossAggregation: "deltaL",
    lossAlpha: 1,
    lossScope: "batch",
    dualClip: 3,
  }),
  dapoDeltaL: () => ({
    ...AUTHORS_CLIP,
    advantageEstimator: "grpo",
    lossAggregation: "deltaL",
    lossAlpha: 1,
    lossScope: "batch",
    dualClip: 10,
    dynamicSampling: true,
  }),
};

/** Every preset. */
export const PRESETS: readonly Preset[] = Object.keys(OPTIONS) as Preset[];

/**
 * The settings of a preset.
 *
 * @param preset The preset; `undefined` gives no settings.
 * @param maxCompletionLength The most tokens of a response.
 * @throws {RangeError} If there is no such preset.
 */
export function presetOptions(
  preset: Preset | undefined,
  maxCompletionLength: number,
): Partial<TrainOptions> {
  if (preset === undefined) return {};
  if (!PRESETS.includes(preset)) {
    throw new RangeError(`preset is ${preset}: choose one of ${PRESETS.join(", ")}`);
  }
  return OPTIONS[preset](maxCompletionLength);
}
