/**
 * The comparison as Markdown and JSON.
 *
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../run/atomic.ts";
import type { PresetName } from "./comparison_presets.ts";
import type { RunRecord } from "./comparison_run.ts";
import { type ArmRow, type CellTable, type Measure, MEASURES } from "./comparison_table.ts";
import { markdownTable } from "./markdown.ts";
import type { Interval } from "./statistics.ts";

/** A finished or unfinished comparison. */
export interface Comparison {
  /** What was run. */
  readonly preset: PresetName;
  /** Every finished run. */
  readonly runs: readonly RunRecord[];
  /** Their tables. */
  readonly tables: readonly CellTable[];
}

/** `0.712 ± 0.031`, without the second part where one run cannot tell. */
export function withHalfWidth({ mean, high }: Interval, digits: number): string {
  if (!Number.isFinite(mean)) return mean === Infinity ? "never" : "–";
  const half = high - mean;
  return mean.toFixed(digits) + (Number.isFinite(half) ? ` ± ${half.toFixed(digits)}` : "");
}

/** `+0.012 [-0.020, +0.044]`. */
export function withEnds({ mean, low, high }: Interval, digits: number): string {
  const signed = (value: number) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
  return Number.isFinite(low) ? `${signed(mean)} [${signed(low)}, ${signed(high)}]` : signed(mean);
}

/** What a cell of the table says. */
export function cellText(row: ArmRow, measure: Measure): string {
  const interval = row.measures[measure.name];
  if (!interval) return "";
  if (measure.name === "stepsToTarget") {
    const steps = Number.isFinite(interval.mean) ? interval.mean.toFixed(1) : "never";
    return `${steps} (${row.reached}/${interval.n})`;
  }
  return withHalfWidth(interval, measure.digits);
}

/** One Markdown table per cell and learning rate: results, differences, and how training went. */
export function comparisonMarkdown(tables: readonly CellTable[]): string {
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
  const { preset, runs, tables } = comparison;
  const json = {
    kind: "compare",
    preset,
    measures: MEASURES.map(({ name, title, about }) => ({ name, title, about })),
    tables,
    runs: runs.map(({ spec, seconds, failure, provenance }) => ({
      id: spec.id,
      seconds,
      ...(failure ? { failure } : {}),
      provenance,
    })),
  };
  await writeFileAtomic(join(dir, "compare.json"), JSON.stringify(json, null, 2) + "\n");
  await writeFileAtomic(join(dir, "compare.md"), comparisonMarkdown(tables));
}
