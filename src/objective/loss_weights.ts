/** The weights of a mini-batch's responses, by any rule. */

import {
  AGGREGATIONS,
  type AggregationSettings,
  checkLengths,
  LOSS_SCOPES,
  type LossAggregation,
} from "./aggregation.ts";
import { checkNames, namesOf } from "../input/names.ts";
import type { IndexRange } from "./groups.ts";
import { ruleOf } from "./rule.ts";
import { WeightBatch } from "./weight_batch.ts";

/** Settings of {@linkcode lossWeights}. */
export interface LossWeightOptions extends Partial<AggregationSettings> {
  /** The rule. Default `"deltaL"`. */
  readonly lossAggregation?: LossAggregation;
  /**
   * Responses per prompt, one number for all prompts or one per prompt; needed by `"promptMean"`,
   * `"lambdaGrpo"` and by the scope `"group"`.
   */
  readonly numGenerations?: number | readonly number[];
  /** Responses of this optimizer step within the rollout batch. Default: the whole rollout batch. */
  readonly miniBatch?: IndexRange;
}

/** The defaults of the rules' numbers; M has none. */
export const AGGREGATION_DEFAULTS: Readonly<Omit<AggregationSettings, "lossScaleFactor">> = {
  lossAlpha: 1,
  lossScope: "batch",
  lossMicroBatchSize: 4,
  lossLambda: 1,
  lossLambdaSpread: 0.1,
};

const NAMES = namesOf<LossWeightOptions>({
  lossAggregation: true,
  numGenerations: true,
  miniBatch: true,
  lossScaleFactor: true,
  lossAlpha: true,
  lossScope: true,
  lossMicroBatchSize: true,
  lossLambda: true,
  lossLambdaSpread: true,
});

/**
 * Weight x_i of every response of a mini-batch, for loss = Σ_i x_i Σ_t ℓ_it.
 *
 * A response of length 0 gets weight 0 and is left out of every sum and every count. Give length 0
 * to a response whose tokens are masked out of the loss.
 *
 * @param lengths Scored tokens of every response of the rollout batch [B], end-of-sequence token
 * included.
 * @param options The rule, its numbers and the mini-batch. Defaults: α = 1, scope `"batch"`, micro-batches of 4, λ = 1 and
 * r = 0.1; `lossScaleFactor`, which `"drGrpo"` and `"deltaL"` need, is the largest permitted response length, not the
 * largest observed.
 * @returns One weight per response of `miniBatch`, in order.
 * @throws {RangeError} For lengths that are not whole numbers >= 0, and for missing or impossible
 * settings.
 * @throws {TypeError} If there is no such option.
 */
export function lossWeights(
  lengths: ArrayLike<number>,
  options: LossWeightOptions = {},
): Float64Array {
  checkNames("lossWeights", options, NAMES);
  const { lossAggregation = "deltaL", miniBatch = { start: 0, end: lengths.length } } = options;
  const rule = ruleOf(AGGREGATIONS, "lossAggregation", lossAggregation);
  checkLengths(lengths);
  checkMiniBatch(miniBatch, lengths.length);
  const settings = { ...AGGREGATION_DEFAULTS, lossScaleFactor: NaN, ...options };
  for (const name of rule.needs ?? []) checkNumber(lossAggregation, name, settings);
  const batch = new WeightBatch(lengths, miniBatch, settings, options.numGenerations);
  const weight = rule.compute(batch);
  const weights = new Float64Array(miniBatch.end - miniBatch.start);
  for (const i of batch.members()) weights[i - miniBatch.start] = weight(i);
  return weights;
}

/** What each number must be. */
const NUMBERS: Readonly<
  Record<Exclude<keyof AggregationSettings, "lossScope">, [(x: number) => boolean, string]>
> = {
  lossAlpha: [(x) => x >= 0 && x < Infinity, "a number >= 0, usually between 0 and 1"],
  lossScaleFactor: [
    (x) => x > 0 && x < Infinity,
    "a number > 0, usually the largest permitted response length",
  ],
  lossMicroBatchSize: [(x) => Number.isInteger(x) && x >= 1, "a whole number >= 1"],
  lossLambda: [Number.isFinite, "a number"],
  lossLambdaSpread: [(x) => x >= 0 && x < Infinity, "a number >= 0"],
};

function checkNumber(
  rule: LossAggregation,
  name: keyof AggregationSettings,
  settings: AggregationSettings,
): void {
  if (name === "lossScope") {
    ruleOf(LOSS_SCOPES, name, settings.lossScope);
    return;
  }
  const [valid, what] = NUMBERS[name];
  const value = settings[name];
  if (!valid(value)) {
    const shown = name === "lossScaleFactor" && Number.isNaN(value) ? "not given" : value;
    throw new RangeError(`${name} is ${shown}: ${rule} needs ${what}`);
  }
}

function checkMiniBatch({ start, end }: IndexRange, responses: number): void {
  const whole = Number.isInteger(start) && Number.isInteger(end);
  if (!whole || start < 0 || start > end || end > responses) {
    throw new RangeError(
      `miniBatch is ${start} … ${end}: it must lie within the ${responses} responses`,
    );
  }
}
