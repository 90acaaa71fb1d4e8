/**
 * The report of a comparison.
 *
 * @module
 */

import { ARMS, REFERENCE_ARM } from "../lab/comparison_plan.ts";
import type { RunRecord } from "../lab/comparison_run.ts";
import { cellOf, type CellTable, comparisonTables, MEASURES } from "../lab/comparison_table.ts";
import { cellTables, cellText, cellTitle } from "../lab/comparison_cells.ts";
import { comparisonOverview } from "../lab/comparison_overview.ts";
import { mean } from "../objective/moments.ts";
import { studentInterval } from "../lab/statistics.ts";
import { chart, dots, escapeText, type LinePoint, lines } from "./chart.ts";
import {
  type Figure,
  type Page,
  paragraph,
  samplePairs,
  type Section,
  settings,
  table,
  tableUnder,
} from "./page.ts";

/** Steps whose mean is one point of a curve. */
const WINDOW = 5;

/** The page of a comparison's finished runs. */
export async function comparisonPage(runs: readonly RunRecord[]): Promise<Page> {
  // What was studied most comes first.
  const tables = comparisonTables(runs).toSorted((a, b) => b.rows.length - a.rows.length);
  const sections: Section[] = [{
    title: "In short",
    body: comparisonOverview(tables).map(tableUnder).join("\n"),
  }];
  for (const cell of tables) {
    sections.push(await cellSection(cell, runs.filter((run) => belongs(run, cell))));
  }
  const rates = learningRates(tables);
  if (rates) sections.push(rates);
  const sample = runs.find(({ spec }) => spec.arm?.id === REFERENCE_ARM);
  if (sample) {
    sections.push({
      title: `Completions of ${sample.spec.id}`,
      body: samplePairs(
        ["first step", "last step"],
        [sample.samples.first.slice(0, 5), sample.samples.last.slice(0, 5)],
      ),
    });
  }
  sections.push(
    {
      title: "Measures",
      body: table(["measure", "what it is"], MEASURES.map((m) => [m.title, m.about])),
    },
    { title: "Settings", body: settingsOf(runs) },
    { title: "What it ran on", body: ranOn(runs) },
  );
  return {
    title: "Methods compared",
    lead:
      `${runs.length} runs. All methods of a cell begin from the same weights and see the same ` +
      "prompts for the same seed. No run is left out.",
    sections,
  };
}

function belongs(run: RunRecord, { cell, learningRate }: CellTable): boolean {
  return run.spec.arm !== undefined && run.spec.learningRate === learningRate &&
    cellOf(run) === cell;
}

async function cellSection(cell: CellTable, runs: readonly RunRecord[]): Promise<Section> {
  const compared = MEASURES.filter((measure) => measure.compared);
  const drawn = await curveFigures(cell, runs);
  for (const measure of compared.filter(({ name }) => name !== "passAt8")) {
    const rows = cell.rows.flatMap(({ title, differences }) => {
      const difference = differences[measure.name];
      return difference && Number.isFinite(difference.low)
        ? [{ label: title, value: difference.mean, low: difference.low, high: difference.high }]
        : [];
    });
    if (rows.length === 0) continue;
    const caption = `${measure.title}: difference from ΔL α = 1 on the same seeds, 95 % intervals.`;
    drawn.push({
      name: figureName(cell, `difference_${measure.name}`),
      svg: await chart(
        dots(rows, { title: measure.title, x: "difference from ΔL α = 1", reference: 0 }),
        caption,
      ),
      caption,
    });
  }
  return {
    title: cellTitle(cell),
    body: cellTables(cell).map(tableUnder).join("\n"),
    figures: drawn,
  };
}

/** `countdown-64x3-127-lr0.00030-reward_mean`. */
function figureName({ cell, learningRate }: CellTable, what: string): string {
  return `${cell}-lr${learningRate.toPrecision(2)}-${what}`;
}

