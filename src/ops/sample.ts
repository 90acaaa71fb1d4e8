/**
 * Sampling the next token of each sequence on the GPU.
 *
 * @module
 */

import code from "../../kernels/sample.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { threefry2x32 } from "../random/random.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { teamKernel } from "./readers.ts";
import { boundTogether } from "./side_by_side.ts";
import { teamFor } from "./team.ts";

/** What generation knows of B sequences of at most M tokens; {@linkcode sample} brings it forward. */
export interface SampleState {
  /** Token ids so far, shape (B, M), u32. */
  tokens: Tensor;
  /** Log-probability of each under the distribution it was drawn from, shape (B, M). */
  logProbs: Tensor;
  /** Sum of the entropies of those distributions over a sequence's tokens so far, nats, shape (B). */
  entropySums: Tensor;
  /** Tokens so far, shape (B), u32. This and the two below are views of one tensor, see {@linkcode sideBySide}. */
  lengths: Tensor;
  /** 1 where the sequence has ended, else 0, shape (B), u32. */
  finished: Tensor;
  /** The latest token, shape (B), u32. */
  lastTokens: Tensor;
}

/** What is side by side in a {@linkcode SampleState}. */
export const PROGRESS = ["lengths", "finished", "lastTokens"] as const;

/** Options of {@linkcode sample}. */
export interface SampleOptions {
  /** Divides the logits; 0 takes the most likely token. */
  temperature: Param;
  /** Draws only among the most likely tokens, if given. Default: among all, by a kernel that has no part for it. */
  truncation?: Truncation | undefined;
  /** The run's seed, an integer from 0 to 2^53 - 1. */
  seed: Param;
  /** The training step, an integer from 0 to 2^32 - 1. */
  step: Param;
  /** Sample id of sequence 0, that of sequence b is b more: its random stream within a step. Default 0. */
  firstSampleId?: Param;
  /** The most tokens per sequence, at most M. */
  limit: Param;
  /** Token ids that end a sequence, shape (any), u32. */
  eosTokenIds: Tensor;
  /** How many of `eosTokenIds` count. Default: all. */
  eosCount?: Param;
  /** Name below the current scope. Default `"sample"`. */
  name?: string;
  /** Which rows the logits are of, if not of all; sequences of other rows are left as they are. */
  part?: LogitRows;
}

/**
 * Which tokens may be drawn, applied after the temperature in vLLM's order: `minP`, `topK`, `topP`, each to what the ones
 * before leave. All tokens with a logit of equal value are kept, or none.
 */
export interface Truncation {
  /** The k most likely tokens; 0 for all. */
  topK: Param;
  /** The fewest of the most likely tokens that have this probability together, in (0, 1]; 1 for all. */
  topP: Param;
  /** Tokens at least so many times as likely as the most likely one, from 0 to 1; 0 for all. */
  minP: Param;
}

/** Logits of some rows, range after range of the vocabulary. */
export interface LogitRows {
  /** The first row. */
  readonly first: number;
  /** Columns of each range but the last, a multiple of 128; V if there is one range. */
  readonly rangeColumns: number;
}

/** The largest vocabulary: indices are compared as f32. */
const MAX_VOCABULARY = 2 ** 24;
/** Passes over a row that look for `topK`, and for `topP`: two bits of 32 each, and one for the sum. */
const THRESHOLD_PASSES = 16 + 17;
/** Second counter word of the sampling key: a value that no stream of `Random` derives its key with. */
const SAMPLING = 0xc0000000;

/**
 * Key of the random numbers of one step.
 *
 * The words of token v of a sample at position t are `threefry2x32(...row, v >> 1, 0)[v & 1]` with
 * `row = threefry2x32(...key, sampleId, t)`.
 *
 * @param seed The run's seed, an integer from 0 to 2^53 - 1.
 * @param step The training step.
 */
export function samplingKey(seed: number, step: number): [number, number] {
  return threefry2x32(seed >>> 0, Math.floor(seed / 2 ** 32), step, SAMPLING);
}

const NAMES = namesOf<SampleOptions>({
  temperature: true,
  truncation: true,
  seed: true,
  step: true,
  firstSampleId: true,
  limit: true,
  eosTokenIds: true,
  eosCount: true,
  name: true,
  part: true,
});

