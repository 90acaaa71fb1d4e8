/**
 * Tables on a terminal.
 *
 * @module
 */

/** A cell: numbers are right-aligned and rounded to three digits, `undefined` is empty. */
export type Cell = string | number | undefined;

/** A number with three significant digits, without an exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return value.toFixed(0);
  const digits = size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4;
  return value.toFixed(digits);
}

/**
 * Lines of a table: a heading, the column names, the rows.
 *
 * @param title Heading.
 * @param columns Column names.
 * @param rows One list of cells per row.
 */
export function table(
  title: string,
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const text = rows.map((row) =>
    columns.map((_, i) => {
      const cell = row[i];
      return cell === undefined ? "" : typeof cell === "number" ? figure(cell) : cell;
    })
  );
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const width = columns.map((name, i) =>
    text.reduce((n, row) => Math.max(n, [...row[i]!].length), [...name].length)
  );
  const pad = (cell: string, i: number) => {
    const space = " ".repeat(width[i]! - [...cell].length);
    return numeric[i] ? space + cell : cell + space;
  };
  const line = (cells: readonly string[]) => cells.map(pad).join("  ").trimEnd();
  return [`\n## ${title}`, line(columns), ...text.map(line)].join("\n");
}
