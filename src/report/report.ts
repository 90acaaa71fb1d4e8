/**
 * Reports: one HTML file for the folder of a run, a comparison or a study.
 *
 * @module
 */

import { join } from "node:path";
import type { RunRecord } from "../lab/comparison_run.ts";
import type { VarianceReport } from "../lab/variance_text.ts";
import { VERSION } from "../run/version.ts";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { writeFileAtomic } from "../files/atomic_directory.ts";
import { comparisonPage } from "./comparison_report.ts";
import { readEngineRun } from "./engine_run.ts";
import { type Page, renderPage } from "./page.ts";
import { runsPage } from "./runs_report.ts";
import { trainingPage } from "./training_report.ts";
import { variancePage } from "./variance_report.ts";

/** What {@linkcode writeReport} wrote. */
export interface WrittenReport {
  /** The file. */
  readonly path: string;
  /** Its size. */
  readonly bytes: number;
}

/**
 * Writes `report.html` into a folder of results, and its figures once more as `figures/*.svg`.
 *
 * @param dir Folder of a training run, deltal's, TRL's or verl's, of a comparison or a variance study.
 * @throws {Deno.errors.NotFound} If it is none of them.
 */
export async function writeReport(dir: string): Promise<WrittenReport> {
  const page = await pageOf(dir).catch((error) => {
    // What other programs wrote may lack anything.
    if (!(error instanceof TypeError) || error.message.includes(dir)) throw error;
    throw new TypeError(
      `${dir} cannot be reported: its files are not as deltal ${VERSION} writes them (${error.message})`,
      { cause: error },
    );
  });
  return await writePage(dir, page);
}

/**
 * Writes the report of several training runs side by side.
 *
 * @param out The folder that gets it; made if it is not there.
 * @throws {Deno.errors.NotFound} If one of them is not the folder of a training run.
 */
export async function writeRunsReport(
  dirs: readonly string[],
  out: string,
): Promise<WrittenReport> {
  const page = await runsPage(dirs);
  await Deno.mkdir(out, { recursive: true });
  return await writePage(out, page);
}

async function writePage(dir: string, page: Page): Promise<WrittenReport> {
  await writeFigures(join(dir, "figures"), page);
  const html = renderPage(page);
  const path = join(dir, "report.html");
  await writeFileAtomic(path, html);
  return { path, bytes: new TextEncoder().encode(html).length };
}

async function pageOf(dir: string): Promise<Page> {
  if (await fileExists(join(dir, "variance.json"))) {
    return await variancePage(await readVariance(join(dir, "variance.json")));
  }
  if (await fileExists(join(dir, "compare.json"))) {
    return await comparisonPage(await readRuns(join(dir, "runs")));
  }
  if (await readEngineRun(dir)) return await runsPage([dir]);
  if (await fileExists(join(dir, "config.json"))) return await trainingPage(dir);
  throw new Deno.errors.NotFound(
    `${dir} holds no results: it has neither config.json (of train) nor compare.json nor variance.json, nor metrics of TRL or verl`,
  );
}

async function readVariance(path: string): Promise<VarianceReport> {
  await readJsonObject(path);
  return JSON.parse(
    await Deno.readTextFile(path),
    // JSON has no NaN: an interval's unknown end is null.
    (key, value) => value === null && /^(mean|low|high)$/.test(key) ? NaN : value,
  ) as VarianceReport;
}

async function writeFigures(dir: string, { sections }: Page): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  for (const { name, svg } of sections.flatMap(({ figures = [] }) => figures)) {
    await writeFileAtomic(join(dir, `${name}.svg`), svg + "\n");
  }
}

async function readRuns(dir: string): Promise<RunRecord[]> {
  if (!await fileExists(dir)) {
    throw new Deno.errors.NotFound(`${dir} does not exist: the runs of a comparison belong there`);
  }
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(dir)) {
    if (isFile && name.endsWith(".json")) names.push(name);
  }
  const runs: RunRecord[] = [];
  for (const name of names.sort()) {
    runs.push(await readJsonObject(join(dir, name)) as unknown as RunRecord);
  }
  return runs;
}
