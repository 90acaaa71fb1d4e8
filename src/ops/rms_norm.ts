/**
 * RMSNorm, with the residual sum before it fused in.
 *
 * @module
 */

import code from "../../kernels/rms_norm.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { fewestChunks, partCount, partialSum, partTerms } from "./partial_sums.ts";
import { rowReader } from "./readers.ts";

/** Chunks of rows that the weight's gradient is summed over: enough teams to fill a device of each kind. */
const NARROW_CHUNKS = 64;
const WIDE_CHUNKS = 512;

/** Options of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square. */
  eps: number;
  /** Added to `x` first, shape (T, C). */
  delta?: Tensor | undefined;
  /** Name of the outputs below the current scope. Default `"norm"`. */
  name?: string;
}

const NAMES = namesOf<RmsNormOptions>({ eps: true, delta: true, name: true });

/**
 * Normalises rows to unit root mean square: `sum = x + delta`, `normed = sum / rms(sum) * weight`.
 *
 * Use `sum` in place of `x` and `delta` afterwards: it carries the residual stream on, and its gradient becomes that of
 * both without a copy.
 *
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
): { normed: Tensor<"f32">; sum: Tensor } {
  checkNames("rmsNorm", options, NAMES);
  const { eps, delta, name = "norm" } = options;
  const rows: Size = x.shape[0]!;
  const width = sizeLimit(x.shape[1]!);
  if (x.shape.length !== 2 || width % 4 !== 0 || weight.capacity !== width) {
    throw new RangeError(
      "rmsNorm needs x (T, C) with C a multiple of 4 and weight (C): got " +
        `${formatShape(x.shape)} and ${formatShape(weight.shape)}`,
    );
  }
  if (delta && delta.capacity !== x.capacity) {
    throw new RangeError(
      `rmsNorm needs delta of x's shape ${formatShape(x.shape)}: got ${formatShape(delta.shape)}`,
    );
  }
  const { gpu } = plan;
  const reader = rowReader(gpu, width);
  const kernel = (entryPoint: string) => reader.kernel({ name: "rms_norm", code, entryPoint });
  const rowTurns = 1 + 2 * reader.turns;
  const most = fewestChunks(gpu, rows, rowTurns, gpu.traits.narrow ? NARROW_CHUNKS : WIDE_CHUNKS);
  const chunks = { terms: rows, step: 1, most };
  const params = {
    rows,
    columns: reader.columns,
    eps,
    inverse_width: 1 / width,
    has_delta: delta ? 1 : 0,
    has_dsum: 0,
    chunk_rows: () => partTerms(chunks),
    chunks: () => partCount(chunks),
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
      sum: delta ? sum : plan.empty([8], `${name}.unused`),
      normed,
      rstd,
    },
    params,
    turns: 2 * reader.turns,
    workgroups: () => reader.workgroups(sizeNow(rows)),
    cost: { bytes: () => sizeNow(rows) * width * (delta ? 16 : 8) },
  });

  plan.onBackward(delta ? [x, delta, weight] : [x, weight], [normed, sum], () => {
    const dnormed = plan.gradientOf(normed);
    if (!dnormed) throw new TypeError(`${plan.path(name)}: the normed output is not used`);
    const dsum = plan.gradientOf(sum);
    const dx = plan.empty(x.shape, `${name}.dsum`);
    const backward = (partials: Tensor) =>
      plan.dispatch({
        kernel: kernel("backward"),
        label: `${name}.backward`,
        bindings: {
          x: sum,
          dnormed,
          saved_rstd: rstd,
          weight,
          dsum: dsum ?? dnormed,
          dx,
          partials,
        },
        params: { ...params, has_dsum: dsum ? 1 : 0 },
        turns: Math.ceil(sizeLimit(rows) / most) * rowTurns,
        workgroups: () => reader.workgroups(partCount(chunks)),
        cost: { bytes: () => sizeNow(rows) * width * (dsum ? 16 : 12) },
      });
    plan.shareGradient(x, dx);
    if (delta) plan.shareGradient(delta, dx);
    if (!plan.isDifferentiable(weight)) {
      backward(plan.empty([chunks.most, width], `${name}.dweight.partials`));
    }
    plan.intoGradient(weight, (dweight, accumulate) => {
      const parameter = weight.grad !== undefined;
      const label = `${name}.backward_weight`;
      const sums = partialSum(plan, dweight, chunks, { accumulate, parameter, label });
      backward(sums.partials);
      sums.addUp();
    });
  });
  return { normed, sum };
}
