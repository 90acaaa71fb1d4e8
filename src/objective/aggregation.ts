/**
 * Loss aggregation: how much each response counts in the policy gradient.
 *
 * Every rule is one weight x_i per response, loss = Σ_i x_i Σ_t ℓ_it. The weights depend on the
 * lengths alone and are computed before a batch is split, so micro-batches only add up.
 */

import type { LossAggregation, LossScope } from "../ops/length_weight.ts";
import { groupRanges, type IndexRange } from "./groups.ts";

export type { LossAggregation, LossScope };

/** Number of each rule, for kernels and files; numbers are never reused. */
export const LOSS_AGGREGATION_CODES: Readonly<Record<LossAggregation, number>> = {
  grpo: 0,
  dapo: 1,
  drGrpo: 2,
  deltaL: 3,
  seqSum: 4,
  promptMean: 5,
  dapoMicroBatch: 6,
  lambdaGrpo: 7,
};

/** Number of each scope, for kernels and files; numbers are never reused. */
export const LOSS_SCOPE_CODES: Readonly<Record<LossScope, number>> = {
  batch: 0,
  miniBatch: 1,
  group: 2,
};

/** Settings of {@linkcode lossWeights}. */
export interface LossWeightOptions {
  /**
   * The rule.
   *
   * @default "deltaL"
   */
  lossAggregation?: LossAggregation;
  /**
   * Exponent α >= 0 of `"deltaL"`: 0 equals `"drGrpo"`, 1 has the least variance.
   *
   * @default 1
   */
  lossAlpha?: number;
  /**
   * The constant M > 0 of `"drGrpo"` and `"deltaL"`, which need it: the largest permitted response
   * length, not the largest observed.
   */
  lossScaleFactor?: number;
  /**
   * What `"deltaL"` normalises over.
   *
   * @default "batch"
   */
  lossScope?: LossScope;
  /**
   * Responses per prompt, one number for all prompts or one per prompt; needed by `"promptMean"`,
   * `"lambdaGrpo"` and by the scope `"group"`.
   */
  numGenerations?: number | readonly number[];
  /**
   * Responses per micro-batch of `"dapoMicroBatch"`.
   *
   * @default 4
   */
  lossMicroBatchSize?: number;
  /**
   * Exponent λ of `"lambdaGrpo"`: above 0 long responses are preferred, below 0 short ones; 0 equals
   * `"dapo"`.
   *
   * @default 1
   */
  lossLambda?: number;
  /**
   * r >= 0 of `"lambdaGrpo"`: how much h departs from 1 per standard deviation of the length.
   *
   * @default 0.1
   */
  lossLambdaSpread?: number;
  /**
   * Responses of this optimizer step within the rollout batch.
   *
   * @default the whole rollout batch
   */
  miniBatch?: IndexRange;
}

/**
 * Weight x_i of every response of a mini-batch, for loss = Σ_i x_i Σ_t ℓ_it.
 *
 * A response of length 0 gets weight 0 and is left out of every sum and every count. Give length 0
 * to a response whose tokens are masked out of the loss.
 *
 * @param lengths Scored tokens of every response of the rollout batch [B], end-of-sequence token
 * included.
 * @returns One weight per response of `miniBatch`, in order.
 * @throws {RangeError} For lengths that are not whole numbers >= 0, and for missing or impossible
 * settings.
 */
