/**
 * Settings of low-rank adapters.
 *
 * @module
 */

import { LORA_TARGET_SETS } from "../model/lora_options.ts";
import { section } from "./setting_kinds.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

const optimizer = section("optimizer");

const ADAPTED = ["loraRank > 0", ({ loraRank }: ResolvedTrainOptions) => loraRank > 0] as const;

/** Part of the table in `settings.ts`. */
export const LORA_SETTINGS = {
  loraRank: optimizer.count(
    0,
    4096,
    0,
    "Rank of low-rank adapters, which are trained in place of the weights; 0 trains the weights.",
    { aliases: ["loraR", "peftRank"] },
  ),
  loraAlpha: optimizer.real(
    0,
    1e6,
    0,
    "The adapters' product counts alpha / rank times; 0 for twice the rank.",
    { needs: ADAPTED },
  ),
  loraTargetModules: optimizer.choice(
    LORA_TARGET_SETS,
    "all-linear",
    "Which linear layers have adapters.",
    { aliases: ["targetModules"], needs: ADAPTED },
  ),
};
