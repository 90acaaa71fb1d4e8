/**
 * Settings of how responses are sampled.
 *
 * @module
 */

import { section } from "./setting_kinds.ts";

const rollouts = section("rollouts");

/** Part of the table in `settings.ts`. */
export const SAMPLING_SETTINGS = {
  temperature: rollouts.real(1e-3, 1e3, 1, "Softmax temperature."),
  topK: rollouts.count(0, 2 ** 24, 0, "Sample among the k most likely tokens; 0 for all.", {
    aliases: ["rolloutTopK"],
  }),
  topP: rollouts.real(
    1e-6,
    1,
    1,
    "Sample among the fewest tokens with this probability together; 1 for all.",
    { aliases: ["nucleus"] },
  ),
  minP: rollouts.real(
    0,
    1,
    0,
    "Sample among tokens at least so many times as likely as the likeliest; 0 for all.",
  ),
  dynamicSampling: rollouts.toggle("Train on prompts only whose rewards differ, sampling more.", {
    aliases: ["filterGroups", "dynamicSample", "dynamicFiltering", "useDynamicSampling"],
    needs: ["numGenerations > 1", ({ numGenerations }) => numGenerations > 1],
  }),
  maxGenBatches: rollouts.count(
    1,
    1000,
    10,
    "The most rollouts of a step of dynamic sampling.",
    {
      aliases: ["maxNumGenBatches", "maxResampleTimes"],
      needs: ["dynamicSampling", ({ dynamicSampling }) => dynamicSampling],
    },
  ),
};
