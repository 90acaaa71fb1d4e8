/**
 * Advantages of responses against the others to the same prompt, on the GPU.
 *
 * @module
 */

import code from "../../kernels/group_advantage.wgsl" with { type: "text" };
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { teamKernel } from "./prelude.ts";

/**
 * How rewards r of a prompt's G responses become advantages A. Below μ and σ are the mean and the
 * standard deviation (ddof 1) of the group.
 *
 * - `"grpo"`: A = (r - μ) / (σ + 1e-6) (arXiv 2402.03300), or another divisor by `scaleRewards`.
 * - `"drGrpo"`: A = r - μ (arXiv 2503.20783), which is `"grpo"` with `scaleRewards: "none"`.
 * - `"rloo"`: A = r - mean of the others = (r - μ) · G / (G - 1) (arXiv 2402.14740).
 * - `"opo"`: A = r - Σ L r / Σ L, the length-weighted baseline (arXiv 2505.23585).
 * - `"passK"`: the best response gets (largest - second largest) / (σ + 1e-6), the others 0
 *   (arXiv 2503.19595).
 * - `"maxRl"`: A = (r - μ) / μ, 0 where μ = 0; for rewards >= 0 (arXiv 2602.02710).
 * - `"reinforcePlusPlus"`: r whitened over all tokens of the batch, without groups
 *   (arXiv 2501.03262 at γ = 1).
 * - `"reinforcePlusPlusBaseline"`: r - μ, then whitened over all tokens of the batch.
 *
 * A response alone in its group has nothing to be compared with: its baseline is 0 and its divisor
 * 1, as in verl.
 */
export type AdvantageEstimator =
  | "grpo"
  | "drGrpo"
  | "rloo"
  | "opo"
  | "passK"
  | "maxRl"
  | "reinforcePlusPlus"
  | "reinforcePlusPlusBaseline";

/**
 * The divisor of the centred rewards: σ of the prompt's group, σ of all rewards of the batch, or 1.
 */
export type RewardScale = "group" | "batch" | "none";

/** What the kernel does for each estimator: its per-group rule, and whether whitening over all tokens follows. */
const ESTIMATORS = {
  grpo: { rule: 0 },
  drGrpo: { rule: 0 },
  rloo: { rule: 1 },
  opo: { rule: 2, tokens: true },
  passK: { rule: 3 },
  maxRl: { rule: 4 },
  reinforcePlusPlus: { rule: undefined, tokens: true },
  reinforcePlusPlusBaseline: { rule: 0, tokens: true },
} as const satisfies Record<AdvantageEstimator, { rule: number | undefined; tokens?: boolean }>;

const SCALES: Readonly<Record<RewardScale, number>> = { none: 0, group: 1, batch: 2 };

/** Scales an estimator accepts, its default first. */
const ACCEPTED: Readonly<Record<AdvantageEstimator, readonly RewardScale[]>> = {
  grpo: ["group", "batch", "none"],
  drGrpo: ["none"],
  rloo: ["none"],
  opo: ["none"],
  passK: ["group", "none"],
  maxRl: ["none"],
  reinforcePlusPlus: ["none"],
  reinforcePlusPlusBaseline: ["none"],
};

/** Options of {@linkcode groupAdvantage}. */
export interface GroupAdvantageOptions {
  /** The estimator. */
  advantageEstimator: AdvantageEstimator;
  /**
   * Divisor of the centred rewards: deviation over the prompt's group, over the batch, or 1. Default: `"group"` for
   * `"grpo"` and `"passK"`, which alone have a choice.
   */
  scaleRewards?: RewardScale;
  /** Responses per prompt G; divides B. */
  numGenerations: Param;
  /** Tokens of each response (B), u32; needed by `"opo"` and both `"reinforcePlusPlus"` estimators. */
  lengths?: Tensor;
  /** Not 0 where a response gets advantage 0 after it has counted in the statistics (B), u32. Default: nowhere. */
  withheld?: Tensor;
  /** Name of the output below the current scope. Default `"advantages"`. */
  name?: string;
}

