/**
 * The output head: logits of all tokens, or of a range of them where all are too many to bind at once.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { excludeToken } from "./exclude_token.ts";
import type { LogitRange } from "./log_prob.ts";
import { product } from "./matmul/product.ts";
import { bindableBytes, type RowRange, rowRanges, rowsOf } from "./row_ranges.ts";

/** Bytes of logits that exist at once, where the vocabulary is cut. */
export const HEAD_BYTES = 2 ** 26;

/** Name of the head in labels, as Hugging Face has it. */
export const HEAD = "lm_head";

/** Ranges of the vocabulary begin at multiples of this: rows of the head then begin where a binding may. */
const RANGE_STEP = 64;

/** For sampling: two tokens share a random number, and up to 64 lanes take turns. */
const SAMPLING_STEP = 128;

/**
 * Cuts a vocabulary so that the logits of each range, and the range's rows of the head, can be bound.
 *
 * @param gpu The device.
 * @param rows T, the rows of logits.
 * @param weight (V, C), the head.
 * @param maxBytes The most bytes of a range's logits.
 * @returns Ranges of one width but the last; a single one where all fits.
 * @throws {RangeError} If not even the logits of 64 tokens can be bound.
 */
export function vocabularyRanges(
  gpu: Gpu,
  rows: Size,
  weight: Tensor,
  maxBytes: number = HEAD_BYTES,
): RowRange[] {
  const perColumn = 4 * sizeLimit(rows);
  const wanted = Math.max(RANGE_STEP, Math.floor(maxBytes / perColumn));
  const bindable = Math.floor(bindableBytes(gpu) / perColumn);
  return rowRanges(gpu, weight, {
    most: Math.min(wanted, bindable),
    step: RANGE_STEP,
    bytes: 4, // of its gradient
  });
}

/**
 * Cuts a vocabulary so that each range's rows of the head can be bound, where the logits of all ranges lie together.
 *
 * @param gpu The device.
 * @param weight (V, C), the head.
 * @returns Ranges of one width, a multiple of 128, but the last; a single one where all fits.
 */
export function weightRanges(gpu: Gpu, weight: Tensor): RowRange[] {
  return rowRanges(gpu, weight, { step: SAMPLING_STEP });
}

/**
 * Records the logits of a range of the vocabulary: `hidden · weightᵀ`, without a gradient rule.
 *
 * @param plan Where to record.
 * @param hidden (T, C).
 * @param weight (V, C), f32, f16 or bf16.
 * @param range Which tokens.
 * @param options `label` of the product below the current scope, where the logits go, and a token to leave out.
 * @returns (T, width).
 */
export function headLogits(
  plan: Plan,
  hidden: Tensor,
  weight: Tensor,
  range: RowRange,
  options: { label?: string; out?: Tensor; excludedToken?: number | undefined } = {},
): LogitRange {
  const logits = options.out ?? plan.empty([hidden.shape[0]!, range.width], HEAD);
  product(plan, options.label ?? `${HEAD}.forward`, {
    a: hidden,
    transposeA: false,
    b: rowsOf(weight, range),
    transposeB: true,
    out: logits,
    accumulate: false,
  });
  const column = (options.excludedToken ?? -1) - range.first;
  if (column >= 0 && column < range.width) excludeToken(plan, logits, column);
  return { logits, first: range.first };
}
