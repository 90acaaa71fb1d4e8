/**
 * What the live page of a run says above its figures.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { LiveRun } from "../run/live_feed.ts";
import { kebab } from "./args.ts";
import type { TrainSettings } from "./train_settings.ts";

/**
 * Title and facts of a run.
 *
 * @param gpu Its device.
 * @param settings What it does.
 * @param dir Its folder, once it has one.
 */
export function describeLive(gpu: Gpu, settings: TrainSettings, dir?: string): LiveRun {
  const { task, options } = settings;
  const { lossAggregation, lossAlpha, promptsPerStep, numGenerations, learningRate } = options;
  const alpha = lossAggregation === "deltaL" ? ` (α ${lossAlpha})` : "";
  return {
    title: task.name,
    facts: [
      ...(dir === undefined ? [] : [["folder", dir] as const]),
      ["loss", kebab(lossAggregation) + alpha],
      ["advantage", kebab(options.advantageEstimator)],
      ["per step", `${promptsPerStep} × ${numGenerations} responses`],
      ["learning rate", String(learningRate)],
      ["seed", String(options.seed)],
      ...(settings.storage.dtype === "f32" ? [] : [["stored in", settings.storage.dtype] as const]),
      ["on", gpu.adapter.description],
    ],
  };
}
