/**
 * Sums and maxima over everything, over rows or over columns, in a fixed order.
 *
 * @module
 */

import code from "../../../kernels/general/reduce/spread.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../../input/names.ts";
import type { Plan } from "../../gpu/plan.ts";
import { formatShape, sizeLimit, type Tensor } from "../../gpu/tensor.ts";
import type { FlatOptions } from "../flat_ranges.ts";
import { elementwiseConstants, teamKernel } from "../readers.ts";
import { reduceColumns } from "./reduce/columns.ts";
import { MAX, type Reduction, SUM } from "./reduce/reduction.ts";
import { reduceAll, segments } from "./reduce/segments.ts";

/** What is reduced: `"all"` gives one number, `"rows"` one per row, `"columns"` one per column. */
export type ReduceAxis = "all" | "rows" | "columns";

/** Options of {@linkcode reduceSum} and {@linkcode reduceMax}. */
export interface ReduceOptions extends FlatOptions {
  /** Name of the output below the current scope. Default `"sum"` or `"max"`. */
  name?: string;
}

const NAMES = namesOf<ReduceOptions>({ name: true, maxBindingBytes: true });

/**
 * Sums over everything, rows or columns.
 *
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
): Tensor<"f32"> {
  checkNames("reduceSum", options, NAMES);
  const { name = "sum" } = options;
  const y = reduce(plan, x, axis, SUM, name, options);
  plan.onBackward([x], [y], () => {
    const dy = plan.gradientOf(y);
    if (!dy) return;
    const columns = fixedWidth(x);
    const rows = () => x.length / columns;
    const constants = elementwiseConstants(plan.gpu);
    plan.intoGradient(x, (dx, accumulate) => {
      plan.dispatch({
        kernel: teamKernel(plan.gpu, {
          name: "reduce",
          code,
          entryPoint: "spread",
          constants: { CHUNK: constants.CHUNK },
        }),
        label: `${name}.backward`,
        bindings: { dy, dx },
        params: {
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
): Tensor<"f32"> {
  checkNames("reduceMax", options, NAMES);
  const { name = "max" } = options;
  const y = reduce(plan, x, axis, MAX, name, options);
  plan.onBackward([x], [y], () => {
    if (plan.gradientOf(y)) throw new TypeError(`${plan.path(name)}: reduceMax has no gradient`);
  });
  return y;
}

/**
 * Sums the columns of `x` into a tensor that exists, for example a bias' gradient.
 *
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
  checkNames("columnSum", options, ["name"]);
  const { name = "column_sum" } = options;
  checkMatrix(name, x);
  if (into.capacity !== sizeLimit(x.shape[1]!)) {
    throw new RangeError(
      `${name} needs (T, N) and (N): got ${formatShape(x.shape)} and ${formatShape(into.shape)}`,
    );
  }
  reduceColumns(plan, x, into, { reduction: SUM, accumulate, name });
}

function reduce(
  plan: Plan,
  x: Tensor,
  axis: ReduceAxis,
  reduction: Reduction,
  name: string,
  options: FlatOptions,
): Tensor<"f32"> {
  if (axis === "all") return reduceAll(plan, x, reduction, name, options);
  checkMatrix(name, x);
  const width = fixedWidth(x);
  if (axis === "columns") {
    const y = plan.empty([width], name);
    reduceColumns(plan, x, y, { reduction, accumulate: false, name });
    return y;
  }
  const y = plan.empty([x.shape[0]!], name);
  segments(plan, { x, y, reduction, label: `${name}.rows`, width, count: () => x.length });
  return y;
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