/**
 * Draws one more token for each active sequence from softmax(logits / temperature), by the Gumbel-max trick.
 *
 * A token is a function of (seed, step, sample id, position, logits): the batch it is drawn in does not matter. At
 * temperature 0 it is the most likely token, the first of equals, and log-probability and entropy are those at temperature
 * 1. A `truncation` decides what is drawn; log-probabilities and entropies are those of the whole distribution, which are
 * what a learner computes. The sequence ends with an end-of-sequence token or at the limit; sequences that have ended are left as they are.
 *
 * @param logits (R, V); with a `part`, each of its ranges is a matrix of its own, one after the other.
 * @param active `rows` (A): the row of logits of each active sequence; `slots` (A): its index b. Each b at most once.
 * @param state Brought forward by one token.
 * @param options Temperature, random key, limit and end-of-sequence tokens.
 * @throws {RangeError} If the shapes do not fit, or V is larger than 2^24.
 */
export function sample(
  plan: Plan,
  logits: Tensor,
  active: { rows: Tensor; slots: Tensor },
  state: SampleState,
  options: SampleOptions,
): void {
  checkNames("sample", options, NAMES);
  const { temperature, truncation, seed, step, firstSampleId = 0, limit, eosTokenIds } = options;
  const { name = "sample" } = options;
  const { tokens, logProbs, entropySums, lengths, finished, lastTokens } = state;
  const columns = sizeLimit(logits.shape[1] ?? 0);
  if (logits.shape.length !== 2 || columns < 1 || columns > MAX_VOCABULARY) {
    throw new RangeError(
      `sample needs logits (R, V) with V from 1 to 2^24: got ${formatShape(logits.shape)}`,
    );
  }
  if (active.rows.capacity !== active.slots.capacity) {
    throw new RangeError(
      `sample needs rows and slots of one shape (A): got ${formatShape(active.rows.shape)} and ` +
        `${formatShape(active.slots.shape)}`,
    );
  }
  const perSequence = [entropySums, lengths, finished, lastTokens];
  if (
    tokens.shape.length !== 2 || logProbs.capacity !== tokens.capacity ||
    perSequence.some((t) => t.capacity !== sizeLimit(tokens.shape[0]!))
  ) {
    throw new RangeError(
      `sample needs tokens and logProbs (B, M), and entropySums, lengths, finished and lastTokens (B): got ${
        [tokens, logProbs, ...perSequence].map((t) => formatShape(t.shape)).join(", ")
      }`,
    );
  }
  const key = () => samplingKey(paramNow(seed), paramNow(step));
  const count: Size = active.slots.shape[0]!;
  const { first, rangeColumns } = options.part ?? { first: 0, rangeColumns: columns };
  const team = teamFor(plan.gpu, columns);
  const progress = boundTogether("sample", { lengths, finished, lastTokens });
  plan.dispatch({
    kernel: teamKernel(
      plan.gpu,
      {
        name: "sample",
        code,
        entryPoint: "main",
        constants: { TRUNCATES: truncation !== undefined },
      },
      {},
      { team },
    ),
    label: name,
    bindings: {
      logits,
      rows: active.rows,
      slots: active.slots,
      eos: eosTokenIds,
      tokens,
      log_probs: logProbs,
      entropy_sums: entropySums,
      progress: progress.whole,
    },
    params: {
      count,
      columns,
      stride: sizeLimit(tokens.shape[1]!),
      limit,
      eos_count: options.eosCount ?? eosTokenIds.shape[0]!,
      temperature,
      key_low: () => key()[0],
      key_high: () => key()[1],
      first_sample_id: firstSampleId,
      first_row: first,
      row_count: sizeLimit(logits.shape[0]!),
      range_columns: rangeColumns,
      range_stride: sizeLimit(logits.shape[0]!) * rangeColumns,
      lengths_at: progress.at.lengths,
      finished_at: progress.at.finished,
      last_tokens_at: progress.at.lastTokens,
      top_k: truncation?.topK ?? 0,
      top_p: truncation?.topP ?? 1,
      min_p_gap: () => {
        const minP = paramNow(truncation?.minP ?? 0);
        return minP === 0 ? -3e38 : paramNow(temperature) * Math.log(minP);
      },
      mass_scale: 2 ** (31 - Math.ceil(Math.log2(columns))),
    },
    turns: (2 + (truncation ? THRESHOLD_PASSES : 0)) * Math.ceil(columns / team.lanes) +
      eosTokenIds.capacity,
    workgroups: count,
    cost: { bytes: () => sizeNow(count) * columns * 4 },
  });
}
