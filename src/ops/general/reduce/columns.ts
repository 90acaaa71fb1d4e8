/**
 * Sums and maxima of columns.
 *
 * @module
 */

import code from "../../../../kernels/general/reduce/columns.wgsl" with { type: "text" };
import type { Param } from "../../../gpu/command.ts";
import type { Plan } from "../../../gpu/plan.ts";
import { type Size, sizeLimit, type Tensor } from "../../../gpu/tensor.ts";
import { fewestChunks, partCount, partTerms } from "../../partial_sums.ts";
import { rowReader, teamKernel } from "../../readers.ts";
import { combining, OWN, type Reduction } from "./reduction.ts";

/** Rows are reduced in this many chunks. */
const CHUNKS = 64;

/** Records the reduction of the columns of x (R, C) into y (C). */
export function reduceColumns(
  plan: Plan,
  x: Tensor,
  y: Tensor,
  { reduction, accumulate, name }: { reduction: Reduction; accumulate: boolean; name: string },
): void {
  const rows: Size = x.shape[0]!;
  const width = sizeLimit(x.shape[1]!);
  const reader = rowReader(plan.gpu, width);
  const { pack, columns } = reader;
  const blocks = Math.ceil(columns / plan.gpu.traits.lanes);
  const ofColumns = { entryPoint: "columns", share: (chunks: number) => chunks * blocks };
  const ofChunks = { entryPoint: "chunk_columns", share: reader.workgroups };
  const stage = (
    label: string,
    lanes: typeof ofColumns,
    { from, to }: { from: Tensor; to: Tensor },
    params: { rows: Param; chunk_rows: Param; chunks: Param; accumulate: Param },
    chunks: () => number,
    turns: number,
  ) =>
    plan.dispatch({
      kernel: teamKernel(plan.gpu, combining(reduction, code, lanes.entryPoint), { pack }, {
        own: OWN,
      }),
      label: `${name}.${label}`,
      bindings: { x: from, y: to },
      params: { ...params, columns, initial: reduction.initial },
      turns,
      workgroups: () => lanes.share(chunks()),
      cost: { bytes: () => from.length * 4, flops: () => from.length },
    });
  // A lane with a chunk of its own reads four rows at a time, pack by pack.
  const byChunk = reader.rows === "lane";
  const most = fewestChunks(plan.gpu, rows, byChunk ? (1 + columns) / 4 : 1, CHUNKS);
  const division = { terms: rows, step: 1, most };
  const chunkRows = Math.ceil(sizeLimit(rows) / most);
  const chunks = () => partCount(division);
  const partial = plan.empty([most, width], `${name}.partial`);
  stage(
    "partial",
    byChunk ? ofChunks : ofColumns,
    { from: x, to: partial },
    { rows, chunk_rows: () => partTerms(division), chunks, accumulate: 0 },
    chunks,
    byChunk ? Math.ceil(chunkRows / 4) * (1 + columns) : chunkRows,
  );
  stage(
    "total",
    ofColumns,
    { from: partial, to: y },
    { rows: chunks, chunk_rows: most, chunks: 1, accumulate: accumulate ? 1 : 0 },
    () => 1,
    most,
  );
}
