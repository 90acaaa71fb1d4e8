/**
 * Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): a frozen matrix W becomes W + scale · B A, without being changed.
 *
 * @module
 */

import code from "../../kernels/lora.wgsl" with { type: "text" };
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { linear } from "./matmul/linear.ts";
import { product } from "./matmul/product.ts";
import { elementwiseConstants } from "./readers.ts";
import { link } from "./wgsl.ts";

/** Adapters of up to three matrices that are multiplied as one, the rows of one below those of another. */
export interface LoraWeights {
  /** A of the adapted matrices, one below the other, shape (M r, K). */
  readonly a: Tensor;
  /** B of all matrices, one below the other, shape (N, r); the rows of those that are not adapted count for nothing. */
  readonly b: Tensor;
  /** B as products read it, shape (N, M r), from {@linkcode widenLora}. */
  readonly wide: Tensor;
  /** Rows of each matrix; they sum up to N. */
  readonly rows: readonly number[];
  /** Whether each matrix is adapted; M of them are. */
  readonly adapted: readonly boolean[];
  /** What B A is multiplied by. */
  readonly scale: number;
}

const NONE = 0xffffffff;

/**
 * Records `wide` from `b`; to be run whenever `b` has changed.
 *
 * @param weights The adapters.
 * @param name Name of the dispatch below the current scope.
 */
export function widenLora(plan: Plan, weights: LoraWeights, name: string): void {
  const { b, wide } = weights;
  dispatch(plan, "widen", `${name}.widen`, weights, { b, wide }, wide.capacity);
}

/**
 * Adds what the adapters make of `x` to what the frozen matrices made of it: `y += x Aᵀ (scale B)ᵀ`, with gradients of A, B
 * and x.
 *
 * @param x (T, K).
 * @param y (T, N), changed in place before anything reads it.
 * @param weights The adapters; `wide` belongs to `b` as it is.
 * @param name Name below the current scope.
 * @throws {RangeError} If the shapes do not fit.
 */
export function addLora(
  plan: Plan,
  x: Tensor,
  y: Tensor,
  weights: LoraWeights,
  name: string,
): void {
  const { a, b, wide, rows, adapted } = weights;
  const rank = sizeLimit(b.shape[1] ?? 0);
  const modules = adapted.filter(Boolean).length;
  const N = rows.reduce((n, size) => n + size, 0);
  if (
    rows.length > 3 || adapted.length !== rows.length ||
    `${a.shape}` !== `${[modules * rank, x.shape[1]]}` ||
    `${b.shape}` !== `${[N, rank]}` || `${wide.shape}` !== `${[N, modules * rank]}` ||
    y.shape[1] !== N
  ) {
    throw new RangeError(
      `addLora needs x (T, K), y (T, N), a (M r, K), b (N, r), wide (N, M r) and the rows of at most three matrices: got ${
        [x, y, a, b, wide].map((t) => formatShape(t.shape)).join(", ")
      } and rows ${rows}`,
    );
  }
  const low = linear(plan, x, a, { name: `${name}.lora_A` });
  product(plan, `${name}.lora_B.forward`, {
    a: low,
    transposeA: false,
    b: wide,
    transposeB: true,
    out: y,
    accumulate: true,
  });
  plan.onBackward([low, b], [y], () => {
    const gradient = plan.gradientOf(y);
    if (!gradient) throw new TypeError(`${plan.path(name)}: the output is not used`);
    const dy = gradient.view(y.shape);
    plan.intoGradient(low, (dlow, accumulate) => {
      product(plan, `${name}.lora_B.backward_a`, {
        a: dy,
        transposeA: false,
        b: wide,
        transposeB: false,
        out: dlow,
        accumulate,
      });
    });
    plan.intoGradient(b, (db) => {
      const dwide = plan.empty(wide.shape, `${name}.lora_B.wide.grad`);
      product(plan, `${name}.lora_B.backward_b`, {
        a: dy,
        transposeA: true,
        b: low,
        transposeB: false,
        out: dwide,
        accumulate: false,
      });
      dispatch(plan, "narrow", `${name}.lora_B.narrow`, weights, { dwide, db }, b.capacity);
    });
  });
}

function dispatch(
  plan: Plan,
  entryPoint: "widen" | "narrow",
  label: string,
  { b, wide, rows, adapted, scale }: LoraWeights,
  bindings: Record<string, Tensor>,
  count: number,
): void {
  let next = 0;
  const places = rows.map((_, i) => adapted[i] ? next++ : NONE);
  const [first = 0, second = 0] = rows;
  const constants = elementwiseConstants(plan.gpu);
  plan.dispatch({
    kernel: plan.gpu.kernel(link({ name: "lora", code, entryPoint, constants })),
    label,
    bindings,
    params: {
      rows: sizeLimit(b.shape[0]!),
      rank: sizeLimit(b.shape[1]!),
      columns: sizeLimit(wide.shape[1]!),
      first_end: first,
      second_end: first + second,
      first_place: places[0] ?? NONE,
      second_place: places[1] ?? NONE,
      third_place: places[2] ?? NONE,
      scale,
    },
    turns: constants.CHUNK / constants.LANES,
    workgroups: Math.ceil(count / constants.CHUNK),
    cost: { bytes: () => 8 * count },
  });
}
