/**
 * The output head: logits of all tokens, or of a range of them where all are too many to bind at once.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { bytesPerElement, formatShape, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import type { LogitRange } from "./log_prob.ts";
import { product } from "./matmul/product.ts";

/** Bytes of logits that exist at once, where the vocabulary is cut. */
export const HEAD_BYTES = 2 ** 26;

/** Name of the head in labels, as Hugging Face has it. */
export const HEAD = "lm_head";

/** Ranges of the vocabulary begin at multiples of this: rows of the head then begin where a binding may. */
const RANGE_STEP = 64;

/** For sampling: two tokens share a random number, and up to 64 lanes take turns. */
const SAMPLING_STEP = 128;

/** A range of the vocabulary. */
export interface VocabularyRange {
  /** The first token id. */
  readonly first: number;
  /** Number of ids. */
  readonly width: number;
}

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
): VocabularyRange[] {
  const perColumn = 4 * sizeLimit(rows);
  const wanted = Math.max(RANGE_STEP, Math.floor(maxBytes / perColumn));
  const bindable = Math.floor(bindableBytes(gpu) / perColumn);
  return cut(gpu, weight, Math.min(wanted, bindable), RANGE_STEP);
}

/**
 * Cuts a vocabulary so that each range's rows of the head can be bound, where the logits of all ranges lie together.
 *
 * @param gpu The device.
 * @param weight (V, C), the head.
 * @returns Ranges of one width, a multiple of 128, but the last; a single one where all fits.
 */
export function weightRanges(gpu: Gpu, weight: Tensor): VocabularyRange[] {
  return cut(gpu, weight, Infinity, SAMPLING_STEP);
}

/** Bytes of the largest tensor. */
export function bindableBytes({ device }: Gpu): number {
  return Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
}

function cut(gpu: Gpu, weight: Tensor, columns: number, step: number): VocabularyRange[] {
  const [vocabulary, inner] = weight.shape.map(sizeLimit) as [number, number];
  const bindable = Math.floor(bindableBytes(gpu) / bytesPerElement(weight.dtype) / inner);
  const most = Math.min(columns, bindable);
  if (vocabulary <= most) return [{ first: 0, width: vocabulary }];
  const steps = Math.floor(most / step);
  if (steps === 0) {
    throw new RangeError(
      `The head ${weight.name} ${
        formatShape(weight.shape)
      } needs ${step} of its rows and their logits at once: more ` +
        `than the ${bindableBytes(gpu)} bytes that ${gpu.adapter.description} can bind. Lower ` +
        "maxTokensPerMicroBatch or take a smaller model",
    );
  }
  const count = Math.ceil(vocabulary / (steps * step));
  const width = step * Math.ceil(vocabulary / count / step);
  const ranges: VocabularyRange[] = [];
  for (let first = 0; first < vocabulary; first += width) {
    ranges.push({ first, width: Math.min(width, vocabulary - first) });
  }
  return ranges;
}

/** The rows of a head, or of its gradient, that make a range's logits. */
export function rangeOf(weight: Tensor, { first, width }: VocabularyRange): Tensor {
  const inner = sizeLimit(weight.shape[1]!);
  return weight.view([width, inner], { elementOffset: first * inner });
}

/**
 * Records the logits of a range of the vocabulary: `hidden · weightᵀ`, without a gradient rule.
 *
 * @param plan Where to record.
 * @param hidden (T, C).
 * @param weight (V, C), f32 or f16.
 * @param range Which tokens.
 * @param options `label` of the product below the current scope, and where the logits go.
 * @returns (T, width).
 */
export function headLogits(
  plan: Plan,
  hidden: Tensor,
  weight: Tensor,
  range: VocabularyRange,
  options: { label?: string; out?: Tensor } = {},
): LogitRange {
  const logits = options.out ?? plan.empty([hidden.shape[0]!, range.width], HEAD);
  product(plan, options.label ?? `${HEAD}.forward`, {
    a: hidden,
    transposeA: false,
    b: rangeOf(weight, range),
    transposeB: true,
    out: logits,
    accumulate: false,
  });
  return { logits, first: range.first };
}
