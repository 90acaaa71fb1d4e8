/**
 * Loss aggregation on the GPU: the weight of each response from the lengths of all.
 *
 * @module
 */

import code from "../../kernels/response_weights.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeNow, type Tensor } from "../gpu/tensor.ts";
import {
  AGGREGATIONS,
  type AggregationSettings,
  LOSS_SCOPES,
  type LossAggregation,
  type LossScope,
} from "../objective/aggregation.ts";
import { AGGREGATION_DEFAULTS } from "../objective/loss_weights.ts";
import { ruleOf } from "../objective/rule.ts";
import { teamKernel } from "./readers.ts";

/** A rule's settings that are numbers. */
type NumberName = Exclude<keyof AggregationSettings, "lossScope">;

const DEFAULTS = { ...AGGREGATION_DEFAULTS, lossScaleFactor: 1 };

/** Options of {@linkcode responseWeights}. */
export interface ResponseWeightOptions {
  /** The rule. */
  lossAggregation: LossAggregation;
  /** Exponent α >= 0 of `"deltaL"`. Default 1. */
  lossAlpha?: Param;
  /** The constant M > 0 of `"drGrpo"` and `"deltaL"`, which need it. */
  lossScaleFactor?: Param;
  /** What `"deltaL"` normalises over. Default `"batch"`. */
  lossScope?: LossScope;
  /** Exponent λ of `"lambdaGrpo"`. Default 1. */
  lossLambda?: Param;
  /** r >= 0 of `"lambdaGrpo"`: how much h departs from 1 per standard deviation of the length. Default 0.1. */
  lossLambdaSpread?: Param;
  /** Responses per prompt; needed by `"promptMean"`, `"lambdaGrpo"` and by the scope `"group"`. */
  numGenerations?: Param;
  /** Responses per micro-batch of `"dapoMicroBatch"`. Default 4. */
  lossMicroBatchSize?: Param;
  /** First response of this optimizer step. Default 0. */
  start?: Param;
  /** One past its last response. Default B. */
  end?: Param;
  /** Name of the output below the current scope. Default `"weights"`. */
  name?: string;
}

const NAMES = namesOf<ResponseWeightOptions>({
  lossAggregation: true,
  lossAlpha: true,
  lossScaleFactor: true,
  lossScope: true,
  lossLambda: true,
  lossLambdaSpread: true,
  numGenerations: true,
  lossMicroBatchSize: true,
  start: true,
  end: true,
  name: true,
});

/**
 * Weight x_b of every response of the batch, for loss = Σ_b x_b Σ_t ℓ_bt.
 *
 * The same numbers as `lossWeights`. Responses outside
 * [start, end) and those of length 0 get weight 0.
 *
 * @param lengths (B), u32: scored tokens of every response of the rollout batch.
 * @param options The rule, its numbers and the mini-batch.
 * @returns (B).
 * @throws {RangeError} If a rule lacks an option, or (when the plan runs) one is impossible.
 */
export function responseWeights(
  plan: Plan,
  lengths: Tensor,
  options: ResponseWeightOptions,
): Tensor<"f32"> {
  checkNames("responseWeights", options, NAMES);
  const { lossAggregation, lossScaleFactor, numGenerations, start = 0, name = "weights" } = options;
  const { lossScope = AGGREGATION_DEFAULTS.lossScope } = options;
  const rule = ruleOf(AGGREGATIONS, "lossAggregation", lossAggregation);
  const needs = (setting: keyof AggregationSettings) => rule.needs?.includes(setting) ?? false;
  const responses: Size = lengths.shape[0]!;
  const end = options.end ?? responses;
  if (lengths.dtype !== "u32" || lengths.shape.length !== 1) {
    throw new RangeError(
      `responseWeights needs lengths (B) in u32: got ${formatShape(lengths.shape)} in ` +
        `${lengths.dtype}`,
    );
  }
  if (needs("lossScaleFactor") && lossScaleFactor === undefined) {
    throw new RangeError(`responseWeights ${lossAggregation} needs lossScaleFactor, a number > 0`);
  }
  const byGroup = rule.byGroup?.({ lossScope }) ?? false;
  if (byGroup && numGenerations === undefined) {
    throw new RangeError(
      `responseWeights ${lossAggregation} over prompt groups needs numGenerations`,
    );
  }
  const number =
    (name: string, param: Param, valid: (v: number) => boolean, what: string) => () => {
      const value = paramNow(param);
      if (!valid(value)) throw new RangeError(`responseWeights: ${name} is ${value}: ${what}`);
      return value;
    };
  /** What the rule does not read is not looked at. */
  const setting = (name: NumberName, valid: (v: number) => boolean, what: string) =>
    needs(name) ? number(name, options[name] ?? DEFAULTS[name], valid, what) : DEFAULTS[name];
  const whole = (value: number, least: number, most: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  const weights = plan.empty(lengths.shape, name);
  plan.dispatch({
    kernel: teamKernel(plan.gpu, {
      name: "response_weights",
      code,
      entryPoint: "main",
      constants: { RULE: rule.code, SCOPE: ruleOf(LOSS_SCOPES, "lossScope", lossScope).code },
    }),
    label: name,
    bindings: { lengths, weights },
    params: {
      responses,
      start: number("start", start, (v) => whole(v, 0, paramNow(end)), "it must not be past end"),
      end: number("end", end, (v) => whole(v, 0, sizeNow(responses)), "it must not be past B"),
      generations: byGroup
        ? number(
          "numGenerations",
          numGenerations!,
          (v) => whole(v, 1, Infinity) && sizeNow(responses) % v === 0,
          "it must divide the number of responses B",
        )
        : setting("lossMicroBatchSize", (v) => whole(v, 1, Infinity), "give a whole number >= 1"),
      alpha: setting("lossAlpha", (v) => v >= 0 && v < Infinity, "give a number >= 0"),
      scale_factor: setting("lossScaleFactor", (v) => v > 0 && v < Infinity, "give a number > 0"),
      lambda: setting("lossLambda", Number.isFinite, "give a number"),
      spread: setting("lossLambdaSpread", (v) => v >= 0 && v < Infinity, "give a number >= 0"),
    },
    turns: spanTurns(plan.gpu.traits.lanes, lengths.capacity, byGroup ? numGenerations! : 1),
    workgroups: () => sizeNow(responses) > 0 ? 1 : 0,
  });
  return weights;
}

/** Turns that the kernel takes for spans of some responses each, of which a lane alone looks for one that has tokens. */
function spanTurns(lanes: number, responses: number, span: Param): number {
  const size = typeof span === "number" ? span : 1;
  const spans = Math.ceil(responses / size);
  return spans * (1 + 6 * Math.ceil(size / lanes)) + Math.ceil(spans / lanes) * (1 + size);
}
