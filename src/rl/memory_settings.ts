/**
 * Settings that decide how much memory training takes.
 *
 * @module
 */

import { MOMENT_DTYPES } from "../ops/adamw.ts";
import { section } from "./setting_kinds.ts";

const optimizer = section("optimizer");

/** Part of the table in `settings.ts`. */
export const MEMORY_SETTINGS = {
  maxTokensPerMicroBatch: optimizer.count(
    16,
    2 ** 24,
    8192,
    "Packed tokens per pass; bounds memory.",
    { aliases: ["ppoMaxTokenLenPerGpu", "microBatchSize", "gradientAccumulationSteps"] },
  ),
  activationDtype: optimizer.choice(
    ["f32", "f16"],
    "f32",
    "How activations wait for the backward pass; f16 halves their memory and costs time.",
  ),
  activationCheckpointing: optimizer.toggle(
    "Compute activations again instead of keeping them.",
    { aliases: ["gradientCheckpointing", "enableGradientCheckpointing"] },
  ),
  optimizerDtype: optimizer.choice(
    MOMENT_DTYPES,
    "f32",
    "What AdamW keeps its moments in; bf16 halves their memory.",
  ),
};
