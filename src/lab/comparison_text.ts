/**
 * The comparison as Markdown and JSON.
 *
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import type { RunRecord } from "./comparison_run.ts";
import { cellText, withEnds } from "./comparison_cells.ts";
import { comparisonOverview } from "./comparison_overview.ts";
import { type CellTable, MEASURES } from "./comparison_table.ts";
import { markdownTable } from "./markdown.ts";

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
  const overview = comparisonOverview(tables).flatMap(({ about, head, rows }) => [
    about,
    "",
    ...markdownTable(
      head,
      rows.map((row) => row.map(({ text, clear }) => clear ? `**${text}**` : text)),
    ),
    "",
  ]);
  return ["### Overview", "", ...overview, cellsMarkdown(tables)].join("\n");
}

function cellsMarkdown(tables: readonly CellTable[]): string {
  return tables.map((table) => {
    const [results, rest] = [
      MEASURES.filter(({ compared }) => compared),
      MEASURES.filter(({ compared }) => !compared),
    ];
    const seeds = Math.max(...table.rows.map((row) => row.seeds.length));
    return [
      `### ${table.cell}, learning rate ${table.learningRate.toPrecision(2)}`,
      "",
      `Means over seeds (up to ${seeds}) ± half the 95 % interval (Student's t).` +
      (table.sameWarmStart ? "" : " **The runs did not begin from the same weights.**"),
      "",
      ...markdownTable(
        ["method", "seeds", ...results.map(({ title }) => title)],
        table.rows.map((row) => [
          row.title,
          String(row.seeds.length) + (row.failures > 0 ? ` (${row.failures} failed)` : ""),
          ...results.map((measure) => cellText(row, measure)),
        ]),
      ),
      "",
      "Paired differences from ΔL α = 1 on the same seeds and prompts, with 95 % intervals:",
      "",
      ...markdownTable(
        ["method", ...results.map(({ title }) => title)],
        table.rows
          .filter(({ differences }) => Object.keys(differences).length > 0)
          .map((row) => [
            row.title,
            ...results.map(({ name, digits }) => {
              const difference = row.differences[name];
              return difference ? withEnds(difference, digits) : "";
            }),
          ]),
      ),
      "",
      `How training went (target ${table.targetReward}; in brackets how many runs reached it):`,
      "",
      ...markdownTable(
        ["method", ...rest.map(({ title }) => title)],
        table.rows.map((row) => [row.title, ...rest.map((measure) => cellText(row, measure))]),
      ),
      "",
    ].join("\n");
  }).join("\n");
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
