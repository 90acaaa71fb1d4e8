/**
 * What `response_weights.py` is told, whichever engine it serves.
 *
 * @module
 */

import type { AdvantageEstimator } from "../objective/advantage.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";

/** An engine that a run can be handed over to. */
export type Engine = "trl" | "verl";

/** How rewards become advantages in `response_weights.py`. */
export type OwnAdvantage =
  | { readonly estimator: "grpo"; readonly divisor: "group" | "batch" | "none" }
  | { readonly estimator: "rloo" | "maxRl" };

/** Weights of the responses, in the words of `response_weights.py`. */
export interface EngineWeights {
  /** The rule of the response weights. */
  readonly aggregation: string;
  /** α of ΔL. */
  readonly alpha: number;
  /** What ΔL normalises over. */
  readonly scope: string;
  /** The constant M. */
  readonly scale_factor: number;
  /** The engine's own aggregation in verl's words; its weights are divided out. */
  readonly loss_agg_mode: string;
  /** The constant of that aggregation, where it has one. */
  readonly agg_scale_factor: number;
  /** Whether responses that fill the limit get advantage 0. */
  readonly overlong_filtering: boolean;
  /** The limit. */
  readonly max_response_length: number;
}

/** Aggregations that weights divided into the advantages cannot stand for, and what to choose instead. */
const NO_WEIGHTS: Readonly<Partial<Record<ResolvedTrainOptions["lossAggregation"], string>>> = {
  dapoMicroBatch: "choose dapo, the token mean of a mini-batch",
  lambdaGrpo: "choose dapo, which it is without a preference",
};

/**
 * Weights under an aggregation of the engine.
 *
 * @param mode That aggregation.
 * @param scale Its constant, where it has one.
 * @throws {RangeError} If advantages cannot carry them.
 */
export function engineWeights(
  engine: Engine,
  options: ResolvedTrainOptions,
  mode: string,
  scale: number,
): EngineWeights {
  const { lossAggregation, lossScope } = options;
  const unknown = NO_WEIGHTS[lossAggregation];
  if (unknown !== undefined) throw refusal(engine, "lossAggregation", lossAggregation, unknown);
  if (lossAggregation === "deltaL" && lossScope === "miniBatch" && !isSingleBatch(options)) {
    const advice = "choose batch: advantages do not know the mini-batch";
    throw refusal(engine, "lossScope", lossScope, advice);
  }
  return {
    aggregation: lossAggregation,
    alpha: options.lossAlpha,
    scope: lossScope,
    scale_factor: options.lossScaleFactor,
    loss_agg_mode: mode,
    agg_scale_factor: scale,
    overlong_filtering: options.overlongFiltering,
    max_response_length: options.maxCompletionLength,
  };
}

/** The estimator, where `response_weights.py` has it. */
export function ownAdvantage(
  { advantageEstimator, scaleRewards }: {
    readonly advantageEstimator: AdvantageEstimator;
    readonly scaleRewards: ResolvedTrainOptions["scaleRewards"];
  },
): OwnAdvantage | undefined {
  switch (advantageEstimator) {
    case "grpo":
      return { estimator: "grpo", divisor: scaleRewards };
    case "drGrpo":
      return { estimator: "grpo", divisor: "none" };
    case "rloo":
    case "maxRl":
      return { estimator: advantageEstimator };
    default:
      return undefined;
  }
}

/** Whether a rollout is one optimizer step. */
export function isSingleBatch(
  { miniBatchSize, promptsPerStep, numGenerations }: ResolvedTrainOptions,
): boolean {
  return miniBatchSize === "all" || miniBatchSize === promptsPerStep * numGenerations;
}

/** Names of a family of rules, as a choice: `a, b or c`. */
export function either(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** The error for a setting that an engine has nothing for. */
export function refusal(
  engine: Engine,
  setting: string,
  value: unknown,
  advice: string,
): RangeError {
  const name = { trl: "TRL", verl: "verl" }[engine];
  return new RangeError(`${setting} is ${value}, which ${name} cannot do: ${advice}`);
}
