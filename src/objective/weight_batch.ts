/** What the aggregation rules know of a batch: lengths, the mini-batch, and how it falls into spans. */

import { groupRanges, type IndexRange } from "./groups.ts";

/**
 * The responses `"deltaL"` normalises over.
 *
 * - `"batch"`: the whole rollout batch, as in the paper's published code:
 *   x_i = w_i / (N M), w_i = N_batch L_i^-α / Σ_batch L_j^-α. Σ x_i is 1/M on average over the
 *   mini-batches of a rollout; long and short responses keep their relative weight across them.
 * - `"miniBatch"`: the mini-batch, as in the paper's formula: Σ x_i = 1/M at every optimizer step.
 * - `"group"`: each prompt's responses, so that all prompts count alike.
 *
 * They agree when the rollout batch is one mini-batch of one prompt.
 */
export type LossScope = "batch" | "miniBatch" | "group";

/** Number of each scope in the kernel, and its name in a formula. */
export const LOSS_SCOPES: Readonly<Record<LossScope, { code: number; formula: string }>> = {
  batch: { code: 0, formula: "rollout batch" },
  miniBatch: { code: 1, formula: "mini-batch" },
  group: { code: 2, formula: "prompt's group" },
};

/** The numbers of the rules; the defaults are those of training too. */
export interface AggregationSettings {
  /** Exponent α >= 0 of `"deltaL"`: 0 equals `"drGrpo"`, 1 has the least variance. Default 1. */
  readonly lossAlpha: number;
  /** The constant M > 0 of `"drGrpo"` and `"deltaL"`. Default in training: `maxCompletionLength`. */
  readonly lossScaleFactor: number;
  /** The responses `"deltaL"` normalises over. Default `"batch"`. */
  readonly lossScope: LossScope;
  /** Responses per micro-batch of `"dapoMicroBatch"`; nothing else depends on it. Default 4. */
  readonly lossMicroBatchSize: number;
  /** Exponent λ of `"lambdaGrpo"`: above 0 it prefers long responses, at 0 it is `"dapo"`. Default 1. */
  readonly lossLambda: number;
  /** r of `"lambdaGrpo"`, the departure of h from 1 per standard deviation of the length. Default 0.1. */
  readonly lossLambdaSpread: number;
}

/** A rollout batch of B responses, of which a mini-batch makes an optimizer step. Empty responses count nowhere. */
export class WeightBatch {
  /** Length of every response of the rollout batch [B]. */
  readonly lengths: ArrayLike<number>;
  /** The responses of the optimizer step. */
  readonly miniBatch: IndexRange;
  /** The numbers of the rules. */
  readonly settings: AggregationSettings;
  /** N, the responses of the mini-batch that are not empty. */
  readonly count: number;
  /** Their tokens. */
  readonly tokens: number;

  readonly #numGenerations: number | readonly number[] | undefined;

  /** A batch; `numGenerations` is needed by {@linkcode WeightBatch.groups} alone. */
  constructor(
    lengths: ArrayLike<number>,
    miniBatch: IndexRange,
    settings: AggregationSettings,
    numGenerations: number | readonly number[] | undefined,
  ) {
    this.lengths = lengths;
    this.miniBatch = miniBatch;
    this.settings = settings;
    this.#numGenerations = numGenerations;
    this.count = this.members().length;
    this.tokens = this.tokensIn(miniBatch);
  }

  /** Indices of the mini-batch's responses that are not empty. */
  members(): number[] {
    const { start, end } = this.miniBatch;
    return Array.from({ length: end - start }, (_, k) => start + k)
      .filter((i) => this.lengths[i]! > 0);
  }

  /** Tokens of the mini-batch's responses within a span. */
  tokensIn({ start, end }: IndexRange): number {
    let tokens = 0;
    const last = Math.min(end, this.miniBatch.end);
    for (let i = Math.max(start, this.miniBatch.start); i < last; i++) tokens += this.lengths[i]!;
    return tokens;
  }

  /** The responses to each prompt, over the whole batch. */
  groups(): IndexRange[] {
    if (this.#numGenerations === undefined) {
      throw new RangeError("an aggregation over prompt groups needs numGenerations");
    }
    return groupRanges(this.lengths.length, this.#numGenerations);
  }

  /** The mini-batch in pieces of `lossMicroBatchSize`. */
  microBatches(): IndexRange[] {
    const { start, end } = this.miniBatch;
    const size = this.settings.lossMicroBatchSize;
    return Array.from({ length: Math.ceil((end - start) / size) }, (_, k) => ({
      start: start + k * size,
      end: Math.min(start + (k + 1) * size, end),
    }));
  }

  /** What `lossScope` names. */
  scope(): IndexRange[] {
    switch (this.settings.lossScope) {
      case "batch":
        return [{ start: 0, end: this.lengths.length }];
      case "miniBatch":
        return [this.miniBatch];
      case "group":
        return this.groups();
    }
  }

  /** Numbers computed from the lengths of each span, put together for the whole batch [B]. */
  perSpan(
    spans: readonly IndexRange[],
    compute: (lengths: Float64Array) => Float64Array,
  ): Float64Array {
    const lengths = Float64Array.from(this.lengths);
    const values = new Float64Array(lengths.length);
    for (const { start, end } of spans) {
      if (end > start) values.set(compute(lengths.subarray(start, end)), start);
    }
    return values;
  }
}
