/**
 * The frame of a report: one HTML file with its style, without script and without anything to fetch.
 *
 * @module
 */

import type { RunSample } from "../lab/comparison_run.ts";
import type { TableCell, TextTable } from "../lab/text_table.ts";
import { escapeText } from "./chart.ts";

/** Parts of a page, in order. */
export interface Page {
  /** Heading and title. */
  readonly title: string;
  /** A sentence below it. */
  readonly lead: string;
  /** Sections. */
  readonly sections: readonly Section[];
}

/** A section of a page. */
export interface Section {
  /** Heading. */
  readonly title: string;
  /** HTML. */
  readonly body: string;
  /** Figures below it. */
  readonly figures?: readonly Figure[];
}

/** A drawn figure. */
export interface Figure {
  /** Name of its file, without suffix. */
  readonly name: string;
  /** The `<svg>` element. */
  readonly svg: string;
  /** What it shows. */
  readonly caption: string;
}

const STYLE = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 24px 20px 64px; background: #fff; color: #1b1b1b;
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 40px 0 12px; padding-top: 12px; border-top: 1px solid #ddd; }
h3 { font-size: 16px; margin: 24px 0 8px; }
p { margin: 0 0 12px; max-width: 72ch; }
.lead { color: #555; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 20px; }
figure { margin: 0; break-inside: avoid; }
figure svg { width: 100%; height: auto; max-height: 560px; }
figcaption { color: #555; font-size: 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
.facts div { border: 1px solid #ddd; border-radius: 6px; padding: 10px 12px; }
.facts dt { color: #555; font-size: 13px; }
.facts dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
.facts dd small { color: #555; font-size: 13px; display: block; }
.scroll { overflow-x: auto; margin: 0 0 12px; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 8px; border-bottom: 1px solid #e4e4e4; text-align: right; vertical-align: top; }
th { font-weight: 600; color: #444; white-space: normal; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td { white-space: nowrap; }
.settings { columns: 2 380px; column-gap: 32px; }
.settings table { width: 100%; }
.settings td { white-space: normal; overflow-wrap: anywhere; }
.settings td:first-child { white-space: nowrap; overflow-wrap: normal; padding-right: 20px; }
.settings td:last-child { padding-right: 0; }
.terms { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0 0 12px; }
.terms dt { color: #555; }
.terms dd { margin: 0; overflow-wrap: anywhere; }
.about { color: #555; font-size: 14px; margin: 12px 0 2px; }
pre { margin: 0 0 12px; padding: 10px 12px; border: 1px solid #ddd; border-radius: 6px; background: #f7f7f7;
  font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px 20px; }
.sample { border: 1px solid #ddd; border-left: 4px solid #bbb; border-radius: 4px; padding: 8px 10px; min-width: 0;
  break-inside: avoid; }
.sample.right { border-left-color: #009e73; }
.sample.wrong { border-left-color: #d55e00; }
.sample .meta { color: #555; font-size: 13px; }
.sample code { display: block; font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
.sample code.prompt { color: #555; }
@media (max-width: 640px) {
  body { padding: 16px 12px 48px; }
  .pair { grid-template-columns: 1fr; }
  h1 { font-size: 24px; }
  table { font-size: 12.5px; }
  th, td { padding: 5px 4px; }
  td:first-child { white-space: normal; overflow-wrap: anywhere; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 12px; }
  .figures { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  table { font-size: 10px; }
  th, td { padding: 2px 5px; }
  td { white-space: normal; }
}
`;

/** The HTML file of a page. */
export function renderPage({ title, lead, sections }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeText(title)}</h1>
<p class="lead">${escapeText(lead)}</p>
${sections.map(sectionHtml).join("\n")}
</body>
</html>
`;
}

function sectionHtml({ title, body, figures = [] }: Section): string {
  return [
    `<h2>${escapeText(title)}</h2>`,
    body,
    ...(figures.length > 0 ? [figuresHtml(figures)] : []),
  ]
    .join("\n");
}

/** A paragraph of plain text. */
export function paragraph(text: string): string {
  return `<p>${escapeText(text)}</p>`;
}

/** A table of plain texts, some of them set bold. */
export function table(head: readonly string[], rows: TextTable["rows"]): string {
  const inner = (cell: TableCell) => {
    if (typeof cell === "string") return escapeText(cell);
    return cell.clear ? `<b>${escapeText(cell.text)}</b>` : escapeText(cell.text);
  };
  const row = (cells: readonly TableCell[], tag: "th" | "td") =>
    `<tr>${cells.map((cell) => `<${tag}>${inner(cell)}</${tag}>`).join("")}</tr>`;
  return "<div " +
    `class="scroll"><table><thead>${row(head, "th")}</thead><tbody>${
      rows.map((cells) => row(cells, "td")).join("\n")
    }</tbody></table></div>`;
}

/** A table under a sentence. */
export function tableUnder({ about, head, rows }: TextTable): string {
  return paragraph(about) + table(head, rows);
}

/** Names and values in two columns. */
export function settings(entries: readonly (readonly [name: string, value: unknown])[]): string {
  const rows = entries.map(([name, value]) =>
    `<tr><td>${escapeText(name)}</td><td>${escapeText(valueText(value))}</td></tr>`
  );
  return `<div class="settings"><table><tbody>${rows.join("\n")}</tbody></table></div>`;
}

/** Terms with what they are, one below the other. */
export function definitions(entries: readonly (readonly [term: string, text: string])[]): string {
  const rows = entries.map(([term, text]) =>
    `<dt>${escapeText(term)}</dt><dd>${escapeText(text)}</dd>`
  );
  return `<dl class="terms">${rows.join("\n")}</dl>`;
}

/** A text to be copied, under a line about it. */
export function code(text: string, about: string): string {
  return `<p class="about">${escapeText(about)}</p><pre>${escapeText(text)}</pre>`;
}

/** Name, value and an explanation of each of a few important figures. */
export function facts(
  entries: readonly (readonly [name: string, value: string, note?: string])[],
): string {
  const boxes = entries.map(([name, value, note]) =>
    `<div><dt>${escapeText(name)}</dt><dd>${escapeText(value)}${
      note ? `<small>${escapeText(note)}</small>` : ""
    }</dd></div>`
  );
  return `<dl class="facts">${boxes.join("")}</dl>`;
}

/** Figures side by side where there is room, each with its caption. */
function figuresHtml(list: readonly Figure[]): string {
  const items = list.map(({ svg, caption }) =>
    `<figure>${svg}<figcaption>${escapeText(caption)}</figcaption></figure>`
  );
  return `<div class="figures">${items.join("\n")}</div>`;
}

/** A completion to show. */
export interface ShownSample extends RunSample {
  /** Whether it is right. Default: whether the reward is 1 or more. */
  readonly solved?: boolean;
}

/** Two lists of completions side by side, each box with the title of its list. */
export function samplePairs(
  titles: readonly [string, string],
  lists: readonly [readonly ShownSample[], readonly ShownSample[]],
): string {
  const rows = Array.from({ length: Math.max(lists[0].length, lists[1].length) }, (_, i) => i);
  const box = (sample: ShownSample | undefined, title: string) => {
    if (sample === undefined) return "<div></div>";
    const { prompt, completion, reward, solved = (reward ?? 0) >= 1, length } = sample;
    const judgement = reward === null ? "not judged" : `reward ${Number(reward.toFixed(3))}`;
    const meta = `${title} · ${judgement} · ${length} tokens`;
    return `<div class="sample ${solved ? "right" : "wrong"}"><div ` +
      `class="meta">${escapeText(meta)}</div><code ` +
      `class="prompt">${escapeText(prompt)}</code><code>${escapeText(completion)}</code></div>`;
  };
  return `<div class="pair">${
    rows.map((i) => box(lists[0][i], titles[0]) + box(lists[1][i], titles[1])).join("\n")
  }</div>`;
}

/** Lists and objects as `a, b` and `name value, name value`. */
function valueText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(valueText).join(", ");
  if (typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, part]) => `${name} ${valueText(part)}`).join(", ");
}
