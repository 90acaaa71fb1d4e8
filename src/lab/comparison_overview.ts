/**
 * All cells of a comparison in two small tables: how the methods ended, and where they differ from the reference.
 *
 * @module
 */

import { ARMS, REFERENCE_ARM } from "./comparison_plan.ts";
import { type CellTable, type Measure, MEASURES } from "./comparison_table.ts";
import type { Interval } from "./statistics.ts";
import { cellText, withEnds } from "./comparison_cells.ts";
import type { TableCell, TextTable } from "./text_table.ts";

/** Measures of the differences: the most direct one, and the one with the least noise. */
const SHOWN = ["accuracy", "meanReward"];

/**
 * The overview of every cell at its own learning rate.
 *
 * @param tables All tables of the comparison; those at other learning rates are left to their own sections.
 * @returns Results first, then the differences of each measure.
 */
export function comparisonOverview(tables: readonly CellTable[]): TextTable[] {
  const cells = tables.filter(({ learningRateFactor }) => learningRateFactor === 1);
  const [accuracy] = SHOWN.map(measureOf);
  const head = ["method", ...cells.map(({ cell }) => cell)];
  const start = { id: "warm-start", title: "warm start" };
  const rowsOf = (arms: readonly { id: string; title: string }[], text: CellOf) =>
    arms.filter(({ id }) => cells.some((cell) => rowOf(cell, id)))
      .map(({ id, title }) => [title, ...cells.map((cell) => text(cell, id))]);
  const results = {
    about: `${accuracy!.title}, mean over seeds ± half the 95 % interval:`,
    head,
    rows: rowsOf([start, ...ARMS], (cell, id) => {
      const row = rowOf(cell, id);
      return row ? cellText(row, accuracy!) : "–";
    }),
  };
  const differences = SHOWN.map((name) => {
    const { title, digits } = measureOf(name);
    const intervals = cells.flatMap(({ rows }) =>
      rows.flatMap(({ differences }) => differences[name] ?? [])
    ).filter(({ low }) => Number.isFinite(low));
    const clear = intervals.filter(excludesZero).length;
    return {
      about: `${title}, paired difference from ΔL α = 1` +
        (intervals.length === 0
          ? "; one seed has no interval:"
          : " with its 95 % interval; bold where that " +
            `excludes 0, as ${clear} of ${intervals.length} do (one in twenty would if no method differed):`),
      head,
      rows: rowsOf(ARMS.filter(({ id }) => id !== REFERENCE_ARM), (cell, id) => {
        const difference = rowOf(cell, id)?.differences[name];
        if (!difference) return "–";
        return { text: withEnds(difference, digits), clear: excludesZero(difference) };
      }),
    };
  });
  return [results, ...differences];
}

type CellOf = (cell: CellTable, arm: string) => TableCell;

const excludesZero = ({ low, high }: Interval) => low > 0 || high < 0;

const rowOf = ({ rows }: CellTable, arm: string) => rows.find((row) => row.arm === arm);

function measureOf(name: string): Measure {
  return MEASURES.find((measure) => measure.name === name)!;
}