/** Curves of a cell: mean over seeds of each run's moving mean, with its interval. */
async function curveFigures(cell: CellTable, runs: readonly RunRecord[]): Promise<Figure[]> {
  const arms = ARMS.filter(({ id }) => runs.some(({ spec }) => spec.arm!.id === id));
  const list: Figure[] = [];
  const shown: [name: string, title: string, y: string][] = [
    ["reward/mean", "Training reward", "mean reward"],
    ["response_length/mean", "Response length", "tokens"],
    ["actor/entropy", "Entropy", "nats per token"],
    ["actor/grad_norm", "Gradient norm before clipping", "global norm"],
  ];
  for (const [name, title, y] of shown) {
    const points: LinePoint[] = [];
    // Bands of eight methods would hide each other.
    const banded = name === "reward/mean" && arms.length <= 4;
    for (const arm of arms) {
      const curves = runs.filter(({ spec }) => spec.arm!.id === arm.id).map((run) =>
        movingMean(run.metrics[name] ?? [])
      );
      const steps = Math.max(0, ...curves.map((curve) => curve.length));
      for (let x = 0; x < steps; x++) {
        const values = curves.flatMap((curve) => Number.isFinite(curve[x]) ? [curve[x]!] : []);
        const { mean, low, high } = studentInterval(values);
        points.push({
          x: x + WINDOW,
          y: mean,
          ...(banded ? { low, high } : {}),
          series: arm.title,
        });
      }
    }
    if (points.length === 0) continue;
    const caption = `${title}: mean over seeds of the mean over ${WINDOW} steps` +
      (banded ? ", with 95 % intervals." : ".");
    list.push({
      name: figureName(cell, name.replace(/^actor\//, "").replaceAll("/", "_")),
      svg: await chart(
        lines(points, { title, x: "step", y, series: arms.map(({ title }) => title) }),
        caption,
      ),
      caption,
    });
  }
  return list;
}

function movingMean(values: readonly (number | null)[]): number[] {
  const numbers = values.map((value) => value ?? NaN);
  return Array.from(
    { length: Math.max(0, numbers.length - WINDOW + 1) },
    (_, i) => mean(numbers.slice(i, i + WINDOW)),
  );
}

/** Accuracy by learning rate, for cells that were run at several. */
function learningRates(tables: readonly CellTable[]): Section | undefined {
  const parts: string[] = [];
  for (const [cell, group] of Map.groupBy(tables, ({ cell }) => cell)) {
    if (group.length < 2) continue;
    const rates = group.toSorted((a, b) => a.learningRate - b.learningRate);
    const measure = MEASURES.find(({ name }) => name === "accuracy")!;
    const arms = ARMS.filter(({ id }) =>
      rates.every(({ rows }) => rows.some(({ arm }) => arm === id))
    );
    const rows = arms.map(({ id, title }) => [
      title,
      ...rates.map(({ rows }) => cellText(rows.find(({ arm }) => arm === id)!, measure)),
    ]);
    parts.push(
      paragraph(`${cell}: ${measure.title}, by learning rate.`),
      table(["method", ...rates.map(({ learningRate }) => learningRate.toPrecision(2))], rows),
    );
  }
  return parts.length > 0 ? { title: "Learning rates", body: parts.join("\n") } : undefined;
}

/** What the runs of each cell share, and what each method sets. */
function settingsOf(runs: readonly RunRecord[]): string {
  const trained = runs.filter(({ spec }) => spec.arm !== undefined);
  const cells = [...new Map(trained.map((run) => [cellOf(run), run.spec.cell]))];
  const arms = ARMS.filter(({ id }) => trained.some(({ spec }) => spec.arm!.id === id));
  return cells.map(([name, cell]) =>
    `<h3>${escapeText(name)}</h3>` + settings(Object.entries(cell))
  )
    .join("\n") +
    "<h3>Methods</h3>" +
    settings(arms.map(({ title, objective, matchScale }) => [
      title,
      {
        ...objective,
        ...(matchScale ? { lossScaleFactor: "the warm start's harmonic length" } : {}),
      },
    ]));
}

function ranOn(runs: readonly RunRecord[]): string {
  const distinct = (of: (run: RunRecord) => string) => [...new Set(runs.map(of))].join(", ");
  return settings([
    ["adapter", distinct(({ provenance }) => provenance.adapter.description)],
    ["numbers", distinct(({ provenance }) => provenance.numbers ?? "unknown")],
    ["subgroup size", distinct(({ provenance }) => String(provenance.adapter.subgroupSize))],
    ["deltal", distinct(({ provenance }) => provenance.version)],
    ["commit", distinct(({ provenance }) => provenance.commit ?? "unknown")],
    ["deno", distinct(({ provenance }) => provenance.deno)],
    ["platform", distinct(({ provenance }) => provenance.platform)],
    ["processors", distinct(({ provenance }) => String(provenance.processors))],
    ["warm starts", distinct(({ warmStart }) => warmStart.slice(0, 12))],
  ]);
}