export function lossWeights(
  lengths: ArrayLike<number>,
  options: LossWeightOptions = {},
): Float64Array {
  const {
    lossAggregation = "deltaL",
    lossAlpha = 1,
    lossScope = "batch",
    lossMicroBatchSize = 4,
    miniBatch = { start: 0, end: lengths.length },
  } = options;
  checkLengths(lengths);
  checkMiniBatch(miniBatch, lengths.length);
  const members = counted(lengths, miniBatch);
  const n = members.length;
  const weights = new Float64Array(miniBatch.end - miniBatch.start);
  const setWeights = (members: number[], weight: (i: number) => number) => {
    for (const i of members) weights[i - miniBatch.start] = weight(i);
  };

  switch (lossAggregation) {
    case "grpo":
      setWeights(members, (i) => 1 / (n * lengths[i]!));
      break;
    case "dapo": {
      const tokens = tokenCount(lengths, members);
      setWeights(members, () => 1 / tokens);
      break;
    }
    case "drGrpo": {
      const scale = checkedScale(options);
      setWeights(members, () => 1 / (n * scale));
      break;
    }
    case "deltaL": {
      const scale = checkedScale(options);
      for (const range of scopeRanges(lossScope, lengths.length, miniBatch, options)) {
        const relative = lengthWeights(sliced(lengths, range), lossAlpha);
        const inside = members.filter((i) => i >= range.start && i < range.end);
        setWeights(inside, (i) => relative[i - range.start]! / (n * scale));
      }
      break;
    }
    case "seqSum":
      setWeights(members, () => 1 / n);
      break;
    case "promptMean":
    case "dapoMicroBatch": {
      const ranges = lossAggregation === "promptMean"
        ? checkedGroups(lengths.length, options)
        : microBatches(miniBatch, lossMicroBatchSize);
      const groups = ranges
        .map(({ start, end }) => members.filter((i) => i >= start && i < end))
        .filter((group) => group.length > 0);
      for (const group of groups) {
        const tokens = tokenCount(lengths, group);
        setWeights(group, () => 1 / (groups.length * tokens));
      }
      break;
    }
    case "lambdaGrpo": {
      const tokens = tokenCount(lengths, members);
      for (const range of checkedGroups(lengths.length, options)) {
        const group = counted(lengths, range);
        const preferences = tokenPreferences(group.map((i) => lengths[i]!), options);
        group.forEach((i, k) => {
          if (i >= miniBatch.start && i < miniBatch.end) {
            setWeights([i], () => preferences[k]! / tokens);
          }
        });
      }
      break;
    }
    default:
      throw new RangeError(
        `lossAggregation is ${lossAggregation satisfies never}: choose one of ${
          Object.keys(LOSS_AGGREGATION_CODES).join(", ")
        }`,
      );
  }
  return weights;
}

/**
 * Relative weights w_i = n L_i^-α / Σ_j L_j^-α of n non-empty responses: they have mean 1, and 0
 * stands for empty responses.
 *
 * This is the factor the paper's published code multiplies into the advantages.
 *
 * @throws {RangeError} For lengths that are not whole numbers >= 0 and for α < 0.
 */
export function lengthWeights(lengths: ArrayLike<number>, lossAlpha: number): Float64Array {
  checkLengths(lengths);
  if (!Number.isFinite(lossAlpha) || lossAlpha < 0) {
    throw new RangeError(`lossAlpha is ${lossAlpha}: give a number >= 0, usually between 0 and 1`);
  }
  const members = counted(lengths, { start: 0, end: lengths.length });
  const weights = new Float64Array(lengths.length);
  // Only ratios of lengths matter; against the shortest no power overflows and one is exactly 1.
  const shortest = members.reduce((least, i) => Math.min(least, lengths[i]!), Infinity);
  let sum = 0;
  for (const i of members) {
    weights[i] = (lengths[i]! / shortest) ** -lossAlpha;
    sum += weights[i]!;
  }
  return weights.map((power) => power * members.length / (sum || 1));
}

/**
 * f_i = n softmax(h^λ) of the n responses to a prompt, h_i = 1 + r z_i (λ-GRPO, arXiv 2510.06870). z has the population's
 * standard deviation, and h is kept above 0, which it is anyway for r < 1 / √(n − 1).
 */
function tokenPreferences(
  lengths: readonly number[],
  { lossLambda = 1, lossLambdaSpread = 0.1 }: LossWeightOptions,
): number[] {
  if (!Number.isFinite(lossLambda)) {
    throw new RangeError(`lossLambda is ${lossLambda}: give a number`);
  }
  if (!(lossLambdaSpread >= 0) || lossLambdaSpread === Infinity) {
    throw new RangeError(`lossLambdaSpread is ${lossLambdaSpread}: give a number >= 0`);
  }
  const n = lengths.length;
  const mean = lengths.reduce((sum, L) => sum + L, 0) / n;
  const deviation = Math.sqrt(lengths.reduce((sum, L) => sum + (L - mean) ** 2, 0) / n);
  const powers = lengths.map((L) => {
    const z = deviation > 0 ? (L - mean) / deviation : 0;
    return Math.max(1 + lossLambdaSpread * z, 1e-3) ** lossLambda;
  });
  const greatest = Math.max(...powers);
  const sum = powers.reduce((total, g) => total + Math.exp(g - greatest), 0);
  return powers.map((g) => n * Math.exp(g - greatest) / sum);
}

