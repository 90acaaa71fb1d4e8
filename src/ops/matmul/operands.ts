/**
 * What is multiplied, and what kernels look at of it.
 *
 * @module
 */

import { type DType, type Size, sizeLimit, type Tensor } from "../../gpu/tensor.ts";
import type { EpilogueKind, Layout } from "../choices.ts";

/** What is done to a product before it is stored. */
export interface ProductEpilogue {
  /**
   * - `"swiglu"`: b holds N rows of gates, then N of ups, and `out` (M, N) becomes `silu(gate) * up`.
   * - `"swiglu_gradient"`: the product (M, N) is the gradient of that, and `out` (M, 2N) becomes that of gates and ups.
   */
  readonly kind: EpilogueKind;
  /** Each gate beside its up (M, N, 2), which the first makes and the second reads; of eight numbers, it makes none. */
  readonly pairs: Tensor;
}

/** One dispatch: out (M, N) = op(a) (M, K) · op(b) (K, N) + bias. */
export interface Product {
  /** What is multiplied. */
  readonly a: Tensor;
  readonly transposeA: boolean;
  readonly b: Tensor;
  readonly transposeB: boolean;
  readonly out: Tensor;
  /** Add to `out` instead of overwriting it. */
  readonly accumulate: boolean;
  /** Rows of the whole product that `out` is a part of, whose kernel and parts of sums it has. Default: its own. */
  readonly wholeRows?: number;
  /** `out` is a parameter's gradient. Default `false`. */
  readonly parameter?: boolean;
  /** Added to every row. */
  readonly bias?: Tensor | undefined;
  /** What is done before it is stored; where `hasKernel` says so, without a bias and overwriting. */
  readonly epilogue?: ProductEpilogue;
}

/** What decides between the kernels of a product. */
export function requestOf(
  { a, transposeA, b, transposeB, epilogue, wholeRows }: Product,
): ProductRequest {
  const [rows, k] = transposeA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const n = b.shape[transposeB ? 0 : 1]!;
  return {
    layout: `${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}` satisfies Layout,
    epilogue: epilogue?.kind,
    sizes: [wholeRows ?? rows, epilogue?.kind === "swiglu" ? sizeLimit(n) / 2 : n, k],
    dtype: b.dtype,
  };
}

/** A product, as far as kernels differ in it. */
export interface ProductRequest {
  readonly layout: Layout;
  readonly epilogue: EpilogueKind | undefined;
  /** M, N and K. */
  readonly sizes: readonly [m: Size, n: Size, k: Size];
  /** What b is stored in. */
  readonly dtype: DType;
}

/** What decides whether a kernel can compute a product out (M, N) = op(a) (M, K) · op(b) (K, N), and how fast. */
export interface ProductShape {
  readonly layout: Layout;
  readonly epilogue: EpilogueKind | undefined;
  /** M: the most it can be. */
  readonly rows: number;
  /** N: the most it can be. */
  readonly columns: number;
  /** K: the most it can be. */
  readonly inner: number;
  /** The largest power of two, up to 8, that always divides M. */
  readonly rowsAlignment: number;
  /** Likewise for N. */
  readonly columnsAlignment: number;
  /** Likewise for K. */
  readonly innerAlignment: number;
}

/** The sizes of a product, as kernels look at them. */
export function shapeOf({ layout, epilogue, sizes: [m, n, k] }: ProductRequest): ProductShape {
  return {
    layout,
    epilogue,
    rows: sizeLimit(m),
    columns: sizeLimit(n),
    inner: sizeLimit(k),
    rowsAlignment: alignment(m),
    columnsAlignment: alignment(n),
    innerAlignment: alignment(k),
  };
}

/** The largest power of two, up to 8, that divides a size whatever its value. */
function alignment(size: Size): number {
  if (typeof size !== "number") return 1;
  return [8, 4, 2].find((power) => size % power === 0) ?? 1;
}
