/**
 * Charts as SVG text, drawn by Vega-Lite without a browser.
 *
 * This module is loaded by the `report` command alone: it is the one place that needs a package.
 *
 * @module
 */

import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { digest } from "../run/fingerprint.ts";

/** A Vega-Lite specification; what all charts share is added by {@linkcode chart}. */
export type ChartSpec = Omit<TopLevelSpec, "$schema" | "config" | "background">;

/** Colours that colour-blind readers tell apart (Okabe & Ito 2008), yellow left out, and two more. */
export const COLOURS: readonly string[] = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#e69f00",
  "#666666",
  "#000000",
  "#8c564b",
  "#7b3294",
];

const FONT = "system-ui, sans-serif";
const GREY = "#555";

/** Width and height of a plot without its axes. */
export const SIZE = { width: 330, height: 190 } as const;

/**
 * Draws a chart.
 *
 * @param spec What to draw; data inside it.
 * @param label What it shows, for readers who do not see it.
 * @returns An `<svg>` element that scales with its container.
 */
export async function chart(spec: ChartSpec, label: string): Promise<string> {
  const full = {
    ...SIZE,
    ...spec,
    background: "white",
    config: {
      font: FONT,
      view: { stroke: null },
      range: { category: COLOURS },
      axis: {
        labelColor: GREY,
        titleColor: GREY,
        titleFontWeight: "normal",
        labelFontSize: 12,
        titleFontSize: 12,
        gridColor: "#eee",
        domainColor: "#bbb",
        tickColor: "#bbb",
        labelLimit: 320,
      },
      legend: {
        orient: "top",
        columns: 2,
        title: null,
        labelFontSize: 12,
        labelLimit: 280,
        symbolStrokeWidth: 3,
      },
      title: { fontSize: 14, anchor: "start", fontWeight: 600, offset: 12 },
      line: { strokeWidth: 2 },
      area: { opacity: 0.18 },
    },
  } as TopLevelSpec;
  const view = new vega.View(vega.parse(compile(full).spec), { renderer: "none" });
  try {
    return embeddable(await view.toSVG(), label);
  } finally {
    view.finalize();
  }
}

/**
 * The SVG without fixed size, with one name for all of it instead of names of single marks, and with ids that no other
 * chart of a page has.
 */
function embeddable(svg: string, label: string): string {
  const own = digest(svg).slice(0, 8);
  return svg
    .replaceAll(/ (?:aria-\w+|role)="[^"]*"/g, "")
    .replace(/ width="[\d.]+" height="[\d.]+"/, ` role="img" aria-label="${escapeText(label)}"`)
    .replaceAll(/(\bid="|url\(#)/g, `$1${own}-`);
}

/** A text as it stands in HTML and XML, in attributes too. */
export function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** One point of {@linkcode lines}. */
export interface LinePoint {
  /** Abscissa. */
  readonly x: number;
  /** Ordinate. */
  readonly y: number;
  /** Lower end of its interval. */
  readonly low?: number;
  /** Upper end of its interval. */
  readonly high?: number;
  /** Which line it belongs to. */
  readonly series: string;
}

/** Options of {@linkcode lines}. */
export interface LinesOptions {
  /** Heading. */
  readonly title: string;
  /** Name of the abscissa. */
  readonly x: string;
  /** Name of the ordinate. */
  readonly y: string;
  /** Order of the lines, which also decides their colours. */
  readonly series?: readonly string[];
  /** Ends of the ordinate. */
  readonly domain?: readonly [number, number] | undefined;
  /** Points on the lines. */
  readonly points?: boolean;
}

/** Letters of a name that leaves room for no other beside it. */
const LONG_NAME = 18;

/** Lines with bands of their intervals. */
export function lines(points: readonly LinePoint[], options: LinesOptions): ChartSpec {
  const names = options.series ?? [...new Set(points.map(({ series }) => series))];
  const colour = {
    field: "series",
    type: "nominal",
    scale: { domain: names, range: names.map((_, i) => COLOURS[i % COLOURS.length]) },
    // Two columns of long names would make the drawing wider than others, and so its text smaller.
    legend: names.length <= 1
      ? null
      : names.some((name) => name.length > LONG_NAME)
      ? { columns: 1 }
      : undefined,
  };
  const x = { field: "x", type: "quantitative", title: options.x, axis: { grid: false } };
  const scale = options.domain ? { domain: options.domain } : { zero: false };
  const values = points.filter(({ y }) => Number.isFinite(y));
  const layers: unknown[] = [];
  if (values.some(({ low }) => low !== undefined)) {
    layers.push({
      transform: [{ filter: "isValid(datum.low) && isValid(datum.high)" }],
      mark: { type: "area", clip: true },
      encoding: {
        x,
        y: { field: "low", type: "quantitative", title: options.y, scale },
        y2: { field: "high" },
        color: colour,
      },
    });
  }
  layers.push({
    mark: { type: "line", clip: true, point: options.points ? { size: 40 } : false },
    encoding: {
      x,
      y: { field: "y", type: "quantitative", title: options.y, scale },
      color: colour,
    },
  });
  return { title: options.title, data: { values }, layer: layers } as unknown as ChartSpec;
}

/** One row of {@linkcode dots}. */
export interface Dot {
  /** Its name. */
  readonly label: string;
  /** Its value. */
  readonly value: number;
  /** Lower end of its interval. */
  readonly low: number;
  /** Upper end of its interval. */
  readonly high: number;
}

/** Values with intervals, one below the other, and a line at a reference. */
export function dots(
  rows: readonly Dot[],
  options: { readonly title: string; readonly x: string; readonly reference?: number },
): ChartSpec {
  const y = { field: "label", type: "nominal", sort: rows.map(({ label }) => label), title: null };
  const layer: unknown[] = [
    {
      mark: { type: "rule", color: COLOURS[0], strokeWidth: 2 },
      encoding: {
        x: { field: "low", type: "quantitative", title: options.x, scale: { zero: false } },
        x2: { field: "high" },
        y,
      },
    },
    {
      mark: { type: "point", filled: true, size: 60, color: COLOURS[0], opacity: 1 },
      encoding: { x: { field: "value", type: "quantitative" }, y },
    },
  ];
  if (options.reference !== undefined) {
    layer.unshift({
      data: { values: [{ at: options.reference }] },
      mark: { type: "rule", color: "#999", strokeDash: [3, 3] },
      encoding: { x: { field: "at", type: "quantitative" } },
    });
  }
  const values = rows.filter(({ value }) => Number.isFinite(value));
  return {
    title: options.title,
    height: { step: 22 },
    data: { values },
    layer,
  } as unknown as ChartSpec;
}
