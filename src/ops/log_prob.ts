/**
 * Log-probabilities of chosen tokens, and the entropy of the distributions they were chosen from.
 *
 * @module
 */

import code from "../../kernels/log_prob.wgsl" with { type: "text" };
import type { Param } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import {
  type Dim,
  formatShape,
  type Size,
  sizeLimit,
  sizeNow,
  type Tensor,
} from "../gpu/tensor.ts";
import { rowReader } from "./prelude.ts";

/** Which tokens are scored, and the row of logits that predicts each. */
export interface ScoredItems {
  /** Where the items of each row begin in `rowItems`, shape (T + 1), u32. */
  rowOffsets: Tensor;
  /** Items ordered by row, shape (N), u32. */
  rowItems: Tensor;
  /** Token id of each item, shape (N), u32, less than V. */
  itemTargets: Tensor;
  /** Number of items N. */
  items: Dim;
}

/** Options of {@linkcode logProb}. */
export interface LogProbOptions {
  /** Divides the logits; greater than 0. */
  temperature: Param;
  /** Name of the outputs below the current scope. Default `"log_prob"`. */
  name?: string;
}

/**
 * ln softmax(logits / temperature)[target] of every item, and the entropy of the softmax it comes from, in nats.
 *
 * Several items may share a row, with equal targets too. Nothing of the size of the logits is stored but the gradient.
 *
 * @param plan Where to record.
 * @param logits (T, V), any V.
 * @param scored The tokens to score.
 * @param options Temperature and name.
 * @returns `logProbs` (N) and `entropies` (N). Rows without items get a gradient of zero.
 * @throws {RangeError} If the shapes do not fit, or a fixed temperature is not greater than 0.
 */
export function logProb(
  plan: Plan,
  logits: Tensor,
  scored: ScoredItems,
  options: LogProbOptions,
): { logProbs: Tensor; entropies: Tensor } {
  const { rowOffsets, rowItems, itemTargets, items } = scored;
  const { temperature, name = "log_prob" } = options;
  const rows: Size = logits.shape[0]!;
  if (
    logits.shape.length !== 2 || rowOffsets.capacity < sizeLimit(rows) + 1 ||
    rowItems.capacity < items.capacity || itemTargets.capacity < items.capacity
  ) {
    throw new RangeError(
      `logProb needs logits (T, V), rowOffsets (T + 1), and rowItems and itemTargets of ${items.capacity} items: got ${
        [logits, rowOffsets, rowItems, itemTargets].map((t) => formatShape(t.shape)).join(", ")
      }`,
    );
  }
  if (typeof temperature === "number" && !(temperature > 0)) {
    throw new RangeError(
      `logProb needs a temperature greater than 0: current value is ${temperature}`,
    );
  }
  const columns = sizeLimit(logits.shape[1]!);
  const reader = rowReader(plan.gpu, columns);
  const kernel = (entryPoint: string) => reader.kernel({ name: "log_prob", code, entryPoint });
  const workgroups = () => reader.workgroups(sizeNow(rows));
  const params = {
    rows,
    columns: reader.columns,
    temperature,
    has_dlog_probs: 0,
    has_dentropies: 0,
    accumulate: 0,
  };
  const table = { row_offsets: rowOffsets, row_items: rowItems, item_targets: itemTargets };

  const logProbs = plan.empty([items], name);
  const entropies = plan.empty([items], `${name}.entropy`);
  const rowStats = plan.empty([rows, 3], `${name}.row_stats`);
  plan.dispatch({
    kernel: kernel("forward"),
    label: `${name}.forward`,
    bindings: {
      logits,
      logit_of: logits,
      ...table,
      log_probs: logProbs,
      entropies,
      row_stats: rowStats,
    },
    params,
    workgroups,
    cost: { bytes: () => sizeNow(rows) * columns * 4 },
  });

  plan.onBackward([logits], [logProbs, entropies], () => {
    const dlogProbs = plan.gradientOf(logProbs);
    const dentropies = plan.gradientOf(entropies);
    const present = dlogProbs ?? dentropies;
    if (!present) return;
    plan.intoGradient(logits, (dlogits, accumulate) => {
      plan.dispatch({
        kernel: kernel("backward"),
        label: `${name}.backward`,
        bindings: {
          logits,
          ...table,
          saved_stats: rowStats,
          dlog_probs: dlogProbs ?? present,
          dentropies: dentropies ?? present,
          dlogits,
        },
        params: {
          ...params,
          has_dlog_probs: dlogProbs ? 1 : 0,
          has_dentropies: dentropies ? 1 : 0,
          accumulate: accumulate ? 1 : 0,
        },
        workgroups,
        cost: { bytes: () => sizeNow(rows) * columns * 8 },
      });
    });
  });
  return { logProbs, entropies };
}
