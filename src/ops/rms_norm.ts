/**
 * RMSNorm, with the residual sum before it fused in.
 *
 * @module
 */

import code from "../../kernels/rms_norm.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { teamKernel, teamLanes } from "./prelude.ts";

/** Rows are summed in this many chunks for the weight's gradient: a fixed order, whatever the device. */
const CHUNKS = 32;

/** Options of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square. */
  eps: number;
  /** Added to `x` first, shape (T, C). */
  delta?: Tensor;
  /** Name of the outputs below the current scope. Default `"norm"`. */
  name?: string;
}

/**
 * Normalises rows to unit root mean square: `sum = x + delta`, `normed = sum / rms(sum) * weight`.
 *
 * Use `sum` in place of `x` and `delta` afterwards: it carries the residual stream on, and its gradient becomes that of
 * both without a copy.
 *
 * @param plan Where to record.
 * @param x (T, C), C a multiple of 4.
 * @param weight (C).
 * @param options `eps`, and `delta` (T, C) to add first.
 * @returns `normed` and `sum`, both (T, C).
 * @throws {RangeError} If the shapes do not fit.
 */
export function rmsNorm(
  plan: Plan,
  x: Tensor,
  weight: Tensor,
  options: RmsNormOptions,
): { normed: Tensor; sum: Tensor } {
  const { eps, delta, name = "norm" } = options;
  const rows: Size = x.shape[0]!;
  const width = sizeLimit(x.shape[1]!);
  if (x.shape.length !== 2 || width % 4 !== 0 || weight.capacity !== width) {
    throw new RangeError(
      `rmsNorm needs x (T, C) with C a multiple of 4 and weight (C): got ${
        formatShape(x.shape)
      } and ${formatShape(weight.shape)}`,
    );
  }
  if (delta && delta.capacity !== x.capacity) {
    throw new RangeError(
      `rmsNorm needs delta of x's shape ${formatShape(x.shape)}: got ${formatShape(delta.shape)}`,
    );
  }
  const { gpu } = plan;
  const lanes = teamLanes(gpu);
  const columns = width / 4;
  const kernel = (entryPoint: string) => teamKernel(gpu, { name: "rms_norm", code, entryPoint });
  const chunkRows = () => Math.ceil(sizeNow(rows) / CHUNKS);
  const chunks = () => chunkRows() === 0 ? 0 : Math.ceil(sizeNow(rows) / chunkRows());
  const params = {
    rows,
    columns,
    eps,
    has_delta: delta ? 1 : 0,
    has_dsum: 0,
    chunk_rows: chunkRows,
    chunks,
  };

  const normed = plan.empty(x.shape, name);
  const rstd = plan.empty([rows], `${name}.rstd`);
  // Without delta the residual stream is x itself, under a name of its own so that its gradient can be told apart.
  const sum = delta ? plan.empty(x.shape, `${name}.sum`) : x.view(x.shape, { name: `${name}.sum` });
  plan.dispatch({
    kernel: kernel("forward"),
    label: `${name}.forward`,
    bindings: {
      x,
      delta: delta ?? x,
      weight,
      sum: delta ? sum : plan.empty([4], `${name}.unused`),
      normed,
      rstd,
    },
    params,
    workgroups: rows,
    cost: { bytes: () => sizeNow(rows) * width * (delta ? 16 : 8) },
  });

  plan.onBackward(delta ? [x, delta, weight] : [x, weight], [normed, sum], () => {
    const dnormed = plan.gradientOf(normed);
    if (!dnormed) throw new TypeError(`${plan.path(name)}: the normed output is not used`);
    const dsum = plan.gradientOf(sum);
    const saved = { x: sum, dnormed, saved_rstd: rstd };
    const dx = plan.empty(x.shape, `${name}.dsum`);
    plan.dispatch({
      kernel: kernel("backward"),
      label: `${name}.backward`,
      bindings: { ...saved, weight, dsum: dsum ?? dnormed, dx },
      params: { ...params, has_dsum: dsum ? 1 : 0 },
      workgroups: rows,
      cost: { bytes: () => sizeNow(rows) * width * (dsum ? 16 : 12) },
    });
    plan.shareGradient(x, dx);
    if (delta) plan.shareGradient(delta, dx);
    plan.intoGradient(weight, (dweight) => {
      const partial = plan.empty([CHUNKS, width], `${name}.dweight.partial`);
      const blocks = Math.ceil(columns / lanes);
      plan.dispatch({
        kernel: kernel("backward_weight"),
        label: `${name}.backward_weight`,
        bindings: { ...saved, partial },
        params,
        workgroups: () => chunks() * blocks,
        cost: { bytes: () => sizeNow(rows) * width * 8 },
      });
      plan.dispatch({
        kernel: kernel("backward_weight_sum"),
        label: `${name}.backward_weight_sum`,
        bindings: { partials: partial, dweight },
        params,
        workgroups: blocks,
      });
    });
  });
  return { normed, sum };
}