/**
 * Advantage of every response, from the rewards of consecutive groups of G.
 *
 * The same numbers as `groupAdvantages` in `src/objective/advantage.ts`, where the formulas stand. Rewards must be finite, and
 * for `"maxRl"` not negative; that is for the caller to check.
 *
 * @param plan Where to record.
 * @param rewards (B).
 * @param options The estimator and the groups.
 * @returns (B).
 * @throws {RangeError} If an option does not suit the estimator, or (when the plan runs) G does not divide B.
 */
export function groupAdvantage(
  plan: Plan,
  rewards: Tensor,
  options: GroupAdvantageOptions,
): Tensor {
  const { advantageEstimator, lengths, withheld, name = "advantages" } = options;
  const accepted = ACCEPTED[advantageEstimator];
  const scaleRewards = options.scaleRewards ?? accepted[0]!;
  const { rule } = ESTIMATORS[advantageEstimator];
  const tokens = "tokens" in ESTIMATORS[advantageEstimator];
  if (!accepted.includes(scaleRewards)) {
    throw new RangeError(
      `groupAdvantage: scaleRewards is ${scaleRewards}: ${advantageEstimator} accepts ${
        accepted.join(", ")
      }`,
    );
  }
  if (tokens && lengths?.capacity !== rewards.capacity) {
    throw new RangeError(
      `groupAdvantage ${advantageEstimator} needs lengths of the shape of rewards ${
        formatShape(rewards.shape)
      }: got ${lengths ? formatShape(lengths.shape) : "none"}`,
    );
  }
  if (withheld && withheld.capacity !== rewards.capacity) {
    throw new RangeError(
      `groupAdvantage needs withheld of the shape of rewards ${formatShape(rewards.shape)}: got ${
        formatShape(withheld.shape)
      }`,
    );
  }
  const responses: Size = rewards.shape[0]!;
  const generations = () => {
    const size = paramNow(options.numGenerations);
    const least = advantageEstimator === "passK" ? 2 : 1;
    if (!Number.isInteger(size) || size < least || sizeNow(responses) % size !== 0) {
      throw new RangeError(
        `${plan.name}.${name}: numGenerations is ${size}: ${advantageEstimator} needs a whole number >= ${least} ` +
          `that divides the ${sizeNow(responses)} responses`,
      );
    }
    return size;
  };
  const kernel = (entryPoint: string) =>
    teamKernel(plan.gpu, {
      name: "group_advantage",
      code,
      entryPoint,
      constants: { ESTIMATOR: rule ?? 0, SCALE: SCALES[scaleRewards] },
    });
  const params = { responses, generations };
  const once = () => sizeNow(responses) > 0 ? 1 : 0;

  let divisor = rewards; // not read unless the batch decides the scale
  if (scaleRewards === "batch") {
    divisor = plan.empty([1], `${name}.divisor`);
    plan.dispatch({
      kernel: kernel("deviation"),
      label: `${name}.deviation`,
      bindings: { rewards, divisor_out: divisor },
      params,
      workgroups: once,
    });
  }
  let advantages = rewards;
  if (rule !== undefined) {
    advantages = plan.empty(rewards.shape, name);
    plan.dispatch({
      kernel: kernel("per_group"),
      label: `${name}.per_group`,
      bindings: { rewards, lengths: lengths ?? rewards, batch_divisor: divisor, advantages },
      params,
      workgroups: () => sizeNow(responses) / generations(),
    });
  }
  if (advantageEstimator.startsWith("reinforcePlusPlus")) {
    const centred = advantages;
    advantages = plan.empty(rewards.shape, `${name}.whitened`);
    plan.dispatch({
      kernel: kernel("whiten"),
      label: `${name}.whiten`,
      bindings: { rewards: centred, lengths: lengths!, advantages },
      params,
      workgroups: once,
    });
  }
  if (withheld) {
    plan.dispatch({
      kernel: kernel("withhold"),
      label: `${name}.withhold`,
      bindings: { withheld, advantages },
      params,
      workgroups: once,
    });
  }
  return advantages;
}
