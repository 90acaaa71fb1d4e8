/**
 * Log-probabilities of chosen tokens, and the entropy of the distributions they were chosen from.
 *
 * @module
 */

import code from "../../kernels/log_prob.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
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
import { type RowReader, rowReader } from "./readers.ts";

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

/** What scoring gives, one element per item. */
export interface Scores {
  /** Log-probabilities (N). */
  logProbs: Tensor<"f32">;
  /** Entropies of the distributions the tokens belong to (N), nats. */
  entropies: Tensor<"f32">;
}

/** Logits of a range of the vocabulary. */
export interface LogitRange {
  /** (T, width). */
  readonly logits: Tensor;
  /** Token id of the first column; like the width, but for the last range's, a multiple of 8. */
  readonly first: number;
}

const NAMES = namesOf<LogProbOptions>({ temperature: true, name: true });

/**
 * ln softmax(logits / temperature)[target] of every item, and the entropy of the softmax it comes from, in nats.
 *
 * Several items may share a row, with equal targets too. Nothing of the size of the logits is stored but the gradient.
 *
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
): Scores {
  checkNames("logProb", options, NAMES);
  if (logits.shape.length !== 2) {
    throw new RangeError(`logProb needs logits (T, V): got ${formatShape(logits.shape)}`);
  }
  const [rows, columns] = logits.shape;
  const size = { rows: rows!, columns: sizeLimit(columns!) };
  const scoring = new RangeScoring(plan, scored, size, options);
  scoring.forward({ logits, first: 0 });
  plan.onBackward([logits], [scoring.logProbs, scoring.entropies], () => {
    if (!scoring.isUsed) return;
    plan.intoGradient(logits, (dlogits, accumulate) => {
      scoring.backward({ logits, first: 0 }, { dlogits, accumulate });
    });
  });
  return scoring;
}

/** Scores tokens by logits that come in ranges of the vocabulary; what comes out is the same to the bit. */
export class RangeScoring implements Scores {
  /** (N). */
  readonly logProbs: Tensor<"f32">;
  /** (N). */
  readonly entropies: Tensor<"f32">;

  readonly #plan: Plan;
  readonly #rows: Size;
  readonly #columns: number;
  readonly #reader: RowReader;
  readonly #name: string;
  readonly #temperature: Param;
  readonly #table: Record<"row_offsets" | "row_items" | "item_targets", Tensor>;
  readonly #rowStats: Tensor;
  #rowSums: Tensor | undefined;

  /**
   * Declares the outputs.
   *
   * @param scored The tokens to score.
   * @param size Rows T and columns V of all logits.
   * @param options Temperature and name.
   * @throws {RangeError} If the shapes do not fit, or a fixed temperature is not greater than 0.
   */
  constructor(
    plan: Plan,
    scored: ScoredItems,
    { rows, columns }: { rows: Size; columns: number },
    options: LogProbOptions,
  ) {
    const { rowOffsets, rowItems, itemTargets, items } = scored;
    const { temperature, name = "log_prob" } = options;
    if (
      rowOffsets.capacity < sizeLimit(rows) + 1 || rowItems.capacity < items.capacity ||
      itemTargets.capacity < items.capacity
    ) {
      throw new RangeError(
        `logProb needs rowOffsets (T + 1), and rowItems and itemTargets of ${items.capacity} items, for logits ` +
          `${formatShape([rows, columns])}: got ${
            [rowOffsets, rowItems, itemTargets].map((t) => formatShape(t.shape)).join(", ")
          }`,
      );
    }
    if (typeof temperature === "number" && !(temperature > 0)) {
      throw new RangeError(
        `logProb needs a temperature greater than 0: current value is ${temperature}`,
      );
    }
    this.#plan = plan;
    this.#rows = rows;
    this.#columns = columns;
    this.#reader = rowReader(plan.gpu, columns);
    this.#name = name;
    this.#temperature = temperature;
    this.#table = { row_offsets: rowOffsets, row_items: rowItems, item_targets: itemTargets };
    this.logProbs = plan.empty([items], name);
    this.entropies = plan.empty([items], `${name}.entropy`);
    this.#rowStats = plan.empty([rows, 3], `${name}.row_stats`);
  }

  /** Whether anything depends on the outputs, once the tape has been here. */
  get isUsed(): boolean {
    return this.#gradients.some((gradient) => gradient !== undefined);
  }

  get #gradients(): readonly [dlogProbs: Tensor | undefined, dentropies: Tensor | undefined] {
    return [this.#plan.gradientOf(this.logProbs), this.#plan.gradientOf(this.entropies)];
  }

  /** Records what a range adds; ranges come in order, and after the last one the outputs are there. */
  forward(range: LogitRange): void {
    const { logits } = range;
    const width = sizeLimit(logits.shape[1]!);
    if (width < this.#columns) {
      this.#rowSums ??= this.#plan.empty(
        [this.#rows, this.#reader.lanes, 3],
        `${this.#name}.row_sums`,
      );
    }
    this.#dispatch("forward", range, {
      logits,
      row_sums: this.#rowSums ?? this.#plan.empty([8], `${this.#name}.unused`),
      log_probs: this.logProbs,
      entropies: this.entropies,
      row_stats: this.#rowStats,
    });
  }

  /**
   * Records the gradient of a range's logits.
   *
   * @param range The logits.
   * @param into Where it goes, and whether it is added to what is there. Default: it takes the place of the logits.
   */
  backward(range: LogitRange, into?: { dlogits: Tensor; accumulate: boolean }): void {
    const [dlogProbs, dentropies] = this.#gradients;
    const present = (dlogProbs ?? dentropies)!;
    this.#dispatch(into ? "backward" : "backward_in_place", range, {
      ...(into ? { logits: range.logits } : {}),
      dlogits: into?.dlogits ?? range.logits,
      saved_stats: this.#rowStats,
      dlog_probs: dlogProbs ?? present,
      dentropies: dentropies ?? present,
    }, {
      has_dlog_probs: dlogProbs ? 1 : 0,
      has_dentropies: dentropies ? 1 : 0,
      accumulate: into?.accumulate ? 1 : 0,
    });
  }

  #dispatch(
    entryPoint: "forward" | "backward" | "backward_in_place",
    { logits, first }: LogitRange,
    bindings: Record<string, Tensor>,
    params: Record<string, number> = {},
  ): void {
    const { pack, kernel, turns, workgroups } = this.#reader;
    const width = sizeLimit(logits.shape[1]!);
    const part = width < this.#columns ? `${first / width}` : "";
    this.#plan.dispatch({
      kernel: kernel({ name: "log_prob", code, entryPoint }),
      label: `${this.#name}.${entryPoint}${part}`,
      bindings: { ...this.#table, ...bindings },
      params: {
        rows: this.#rows,
        columns: width / pack,
        first_column: first / pack,
        is_last: first + width === this.#columns ? 1 : 0,
        temperature: this.#temperature,
        has_dlog_probs: 0,
        has_dentropies: 0,
        accumulate: 0,
        ...params,
      },
      turns,
      workgroups: () => workgroups(sizeNow(this.#rows)),
      cost: { bytes: () => sizeNow(this.#rows) * width * (entryPoint === "forward" ? 4 : 8) },
    });
  }
}