/** Spellings of a rule besides its own name, without case, hyphens and underscores. */
const ALIASES: Readonly<Record<string, LossAggregation>> = {
  seqmeantokenmean: "grpo",
  tokenmean: "dapo",
  bnpo: "dapoMicroBatch",
  seqmeantokensumnorm: "drGrpo",
  seqmeantokensum: "seqSum",
  luspo: "seqSum",
  "λgrpo": "lambdaGrpo",
  vlnorm: "deltaL",
  "δl": "deltaL",
};

/**
 * The rule of a name as users write it: its own name in any case and hyphenation (`"delta-l"`), or
 * an alias from verl (`"seq-mean-token-mean"`, `"token-mean"`, `"seq-mean-token-sum-norm"`,
 * `"seq-mean-token-sum"`), from TRL (`"bnpo"`) or from a paper (`"vlNorm"`, `"luspo"`, `"λ-GRPO"`).
 *
 * @throws {RangeError} For a name that is none of them.
 */
export function parseLossAggregation(name: string): LossAggregation {
  const plain = name.toLowerCase().replaceAll(/[-_\s]/g, "");
  const rules = Object.keys(LOSS_AGGREGATION_CODES) as LossAggregation[];
  const rule = rules.find((rule) => rule.toLowerCase() === plain) ?? ALIASES[plain];
  if (rule === undefined) {
    throw new RangeError(`lossAggregation is ${name}: choose one of ${rules.join(", ")}`);
  }
  return rule;
}

function scopeRanges(
  scope: LossScope,
  responses: number,
  miniBatch: IndexRange,
  options: LossWeightOptions,
): IndexRange[] {
  switch (scope) {
    case "batch":
      return [{ start: 0, end: responses }];
    case "miniBatch":
      return [miniBatch];
    case "group":
      return checkedGroups(responses, options);
    default:
      throw new RangeError(
        `lossScope is ${scope satisfies never}: choose one of ${
          Object.keys(LOSS_SCOPE_CODES).join(", ")
        }`,
      );
  }
}

function microBatches({ start, end }: IndexRange, size: number): IndexRange[] {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`lossMicroBatchSize is ${size}: give a whole number >= 1`);
  }
  return Array.from({ length: Math.ceil((end - start) / size) }, (_, k) => ({
    start: start + k * size,
    end: Math.min(start + (k + 1) * size, end),
  }));
}

/** Indices of the non-empty responses in a range. */
function counted(lengths: ArrayLike<number>, { start, end }: IndexRange): number[] {
  const members: number[] = [];
  for (let i = start; i < end; i++) if (lengths[i]! > 0) members.push(i);
  return members;
}

function sliced(lengths: ArrayLike<number>, { start, end }: IndexRange): Float64Array {
  return Float64Array.from({ length: end - start }, (_, i) => lengths[start + i]!);
}

function tokenCount(lengths: ArrayLike<number>, members: number[]): number {
  return members.reduce((sum, i) => sum + lengths[i]!, 0);
}

function checkLengths(lengths: ArrayLike<number>): void {
  for (let i = 0; i < lengths.length; i++) {
    if (!Number.isInteger(lengths[i]) || lengths[i]! < 0) {
      throw new RangeError(
        `The length of response ${i} is ${lengths[i]}: give a whole number >= 0`,
      );
    }
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

function checkedScale({ lossAggregation = "deltaL", lossScaleFactor }: LossWeightOptions): number {
  if (lossScaleFactor === undefined || !(lossScaleFactor > 0) || lossScaleFactor === Infinity) {
    throw new RangeError(
      `lossScaleFactor is ${lossScaleFactor}: ${lossAggregation} needs a number > 0, ` +
        `usually the largest permitted response length`,
    );
  }
  return lossScaleFactor;
}

function checkedGroups(
  responses: number,
  { lossAggregation = "deltaL", numGenerations }: LossWeightOptions,
): IndexRange[] {
  if (numGenerations === undefined) {
    throw new RangeError(`${lossAggregation} over prompt groups needs numGenerations`);
  }
  return groupRanges(responses, numGenerations);
}
