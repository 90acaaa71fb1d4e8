/**
 * The comparison as Markdown and JSON.
 *
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import type { RunRecord } from "./comparison_run.ts";
import { cellTables, cellTitle } from "./comparison_cells.ts";
import { comparisonOverview } from "./comparison_overview.ts";
import { type CellTable, MEASURES } from "./comparison_table.ts";
import { markdownTable } from "./text_table.ts";

/** A finished or unfinished comparison. */
export interface Comparison {
  /** What it is called: its preset, or its task. */
  readonly title: string;
  /** Every finished run. */
  readonly runs: readonly RunRecord[];
  /** Their tables. */
  readonly tables: readonly CellTable[];
}

/** The overview, then for each cell and learning rate: results, differences, and how training went. */
export function comparisonMarkdown(tables: readonly CellTable[]): string {
  const sections = [
    ["### Overview", ...comparisonOverview(tables).flatMap(markdownTable)],
    ...tables.map((
      table,
    ) => [`### ${cellTitle(table)}`, ...cellTables(table).flatMap(markdownTable)]),
  ];
  return sections.map(([title, ...lines]) => [title, "", ...lines].join("\n")).join("\n");
}

/** Writes `compare.json` and `compare.md` into a comparison's folder. */
export async function writeComparison(dir: string, comparison: Comparison): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  const { title, runs, tables } = comparison;
  const json = {
    kind: "compare",
    title,
    measures: MEASURES.map(({ name, title, about }) => ({ name, title, about })),
    tables,
    // When and how fast they were made stays in runs/: the same runs give the same file.
    runs: runs.map(({ spec, failure, provenance: { at: _at, ...provenance } }) => ({
      id: spec.id,
      failure,
      provenance,
    })),
  };
  await writeFileAtomic(join(dir, "compare.json"), JSON.stringify(json, null, 2) + "\n");
  await writeFileAtomic(join(dir, "compare.md"), comparisonMarkdown(tables));
}
