/**
 * The output head and the tokens sampled by it, for as many rows at a time as may have logits.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { Dim, formatShape, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { HEAD_BYTES, headLogits, weightRanges } from "./head.ts";
import { bindableBytes } from "./row_ranges.ts";
import { sample, type SampleOptions, type SampleState } from "./sample.ts";

/** Options of {@linkcode headSample}. */
export interface HeadSampleOptions extends SampleOptions {
  /** The most bytes of logits at once, unless one row has more. Default 64 MiB. */
  maxBytes?: number;
  /** A token that is never drawn: its probability is 0. Default: none. */
  excludedToken?: number | undefined;
}

const NAMES = namesOf<HeadSampleOptions>({
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
  maxBytes: true,
  excludedToken: true,
});

/**
 * {@linkcode sample} with the logits `hidden · weightᵀ`. A token does not depend on how rows and vocabulary are cut.
 *
 * @param plan Where to record.
 * @param hidden (R, C).
 * @param weight (V, C), f32, f16 or bf16.
 * @param active `rows` (A): the row of each active sequence; `slots` (A): its index b.
 * @param state Brought forward by one token.
 * @param options As {@linkcode sample} has them, and `maxBytes`.
 * @throws {RangeError} If the shapes do not fit.
 */
export function headSample(
  plan: Plan,
  hidden: Tensor,
  weight: Tensor,
  active: { rows: Tensor; slots: Tensor },
  state: SampleState,
  options: HeadSampleOptions,
): void {
  checkNames("headSample", options, NAMES);
  if (
    hidden.shape.length !== 2 || weight.shape.length !== 2 || hidden.shape[1] !== weight.shape[1]
  ) {
    throw new RangeError(
      `headSample needs hidden (R, C) and weight (V, C): got ${formatShape(hidden.shape)} and ` +
        `${formatShape(weight.shape)}`,
    );
  }
  const { maxBytes = HEAD_BYTES, excludedToken, ...rest } = options;
  const [rows, inner] = hidden.shape as [Size, number];
  const vocabulary = sizeLimit(weight.shape[0]!);
  const ranges = weightRanges(plan.gpu, weight);
  const fitting = Math.floor(Math.min(maxBytes, bindableBytes(plan.gpu)) / 4 / vocabulary);
  const atOnce = rowsAtOnce(plan, sizeLimit(rows), fitting, inner);
  for (let first = 0; first < sizeLimit(rows); first += atOnce) {
    const capacity = Math.min(atOnce, sizeLimit(rows) - first);
    const here = capacity === sizeLimit(rows)
      ? rows
      : rows instanceof Dim
      ? rows.part(first, capacity)
      : capacity;
    const some = hidden.view([here, inner], { elementOffset: first * inner });
    const logits = plan.empty([capacity, vocabulary], "logits");
    for (const range of ranges) {
      const out = logits.view([here, range.width], { elementOffset: capacity * range.first });
      headLogits(plan, some, weight, range, { out, excludedToken });
    }
    sample(plan, logits, active, state, {
      ...rest,
      part: { first, rangeColumns: ranges[0]!.width },
    });
  }
}

/** As many rows as fit, so that hidden states of the next ones begin where a binding may. */
function rowsAtOnce(plan: Plan, rows: number, fitting: number, inner: number): number {
  if (fitting >= rows) return rows;
  const step = [1, 2, 4, 8, 16].find((n) => (n * inner) % 64 === 0)!;
  const atOnce = Math.floor(fitting / step) * step;
  if (atOnce === 0) {
    throw new RangeError(
      `${plan.path("sample")} needs the logits of ${step} rows at once: more than the ` +
        `${bindableBytes(plan.gpu)} bytes that ${plan.gpu.adapter.description} can bind. Take a ` +
        "policy with a smaller vocabulary",
    );
  }
  return atOnce;
}
