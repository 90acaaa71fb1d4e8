/** Softmax and log-softmax of rows, in float64. */

/** y[R, C] with y = exp(x - max) / Σ exp(x - max) along each row of x[R, C]. */
export function softmax(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const y = logSoftmax(x, rows, columns);
  for (let i = 0; i < y.length; i++) y[i] = Math.exp(y[i]!);
  return y;
}

/** y[R, C] with y = x - max - ln Σ exp(x - max) along each row of x[R, C]. */
export function logSoftmax(x: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    let largest = -Infinity;
    for (let c = 0; c < columns; c++) largest = Math.max(largest, x[r * columns + c]!);
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += Math.exp(x[r * columns + c]! - largest);
    const logSum = largest + Math.log(sum);
    for (let c = 0; c < columns; c++) y[r * columns + c] = x[r * columns + c]! - logSum;
  }
  return y;
}
