/**
 * The output head and the log-probabilities it gives, without ever holding all logits.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { HEAD, headLogits, vocabularyRanges } from "./head.ts";
import {
  type LogitRange,
  type LogProbOptions,
  RangeScoring,
  type ScoredItems,
  type Scores,
} from "./log_prob.ts";
import { product } from "./matmul/product.ts";
import { rowsOf } from "./row_ranges.ts";

/** Options of {@linkcode headLogProb}. */
export interface HeadLogProbOptions extends LogProbOptions {
  /** The most bytes of logits at once; below what the device binds. Default 64 MiB. */
  maxBytes?: number;
  /** Where the logits of all ranges are at most this many bytes, the backward pass finds them. Default 256 MiB. */
  keptBytes?: number;
  /** A token with probability 0, which is left out of the distribution. Default: none. */
  excludedToken?: number | undefined;
}

/** Bytes of logits that may wait for the backward pass: 512 tokens of 131,072. */
const KEPT_BYTES = 2 ** 28;

const NAMES = namesOf<HeadLogProbOptions>({
  temperature: true,
  name: true,
  maxBytes: true,
  excludedToken: true,
  keptBytes: true,
});

/**
 * What {@linkcode logProb} gives for the logits `hidden · weightᵀ`, and its gradients.
 *
 * Where the logits (T, V) are more than `maxBytes`, they are made for one range of the vocabulary at a time, an online
 * softmax goes over them (Milakov & Gimelshein 2018, arXiv 1805.02867). Where all are more than `keptBytes`, the backward
 * pass makes them again: a third more products with the head, for memory that does not depend on V. The order of all sums
 * is the same however it is cut.
 *
 * @param plan Where to record.
 * @param hidden (T, C).
 * @param weight (V, C), f32, f16 or bf16.
 * @param scored The tokens to score.
 * @param options Temperature, `maxBytes`, `keptBytes` and the name of the scores.
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
  checkNames("headLogProb", options, NAMES);
  if (
    hidden.shape.length !== 2 || weight.shape.length !== 2 || hidden.shape[1] !== weight.shape[1]
  ) {
    throw new RangeError(
      `headLogProb needs hidden (T, C) and weight (V, C): got ${formatShape(hidden.shape)} and ` +
        `${formatShape(weight.shape)}`,
    );
  }
  const { excludedToken } = options;
  const rows = hidden.shape[0]!;
  const ranges = vocabularyRanges(plan.gpu, rows, weight, options.maxBytes);
  const scoring = new RangeScoring(
    plan,
    scored,
    { rows, columns: sizeLimit(weight.shape[0]!) },
    options,
  );
  const bytes = 4 * sizeLimit(rows) * sizeLimit(weight.shape[0]!);
  const keeps = ranges.length === 1 || bytes <= (options.keptBytes ?? KEPT_BYTES);
  const made: LogitRange[] = [];
  for (const range of ranges) {
    const logits = headLogits(plan, hidden, weight, range, { excludedToken });
    scoring.forward(logits);
    if (keeps) made.push(logits);
  }

  plan.onBackward([hidden, weight], [scoring.logProbs, scoring.entropies], () => {
    if (!scoring.isUsed) return;
    let dhidden: { out: Tensor; accumulate: boolean } | undefined;
    let dweight: { out: Tensor; accumulate: boolean } | undefined;
    plan.intoGradient(hidden, (out, accumulate) => dhidden = { out, accumulate });
    plan.intoGradient(weight, (out, accumulate) => dweight = { out, accumulate });
    // In their order, so that sums over the vocabulary are the same however it is cut. Unless all are kept, the last logits
    // are made again, too: to keep them while the others are made would take twice the memory.
    for (const [i, range] of ranges.entries()) {
      const logits = made[i] ??
        headLogits(plan, hidden, weight, range, { label: `${HEAD}.again`, excludedToken });
      scoring.backward(logits);
      const dlogits = logits.logits;
      if (dhidden) {
        product(plan, `${HEAD}.backward_a`, {
          a: dlogits,
          transposeA: false,
          b: rowsOf(weight, range),
          transposeB: false,
          out: dhidden.out,
          accumulate: dhidden.accumulate || i > 0,
        });
      }
      if (dweight) {
        product(plan, `${HEAD}.backward_b`, {
          a: dlogits,
          transposeA: true,
          b: hidden,
          transposeB: false,
          out: rowsOf(dweight.out, range),
          wholeRows: sizeLimit(weight.shape[0]!),
          accumulate: dweight.accumulate,
          parameter: weight.grad !== undefined,
        });
      }
    }
  });
  return scoring;
}
