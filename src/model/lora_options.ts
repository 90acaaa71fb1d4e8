/**
 * How a policy is adapted, in PEFT's terms.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { PolicyConfig } from "./config.ts";

/** Linear layers that can be adapted, by PEFT's names. */
export const LORA_TARGETS = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** Sets of them by name; `all-linear` is PEFT's own word. */
export const LORA_TARGET_SETS = {
  "all-linear": LORA_TARGETS,
  attention: ["q_proj", "k_proj", "v_proj", "o_proj"],
  mlp: ["gate_proj", "up_proj", "down_proj"],
  "query-value": ["q_proj", "v_proj"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Name of a set of linear layers. */
export type LoraTargetSet = keyof typeof LORA_TARGET_SETS;

/** A linear layer that can be adapted. */
export type LoraTarget = typeof LORA_TARGETS[number];

/** How a policy is adapted; PEFT's names are `r`, `lora_alpha` and `target_modules`. */
export interface LoraOptions {
  /** Rank r of the adapters. */
  readonly rank: number;
  /** The product B A counts `alpha / rank` times. Default: twice the rank. */
  readonly alpha?: number | undefined;
  /** Which linear layers. Default: all of them. */
  readonly targetModules?: readonly LoraTarget[] | undefined;
  /** Seed of A; B begins with zeros. Default 0. */
  readonly seed?: number | undefined;
}

/** {@linkcode LoraOptions} with every default filled in. */
export type ResolvedLoraOptions = {
  readonly [Name in keyof LoraOptions]-?: NonNullable<LoraOptions[Name]>;
};

/** Every option of {@linkcode LoraOptions}. */
export const LORA_OPTIONS: readonly string[] = namesOf<LoraOptions>({
  rank: true,
  alpha: true,
  targetModules: true,
  seed: true,
});

/**
 * Fills in defaults and checks every value.
 *
 * @param options What the caller chose.
 * @throws {RangeError} If one is out of range.
 * @throws {TypeError} If there is no such option.
 */
export function resolveLora(
  options: LoraOptions,
  config: PolicyConfig,
): ResolvedLoraOptions {
  checkNames("addAdapters", options, LORA_OPTIONS);
  const { rank, alpha = 2 * rank, targetModules = LORA_TARGETS, seed = 0 } = options;
  if (!Number.isInteger(rank) || rank < 1 || rank > config.hiddenSize) {
    throw new RangeError(
      `loraRank must be an integer from 1 to the policy's hiddenSize, ${config.hiddenSize}: current value is ${rank}`,
    );
  }
  if (!(alpha > 0 && alpha < Infinity)) {
    throw new RangeError(`loraAlpha must be a number > 0: current value is ${alpha}`);
  }
  const bad = targetModules.find((name) => !LORA_TARGETS.includes(name));
  if (bad !== undefined || targetModules.length === 0) {
    throw new RangeError(
      `loraTargetModules must be some of ${LORA_TARGETS.join(", ")}: got ${bad ?? "none"}`,
    );
  }
  return {
    rank,
    alpha,
    targetModules: LORA_TARGETS.filter((n) => targetModules.includes(n)),
    seed,
  };
}
