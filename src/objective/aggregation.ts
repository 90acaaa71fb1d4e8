/**
 * Loss aggregation: how much each response counts in the policy gradient.
 *
 * Every rule is one weight x_i per response, loss = Σ_i x_i Σ_t ℓ_it. The weights depend on the
 * lengths alone and are computed before a batch is split, so micro-batches only add up.
 */

import type { Rule } from "./rule.ts";
import {
  type AggregationSettings,
  LOSS_SCOPES,
  type LossScope,
  type WeightBatch,
} from "./weight_batch.ts";

export { type AggregationSettings, LOSS_SCOPES, type LossScope };

/**
 * A rule for the weights x_i. N responses are in the mini-batch of one optimizer step, L_i is the
 * length of response i, M the constant `lossScaleFactor`; sums run over the mini-batch.
 *
 * - `"grpo"`: 1 / (N L_i), the mean over responses of their token means (arXiv 2402.03300).
 * - `"dapo"`: 1 / Σ_j L_j, the mean over all tokens (arXiv 2503.14476).
 * - `"drGrpo"`: 1 / (N M), unbiased up to the constant M (arXiv 2503.20783).
 * - `"deltaL"`: L_i^-α / (M Σ_j L_j^-α), unbiased like `"drGrpo"` and, at α = 1, of least variance
 *   (arXiv 2509.07558, "ΔL Normalization" and in its second version "VL Norm").
 * - `"seqSum"`: 1 / N, the mean over responses of their token sums.
 * - `"promptMean"`: 1 / (P Σ_{j in group(i)} L_j), the mean over P prompts of their token means.
 * - `"dapoMicroBatch"`: 1 / (K Σ_{j in micro(i)} L_j), the mean over K micro-batches, of
 *   `lossMicroBatchSize` responses in order, of their token means. It is what the paper's published
 *   code (arXiv 2509.07558) runs as "DAPO Norm", with micro-batches of 4, and what TRL calls "bnpo":
 *   something between `"grpo"` and `"dapo"` that depends on which responses happen to be neighbours.
 *   Here the micro-batches only define the weights, however the computation is split.
 * - `"lambdaGrpo"`: f_i / Σ_j L_j with f_i = G softmax_group(h_i^λ), h_i = 1 + r z_i, z_i the length
 *   standardised within the responses to its prompt (λ-GRPO, arXiv 2510.06870). λ > 0 prefers long
 *   responses, λ < 0 short ones, λ = 0 is `"dapo"`. The paper trains λ by the loss that it weighs;
 *   here it is a number that is given, `lossLambda`.
 */
export type LossAggregation =
  | "grpo"
  | "dapo"
  | "drGrpo"
  | "deltaL"
  | "seqSum"
  | "promptMean"
  | "dapoMicroBatch"
  | "lambdaGrpo";

/**
 * What x_i L_i, the say of a whole response, is proportional to: the same for all or its tokens, over the mini-batch or
 * only within each group.
 */
export type Proportion = "response" | "token" | "groupResponse" | "groupToken";

/** A rule of aggregation; `verl` is the `loss_agg_mode` of the same weights. */
export interface AggregationRule extends Rule<AggregationSettings> {
  readonly needs?: readonly (keyof AggregationSettings)[];
  /** Whether it looks at the responses of each prompt. */
  readonly byGroup?: (settings: { lossScope: LossScope }) => boolean;
  /** What x_i L_i is proportional to, where that is simple. */
  readonly proportion?: (settings: AggregationSettings) => Proportion | undefined;
  /** x_i for every i of the mini-batch that is not empty. */
  readonly compute: (batch: WeightBatch) => (i: number) => number;
}

