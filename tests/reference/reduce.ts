/** Sums and maxima over everything, rows or columns, in float64. */

/** What is reduced: `"all"` gives one number, `"rows"` one per row, `"columns"` one per column. */
export type ReduceAxis = "all" | "rows" | "columns";

/** Σ over x[R, C]: [1], one sum per row [R], or one sum per column [C]. */
export function sum(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  axis: ReduceAxis = "all",
): Float64Array {
  return reduce(x, rows, columns, axis, 0, (a, b) => a + b);
}

/** Maximum over x[R, C]: [1], one per row [R], or one per column [C]. */
export function max(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  axis: ReduceAxis = "all",
): Float64Array {
  return reduce(x, rows, columns, axis, -Infinity, Math.max);
}

/** Σ x² over all elements: the square of the global norm. */
export function sumOfSquares(x: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += x[i]! * x[i]!;
  return total;
}

function reduce(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  axis: ReduceAxis,
  initial: number,
  combine: (a: number, b: number) => number,
): Float64Array {
  const size = axis === "all" ? 1 : axis === "rows" ? rows : columns;
  const y = new Float64Array(size).fill(initial);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = axis === "all" ? 0 : axis === "rows" ? r : c;
      y[at] = combine(y[at]!, x[r * columns + c]!);
    }
  }
  return y;
}
