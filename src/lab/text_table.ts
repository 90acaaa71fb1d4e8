/** Tables under a sentence, as Markdown and reports show them. */

/** What stands in a table; `clear` is set bold: a difference whose interval excludes 0. */
export type TableCell = string | { readonly text: string; readonly clear: boolean };

/** A table under a sentence. */
export interface TextTable {
  /** What it shows. */
  readonly about: string;
  /** Headings. */
  readonly head: readonly string[];
  /** Rows, what they are of first. */
  readonly rows: readonly (readonly TableCell[])[];
}

/** Lines of Markdown: the sentence, and the table with its first column to the left and the others to the right. */
export function markdownTable({ about, head, rows }: TextTable): string[] {
  const line = (cells: readonly TableCell[]) =>
    `| ${
      cells.map((cell) =>
        typeof cell === "string" ? cell : cell.clear ? `**${cell.text}**` : cell.text
      ).join(" | ")
    } |`;
  const rule = line(head.map((_, i) => i === 0 ? "---" : "--:"));
  return [about, "", line(head), rule, ...rows.map(line), ""];
}
