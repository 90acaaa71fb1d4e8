/**
 * Sums and maxima over everything, over rows or over columns, in a fixed order.
 *
 * @module
 */

import code from "../../kernels/reduce.wgsl" with { type: "text" };
import type { Kernel } from "../gpu/kernel.ts";
import type { Param } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { fewestChunks, partCount, partTerms } from "./partial_sums.ts";
import { elementwiseConstants, type FlatReader, flatReader, rowReader } from "./readers.ts";

/** What is reduced: `"all"` gives one number, `"rows"` one per row, `"columns"` one per column. */
export type ReduceAxis = "all" | "rows" | "columns";

/** Options of {@linkcode reduceSum} and {@linkcode reduceMax}. */
export interface ReduceOptions extends FlatOptions {
  /** Name of the output below the current scope. Default `"sum"` or `"max"`. */
  name?: string;
}

/** Elements that one team reduces when everything is reduced; bounds the rounding error at any length. */
const SEGMENT = 65536;
/** Rows are reduced in this many chunks when columns are wanted. */
const CHUNKS = 64;

type Operation = "sum" | "max";

/** The kernel's params, for the entry points that do not use them. */
const UNUSED = {
  count: 0,
  width: 0,
  first: 0,
  rows: 0,
  columns: 0,
  chunk_rows: 0,
  chunks: 0,
  accumulate: 0,
  row_stride: 0,
  column_stride: 0,
  initial: 0,
};

/**
 * Sums over everything, rows or columns.
 *
 * @param plan Where to record.
 * @param x (R, C), C fixed; any shape where everything is summed.
 * @param axis What is summed.
 * @param options `name`; `maxBindingBytes` to bind less at once than the device could, where everything is summed.
 * @returns [1], (R) or (C).
 * @throws {RangeError} If the shape does not fit.
 */
export function reduceSum(
  plan: Plan,
  x: Tensor,
  axis: ReduceAxis,
  options: ReduceOptions = {},
): Tensor {
  const { name = "sum" } = options;
  const y = reduce(plan, x, axis, "sum", name, options);
  plan.onBackward([x], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    const columns = fixedWidth(x);
    const rows = () => x.length / columns;
    const constants = elementwiseConstants(plan.gpu);
    plan.intoGradient(x, (dx, accumulate) => {
      plan.dispatch({
        kernel: flatReader(plan.gpu, 1).kernel({
          name: "reduce",
          code,
          entryPoint: "spread",
          constants: { CHUNK: constants.CHUNK },
        }),
        label: `${name}.backward`,
        bindings: { dy, dx },
        params: {
          ...UNUSED,
          rows,
          columns,
          accumulate: accumulate ? 1 : 0,
          row_stride: axis === "rows" ? 1 : 0,
          column_stride: axis === "columns" ? 1 : 0,
        },
        turns: constants.CHUNK / constants.LANES,
        workgroups: () => rows() * Math.ceil(columns / constants.CHUNK),
        cost: { bytes: () => x.length * 4 },
      });
    });
  });
  return y;
}

/**
 * The largest of everything, of rows or of columns. NaN if there is a NaN among them. Without a gradient.
 *
 * @param plan Where to record.
 * @param x (R, C), C fixed; any shape where everything is reduced.
 * @param axis What is reduced.
 * @param options As for {@linkcode reduceSum}.
 * @returns [1], (R) or (C).
 * @throws {RangeError} If the shape does not fit.
 */
export function reduceMax(
  plan: Plan,
  x: Tensor,
  axis: ReduceAxis,
  options: ReduceOptions = {},
): Tensor {
  const { name = "max" } = options;
  const y = reduce(plan, x, axis, "max", name, options);
  plan.onBackward([x], [y], () => {
    if (plan.gradientOf(y)) throw new TypeError(`${plan.path(name)}: reduceMax has no gradient`);
  });
  return y;
}

/**
 * Sums the columns of `x` into a tensor that exists, for example a bias' gradient.
 *
 * @param plan Where to record.
 * @param x (T, N), N fixed.
 * @param into (N).
 * @param accumulate Whether `into` is added to or overwritten.
 * @param options `name` of the dispatches below the current scope, `"column_sum"` by default.
 * @throws {RangeError} If the shapes do not fit.
 */
export function columnSum(
  plan: Plan,
  x: Tensor,
  into: Tensor,
  accumulate: boolean,
  options: { name?: string } = {},
): void {
  const { name = "column_sum" } = options;
  checkMatrix(name, x);
  if (into.capacity !== sizeLimit(x.shape[1]!)) {
    throw new RangeError(
      `${name} needs (T, N) and (N): got ${formatShape(x.shape)} and ${formatShape(into.shape)}`,
    );
  }
  reduceColumns(plan, x, into, "sum", accumulate, name);
}

function reduce(
  plan: Plan,
  x: Tensor,
  axis: ReduceAxis,
  operation: Operation,
  name: string,
  options: FlatOptions,
): Tensor {
  if (axis === "all") return reduceAll(plan, x, operation, name, options);
  checkMatrix(name, x);
  const width = fixedWidth(x);
  if (axis === "columns") {
    const y = plan.empty([width], name);
    reduceColumns(plan, x, y, operation, false, name);
    return y;
  }
  const y = plan.empty([x.shape[0]!], name);
  segments(plan, { x, y, operation, label: `${name}.rows`, width, count: () => x.length });
  return y;
}