/** Every rule. */
export const AGGREGATIONS: Readonly<Record<LossAggregation, AggregationRule>> = {
  grpo: {
    code: 0,
    verl: "seq-mean-token-mean",
    formula: () => "1 / (N L)",
    proportion: () => "response",
    compute: ({ count, lengths }) => (i) => 1 / (count * lengths[i]!),
  },
  dapo: {
    code: 1,
    verl: "token-mean",
    formula: () => "1 / Σ L",
    proportion: () => "token",
    compute: ({ tokens }) => () => 1 / tokens,
  },
  drGrpo: {
    code: 2,
    verl: "seq-mean-token-sum-norm",
    needs: ["lossScaleFactor"],
    formula: ({ lossScaleFactor }) => `1 / (N ${lossScaleFactor})`,
    proportion: () => "token",
    compute: ({ count, settings }) => () => 1 / (count * settings.lossScaleFactor),
  },
  deltaL: {
    code: 3,
    aliases: ["vlNorm", "ΔL"],
    needs: ["lossAlpha", "lossScaleFactor", "lossScope"],
    byGroup: ({ lossScope }) => lossScope === "group",
    formula: ({ lossAlpha: a, lossScaleFactor: M, lossScope }) =>
      lossScope === "miniBatch"
        ? `L^-${a} / (${M} Σ L^-${a})`
        : `1 / (N ${M}) · L^-${a} / (mean of L^-${a} over the ${LOSS_SCOPES[lossScope].formula})`,
    proportion: ({ lossAlpha, lossScope }) =>
      lossAlpha === 0
        ? "token"
        : lossAlpha !== 1
        ? undefined
        : lossScope === "group"
        ? "groupResponse"
        : "response",
    compute: (batch) => {
      const { count, settings: { lossAlpha, lossScaleFactor } } = batch;
      const relative = batch.perSpan(batch.scope(), (lengths) => lengthWeights(lengths, lossAlpha));
      return (i) => relative[i]! / (count * lossScaleFactor);
    },
  },
  seqSum: {
    code: 4,
    verl: "seq-mean-token-sum",
    aliases: ["luspo"],
    formula: () => "1 / N",
    proportion: () => "token",
    compute: ({ count }) => () => 1 / count,
  },
  promptMean: {
    code: 5,
    byGroup: () => true,
    formula: () => "1 / (P Σ L of the group)",
    proportion: () => "groupToken",
    compute: (batch) => meanOfTokenMeans(batch, batch.groups()),
  },
  dapoMicroBatch: {
    code: 6,
    aliases: ["bnpo"],
    needs: ["lossMicroBatchSize"],
    formula: ({ lossMicroBatchSize }) => `1 / (K Σ L of ${lossMicroBatchSize} neighbours)`,
    compute: (batch) => meanOfTokenMeans(batch, batch.microBatches()),
  },
  lambdaGrpo: {
    code: 7,
    aliases: ["λ-GRPO"],
    needs: ["lossLambda", "lossLambdaSpread"],
    byGroup: () => true,
    formula: ({ lossLambda, lossLambdaSpread }) =>
      `G softmax of (1 + ${lossLambdaSpread} z)^${lossLambda} over the prompt's group / Σ L, z the standardised L,`,
    compute: (batch) => {
      const preferences = batch.perSpan(
        batch.groups(),
        (lengths) => tokenPreferences(lengths, batch.settings),
      );
      return (i) => preferences[i]! / batch.tokens;
    },
  },
};

/** 1 / (K Σ L) over the spans that have a response in the mini-batch, K in number. */
function meanOfTokenMeans(batch: WeightBatch, spans: ReturnType<WeightBatch["groups"]>) {
  const tokens = spans.map((span) => batch.tokensIn(span));
  const present = tokens.filter((count) => count > 0).length;
  const share = new Float64Array(batch.lengths.length);
  spans.forEach(({ start, end }, k) => share.fill(1 / (present * tokens[k]!), start, end));
  return (i: number): number => share[i]!;
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
  const present = Array.from(lengths).filter((L) => L > 0);
  // Only ratios of lengths matter; against the shortest no power overflows and one is exactly 1.
  const shortest = present.reduce((least, L) => Math.min(least, L), Infinity);
  const powers = Float64Array.from(lengths, (L) => L > 0 ? (L / shortest) ** -lossAlpha : 0);
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power * present.length / (sum || 1));
}

/**
 * f_i = n softmax(h^λ) of the n responses to a prompt that are not empty, h_i = 1 + r z_i (λ-GRPO, arXiv 2510.06870). z has
 * the population's standard deviation, and h is kept above 0, which it is anyway for r < 1 / √(n − 1).
 */
function tokenPreferences(
  lengths: Float64Array,
  { lossLambda, lossLambdaSpread }: AggregationSettings,
): Float64Array {
  const present = lengths.filter((L) => L > 0);
  const mean = present.reduce((sum, L) => sum + L, 0) / present.length;
  const deviation = Math.sqrt(
    present.reduce((sum, L) => sum + (L - mean) ** 2, 0) / present.length,
  );
  const power = (L: number) => {
    const z = deviation > 0 ? (L - mean) / deviation : 0;
    return Math.max(1 + lossLambdaSpread * z, 1e-3) ** lossLambda;
  };
  const greatest = present.reduce((most, L) => Math.max(most, power(L)), 0);
  const share = (L: number) => L > 0 ? Math.exp(power(L) - greatest) : 0;
  const sum = lengths.reduce((total, L) => total + share(L), 0);
  return lengths.map((L) => present.length * share(L) / sum);
}

/**
 * Checks the lengths of responses.
 *
 * @throws {RangeError} For one that is no whole number >= 0.
 */
export function checkLengths(lengths: ArrayLike<number>): void {
  for (let i = 0; i < lengths.length; i++) {
    if (!Number.isInteger(lengths[i]) || lengths[i]! < 0) {
      throw new RangeError(
        `The length of response ${i} is ${lengths[i]}: give a whole number >= 0`,
      );
    }
  }
}
