/**
 * The output head and the log-probabilities it gives, without ever holding all logits.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { bytesPerElement, formatShape, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import {
  type LogitRange,
  type LogProbOptions,
  RangeScoring,
  type ScoredItems,
  type Scores,
} from "./log_prob.ts";
import { product } from "./matmul.ts";

/** Bytes of logits that exist at once, where the vocabulary is cut. */
export const HEAD_BYTES = 2 ** 26;

/** Ranges of the vocabulary begin at multiples of this: rows of the head then begin where a binding may. */
const RANGE_STEP = 64;

/** A range of the vocabulary. */
export interface VocabularyRange {
  /** The first token id. */
  readonly first: number;
  /** Number of ids. */
  readonly width: number;
}

/** Options of {@linkcode headLogProb}. */
export interface HeadLogProbOptions extends LogProbOptions {
  /** The most bytes of logits at once; below what the device binds. Default 64 MiB. */
  maxBytes?: number;
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
  const [vocabulary, inner] = weight.shape.map(sizeLimit) as [number, number];
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const bound = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const perColumn = 4 * sizeLimit(rows);
  const bindable = Math.floor(
    Math.min(bound / perColumn, bound / (bytesPerElement(weight.dtype) * inner)),
  );
  const columns = Math.min(bindable, Math.max(RANGE_STEP, Math.floor(maxBytes / perColumn)));
  if (vocabulary <= columns) return [{ first: 0, width: vocabulary }];
  const steps = Math.floor(columns / RANGE_STEP);
  if (steps === 0) {
    throw new RangeError(
      `The head needs logits of ${RANGE_STEP} tokens at once for ${
        sizeLimit(rows)
      } rows, and ${RANGE_STEP} rows of ` +
        `${weight.name} ${formatShape(weight.shape)}: more than the ${bound} bytes that ` +
        `${gpu.adapter.description} can bind. Lower maxTokensPerMicroBatch`,
    );
  }
  const count = Math.ceil(vocabulary / (steps * RANGE_STEP));
  const width = RANGE_STEP * Math.ceil(vocabulary / count / RANGE_STEP);
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
 * What {@linkcode logProb} gives for the logits `hidden · weightᵀ`, and its gradients.
 *
 * Where the logits (T, V) are more than `maxBytes`, they are made for one range of the vocabulary at a time, an online
 * softmax goes over them (Milakov & Gimelshein 2018, arXiv 1805.02867), and the backward pass makes them again: a third
 * more products with the head, for memory that does not depend on V. The order of all sums is fixed.
 *
 * @param plan Where to record.
 * @param hidden (T, C).
 * @param weight (V, C), f32 or f16.
 * @param scored The tokens to score.
 * @param options Temperature, `maxBytes` and the name of the scores.
 * @returns `logProbs` (N) and `entropies` (N).
 * @throws {RangeError} If the shapes do not fit, or a fixed temperature is not greater than 0.
 */
export function headLogProb(
  plan: Plan,
  hidden: Tensor,
  weight: Tensor,
  scored: ScoredItems,
  options: HeadLogProbOptions,
): Scores {
  if (
    hidden.shape.length !== 2 || weight.shape.length !== 2 || hidden.shape[1] !== weight.shape[1]
  ) {
    throw new RangeError(
      `headLogProb needs hidden (T, C) and weight (V, C): got ${formatShape(hidden.shape)} and ${
        formatShape(weight.shape)
      }`,
    );
  }
  const rows = hidden.shape[0]!;
  const ranges = vocabularyRanges(plan.gpu, rows, weight, options.maxBytes);
  const scoring = new RangeScoring(
    plan,
    scored,
    { rows, columns: sizeLimit(weight.shape[0]!) },
    options,
  );
  const head = "lm_head";
  const logitsOf = (range: VocabularyRange, label: string): LogitRange => {
    const logits = plan.empty([rows, range.width], head);
    product(plan, label, {
      a: hidden,
      transposeA: false,
      b: rangeOf(weight, range),
      transposeB: true,
      out: logits,
      accumulate: false,
    });
    return { logits, first: range.first };
  };
  let made: LogitRange;
  for (const range of ranges) {
    made = logitsOf(range, `${head}.forward`);
    scoring.forward(made);
  }

  plan.onBackward([hidden, weight], [scoring.logProbs, scoring.entropies], () => {
    if (!scoring.isUsed) return;
    let dhidden: { out: Tensor; accumulate: boolean } | undefined;
    let dweight: { out: Tensor; accumulate: boolean } | undefined;
    plan.intoGradient(hidden, (out, accumulate) => dhidden = { out, accumulate });
    plan.intoGradient(weight, (out, accumulate) => dweight = { out, accumulate });
    for (const [i, range] of ranges.entries()) {
      const again = ranges.length === 1 ? made : logitsOf(range, `${head}.again`);
      scoring.backward(again);
      const dlogits = again.logits;
      if (dhidden) {
        product(plan, `${head}.backward_a`, {
          a: dlogits,
          transposeA: false,
          b: rangeOf(weight, range),
          transposeB: false,
          out: dhidden.out,
          accumulate: dhidden.accumulate || i > 0,
        });
      }
      if (dweight) {
        product(plan, `${head}.backward_b`, {
          a: dlogits,
          transposeA: true,
          b: hidden,
          transposeB: false,
          out: rangeOf(dweight.out, range),
          accumulate: dweight.accumulate,
          parameter: weight.grad !== undefined,
        });
      }
    }
  });
  return scoring;
}