function reduceAll(
  plan: Plan,
  x: Tensor,
  operation: Operation,
  name: string,
  options: FlatOptions,
): Tensor {
  if (x.capacity === 0) {
    throw new RangeError(`${name} needs at least one element: got ${formatShape(x.shape)}`);
  }
  const segmentsOf = (length: number) => Math.ceil(length / SEGMENT);
  const ranges = flatRanges(plan, x.capacity, options);
  const partial = plan.empty(
    [ranges.reduce((count, { length }) => count + segmentsOf(length), 0)],
    `${name}.partial`,
  );
  let first = 0;
  const used: (() => number)[] = [];
  for (const [i, range] of ranges.entries()) {
    const count = () => Math.max(0, Math.min(range.length, x.length - range.offset));
    segments(plan, {
      x: flatView(x, range),
      y: partial,
      operation,
      label: `${name}.partial${ranges.length > 1 ? i : ""}`,
      width: SEGMENT,
      count,
      first,
      // A range begins at a multiple of eight, so only its length matters.
      multiple: fixedFactor(x),
    });
    used.push(() => segmentsOf(count()));
    first += segmentsOf(range.length);
  }
  const y = plan.empty([1], name);
  segments(plan, {
    x: partial,
    y,
    operation,
    label: `${name}.total`,
    width: partial.capacity,
    count: () => used.reduce((n, segments) => n + segments(), 0),
    multiple: 1,
    workgroups: 1,
  });
  return y;
}

/** Records y[first + s] = combine of segment s of x. */
function segments(
  plan: Plan,
  { x, y, operation, label, width, count, first = 0, multiple = 0, workgroups }: {
    x: Tensor;
    y: Tensor;
    operation: Operation;
    label: string;
    /** Elements per segment. */
    width: number;
    /** Elements of x in use. */
    count: () => number;
    first?: number;
    /** What `count` is always a multiple of, besides `width`; by default of that. */
    multiple?: number;
    /** By default one per segment in use. */
    workgroups?: number;
  },
): void {
  const reader = flatReader(plan.gpu, commonDivisor(width, multiple), width);
  plan.dispatch({
    kernel: reduceKernel(reader, operation, "segments"),
    label,
    bindings: { x, totals: y },
    params: {
      ...UNUSED,
      count: () => count() / reader.pack,
      width: width / reader.pack,
      first,
      initial: initial(operation),
    },
    turns: reader.turns,
    workgroups: workgroups ?? (() => Math.ceil(count() / width)),
    cost: { bytes: () => count() * 4, flops: count },
  });
}

function reduceColumns(
  plan: Plan,
  x: Tensor,
  y: Tensor,
  operation: Operation,
  accumulate: boolean,
  name: string,
): void {
  const rows: Size = x.shape[0]!;
  const width = fixedWidth(x);
  const reader = flatReader(plan.gpu, width);
  const columns = width / reader.pack;
  const blocks = Math.ceil(columns / plan.gpu.traits.lanes);
  const ofColumns = { entryPoint: "columns", share: (chunks: number) => chunks * blocks };
  const chunkShare = rowReader(plan.gpu, width);
  const ofChunks = { entryPoint: "chunk_columns", share: chunkShare.workgroups };
  const stage = (
    label: string,
    lanes: typeof ofColumns,
    { from, to }: { from: Tensor; to: Tensor },
    params: { rows: Param; chunk_rows: Param; chunks: Param; accumulate: Param },
    chunks: () => number,
    turns: number,
  ) =>
    plan.dispatch({
      kernel: reduceKernel(reader, operation, lanes.entryPoint),
      label: `${name}.${label}`,
      bindings: { x: from, y: to },
      params: { ...UNUSED, ...params, columns, initial: initial(operation) },
      turns,
      workgroups: () => lanes.share(chunks()),
      cost: { bytes: () => from.length * 4, flops: () => from.length },
    });
  // A lane with a chunk of its own reads four rows at a time, piece by piece.
  const byChunk = chunkShare.rows === "lane";
  const rowTurns = byChunk ? (1 + columns) / 4 : 1;
  const most = fewestChunks(plan.gpu, rows, rowTurns, CHUNKS);
  const division = { terms: rows, step: 1, most };
  const chunkRows = Math.ceil(sizeLimit(rows) / most);
  const chunks = () => partCount(division);
  const partial = plan.empty([most, width], `${name}.partial`);
  stage(
    "partial",
    chunkShare.rows === "lane" ? ofChunks : ofColumns,
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

function reduceKernel(
  reader: FlatReader,
  operation: Operation,
  entryPoint: string,
): Kernel {
  return reader.kernel({
    name: "reduce",
    code,
    entryPoint,
    constants: { MAX: operation === "max" },
  });
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** What combines with any value to that value. */
function initial(operation: Operation): number {
  return operation === "max" ? -Infinity : 0;
}

/** The product of the sizes that do not vary. */
function fixedFactor(x: Tensor): number {
  return x.shape.reduce<number>((n, size) => typeof size === "number" ? n * size : n, 1);
}

/** The size of the last axis, or 1 if it varies. */
function fixedWidth(x: Tensor): number {
  const size = x.shape[x.shape.length - 1];
  return typeof size === "number" ? size : 1;
}

function checkMatrix(name: string, x: Tensor): void {
  if (x.shape.length !== 2 || typeof x.shape[1] !== "number" || x.shape[1] === 0) {
    throw new RangeError(
      `${name} needs (R, C) with C fixed and not 0: got ${formatShape(x.shape)}`,
    );
  }
}
