/**
 * Intervals and a method's figures as text, and the tables of a cell that are made of them.
 *
 * @module
 */

import { type ArmRow, type CellTable, type Measure, MEASURES } from "./comparison_table.ts";
import type { Interval } from "./statistics.ts";
import type { TextTable } from "./text_table.ts";

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
  if (!interval) return "–";
  if (measure.name === "stepsToTarget") {
    const steps = Number.isFinite(interval.mean) ? interval.mean.toFixed(1) : "never";
    return `${steps} (${row.reached}/${interval.n})`;
  }
  return withHalfWidth(interval, measure.digits);
}

/** What a cell at one learning rate is called. */
export function cellTitle({ cell, learningRate }: CellTable): string {
  return `${cell}, learning rate ${learningRate.toPrecision(2)}`;
}

/** A cell's tables at one learning rate: results, differences from the reference, and how training went. */
export function cellTables({ rows, targetReward, sameWarmStart }: CellTable): TextTable[] {
  const results = MEASURES.filter(({ compared }) => compared);
  const rest = MEASURES.filter(({ compared }) => !compared);
  const seeds = Math.max(...rows.map((row) => row.seeds.length));
  return [
    {
      about:
        `Means over up to ${seeds} seeds ± half the 95 % interval (Student's t, not adjusted ` +
        "for the number of methods)." +
        (sameWarmStart
          ? ""
          : " The runs did not begin from the same weights: nothing here is paired."),
      head: ["method", "seeds", ...results.map(({ title }) => title)],
      rows: rows.map((row) => [
        row.title,
        String(row.seeds.length) + (row.failures > 0 ? ` (${row.failures} stopped early)` : ""),
        ...results.map((measure) => cellText(row, measure)),
      ]),
    },
    {
      about: "Differences from ΔL α = 1 on the same seeds and prompts, with 95 % intervals:",
      head: ["method", ...results.map(({ title }) => title)],
      rows: rows.filter(({ differences }) => Object.keys(differences).length > 0)
        .map(({ title, differences }) => [
          title,
          ...results.map(({ name, digits }) =>
            differences[name] ? withEnds(differences[name], digits) : "–"
          ),
        ]),
    },
    {
      about: `How training went. Target of the steps: mean training reward ${targetReward}; in ` +
        "brackets how many runs reached it.",
      head: ["method", ...rest.map(({ title }) => title)],
      rows: rows.map((row) => [row.title, ...rest.map((measure) => cellText(row, measure))]),
    },
  ];
}
