/** Matrix product by the textbook triple loop, in float64. */

/** Sizes and layout of {@linkcode matmul}. */
export interface MatmulOptions {
  /** Rows of the result. */
  m: number;
  /** Columns of the result. */
  n: number;
  /** Length of the summed axis. */
  k: number;
  /** `a` is stored [K, M] instead of [M, K]. */
  transA?: boolean;
  /** `b` is stored [N, K] instead of [K, N]; the layout of a Hugging Face Linear weight. */
  transB?: boolean;
  /** Bias [N] added to every row. */
  bias?: ArrayLike<number>;
}

/**
 * c[M, N] = op(a)[M, K] · op(b)[K, N] + bias[N].
 *
 * A linear layer y = x · Wᵀ + b is `matmul(x, w, { m: T, n: out, k: in, transB: true, bias })`;
 * its gradients are dx = dy · W (no transposition) and dW = dyᵀ · x (`transA`).
 */
export function matmul(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { m, n, k, transA = false, transB = false, bias }: MatmulOptions,
): Float64Array {
  const left = laidOut(a, m, k, transA);
  const right = laidOut(b, n, k, !transB);
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += left[i * k + p]! * right[j * k + p]!;
      c[i * n + j] = sum + (bias ? bias[j]! : 0);
    }
  }
  return c;
}

/** A matrix as [rows, columns] in float64; transposed it is stored [columns, rows]. One type of array keeps the loops fast. */
function laidOut(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  transposed: boolean,
): Float64Array {
  if (!transposed) return x instanceof Float64Array ? x : Float64Array.from(x);
  const y = new Float64Array(rows * columns);
  for (let c = 0; c < columns; c++) {
    for (let r = 0; r < rows; r++) y[r * columns + c] = x[c * rows + r]!;
  }
  return y;
}
