/**
 * Table look-up of token ids, with a gradient whose sums have a fixed order.
 *
 * @module
 */

import code from "../../kernels/embedding.wgsl" with { type: "text" };
import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import {
  bytesPerElement,
  type Dim,
  formatShape,
  sizeLimit,
  sizeNow,
  type Tensor,
} from "../gpu/tensor.ts";
import { rowReader } from "./readers.ts";
import { storedAs } from "./wgsl.ts";
import { type RowRange, rowRanges, rowsOf as rowsOfRange } from "./row_ranges.ts";

/** Tokens of one id that are summed by one lane; longer runs are summed in several chunks. */
const CHUNK = 128;

/** The tokens of a batch sorted by id, on the GPU; the values come from {@linkcode embeddingIndex}. */
export interface EmbeddingIndex {
  /** Token positions sorted by id, u32 (T). */
  readonly order: Tensor;
  /** Begin and end in `order` of each chunk, u32 (·, 2). */
  readonly chunks: Tensor;
  /** Number of chunks in use. */
  readonly chunkCount: Dim;
  /** Token id, first chunk and last chunk + 1 of each id that occurs, u32 (·, 3). */
  readonly runs: Tensor;
  /** Number of runs in use. */
  readonly runCount: Dim;
}

/**
 * Sorts the tokens of a batch by id, in order of position within an id.
 *
 * @param tokens Token ids (T).
 * @param frozen An id whose row of the table gets no gradient.
 * @returns `order` (T), `chunks` (·, 2) and `runs` (·, 3) as {@linkcode EmbeddingIndex} describes them, flattened.
 */
export function embeddingIndex(
  tokens: ArrayLike<number>,
  frozen?: number,
): { order: Uint32Array; chunks: Uint32Array; runs: Uint32Array } {
  const count = tokens.length;
  // One float64 key holds id and position exactly: typed arrays sort fastest without a comparison function.
  const keys = Float64Array.from({ length: count }, (_, t) => tokens[t]! * count + t).sort();
  const order = Uint32Array.from(keys, (key) => key % count);
  const chunks: number[] = [];
  const runs: number[] = [];
  for (let begin = 0; begin < count;) {
    const id = tokens[order[begin]!]!;
    let end = begin + 1;
    while (end < count && tokens[order[end]!] === id) end++;
    if (id !== frozen) {
      const first = chunks.length / 2;
      for (let at = begin; at < end; at += CHUNK) chunks.push(at, Math.min(at + CHUNK, end));
      runs.push(id, first, chunks.length / 2);
    }
    begin = end;
  }
  return { order, chunks: Uint32Array.from(chunks), runs: Uint32Array.from(runs) };
}

/**
 * Looks up a row of `table` for every token.
 *
 * Ids must be below V: the kernel reads the last row for others, it does not report them.
 *
 * @param table (V, C), C a multiple of 4; f32, f16 or bf16.
 * @param tokens Ids, u32 (T).
 * @param index The tokens sorted by id; needed where the table wants a gradient.
 * @param options `name` of the output below the current scope, `"embedding"` by default; `rows`, u32 (R), to look up
 * `tokens[rows[r]]` for each of R rows instead, which has no gradient.
 * @returns (T, C), or (R, C).
 * @throws {RangeError} If the shapes do not fit.
 * @throws {TypeError} If the ids are not u32, or the table wants a gradient and there is no index.
 */
export function embedding(
  plan: Plan,
  table: Tensor,
  tokens: Tensor,
  index?: EmbeddingIndex,
  options: { name?: string; rows?: Tensor } = {},
): Tensor<"f32"> {
  checkNames("embedding", options, ["name", "rows"]);
  const { name = "embedding", rows: rowsOf } = options;
  const vocabulary = sizeLimit(table.shape[0]!);
  const width = table.capacity / vocabulary;
  if (table.shape.length !== 2 || vocabulary === 0 || width % 4 !== 0) {
    throw new RangeError(
      `embedding needs a table (V, C) with C a multiple of 4: got ${formatShape(table.shape)}`,
    );
  }
  if (tokens.shape.length !== 1 || tokens.dtype !== "u32") {
    throw new TypeError(
      `embedding needs u32 tokens (T): got ${tokens.dtype} ${formatShape(tokens.shape)}`,
    );
  }
  const { gpu } = plan;
  const rows = (rowsOf ?? tokens).shape[0]!;
  const columns = width / 4;
  const share = rowReader(gpu, width, 4);
  const stored = storedAs(table);
  const kernel = (entryPoint: string) =>
    share.kernel({ name: "embedding", code, entryPoint }, { stored });
  const params = {
    rows,
    columns,
    vocabulary,
    first: 0,
    count: vocabulary,
    chunks: index?.chunkCount ?? 0,
    runs: index?.runCount ?? 0,
  };
  const y = plan.empty([rows, width], name);
  // A table that is too large to bind is looked up in one part after the other.
  const parts = rowRanges(gpu, table);
  const partParams = ({ first, width }: RowRange) => ({ ...params, first, count: width });
  for (const part of parts) {
    plan.dispatch({
      kernel: kernel(rowsOf ? "forward_rows" : "forward"),
      label: `${name}.forward`,
      bindings: {
        table: rowsOfRange(table, part),
        tokens,
        y,
        ...(rowsOf ? { rows_of: rowsOf } : {}),
      },
      params: partParams(part),
      turns: share.turns,
      workgroups: () => share.workgroups(sizeNow(rows)),
      cost: {
        bytes: () => sizeNow(rows) * width * (4 + bytesPerElement(table.dtype)) / parts.length,
      },
    });
  }

  if (rowsOf) return y;
  plan.onBackward([table], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    if (!index) {
      throw new TypeError(
        `${plan.path(name)}: the gradient of ${table.name} needs an EmbeddingIndex`,
      );
    }
    const { order, chunks, chunkCount, runs, runCount } = index;
    const blocks = Math.ceil(columns / gpu.traits.lanes);
    const partial = plan.empty([chunkCount, width], `${name}.dtable.partial`);
    plan.dispatch({
      kernel: kernel("backward_chunks"),
      label: `${name}.backward_chunks`,
      bindings: { dy, order, chunks, partial },
      params,
      turns: CHUNK,
      workgroups: () => chunkCount.value * blocks,
      cost: { bytes: () => (sizeNow(rows) + chunkCount.value) * width * 4 },
    });
    plan.intoGradient(table, (dtable, accumulate) => {
      for (const part of rowRanges(gpu, dtable)) {
        const rowsHere = rowsOfRange(dtable, part);
        if (!accumulate) {
          plan.dispatch({
            kernel: kernel("clear"),
            label: `${name}.backward_clear`,
            bindings: { dtable: rowsHere },
            params: partParams(part),
            turns: share.turns,
            workgroups: share.workgroups(part.width),
            cost: { bytes: () => part.width * width * 4 },
          });
        }
        plan.dispatch({
          kernel: kernel("backward_runs"),
          label: `${name}.backward_runs`,
          bindings: { partials: partial, runs, dtable: rowsHere },
          params: partParams(part),
          turns: Math.ceil(sizeLimit(rows) / CHUNK),
          workgroups: () => runCount.value * blocks,
          cost: { bytes: () => (chunkCount.value + 2 * runCount.value) * width * 4 },
        });
      }
    });
  });
  return y;
}
