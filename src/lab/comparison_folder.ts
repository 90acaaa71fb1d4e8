/**
 * The folder of a comparison: its plan, its finished runs, its tables; and one made of several.
 *
 * @module
 */

import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic_file.ts";
import { fileExists, readJsonObject } from "../files/json_file.ts";
import { digest } from "../run/fingerprint.ts";
import { type Block, type RunSpec, runSpecs } from "./comparison_plan.ts";
import { loadRun, type RunRecord, saveRun } from "./comparison_run.ts";

/** What a comparison is to run. */
export interface ComparisonPlan {
  /** What it is called: its preset, or its task. */
  readonly title: string;
  /** What it runs. */
  readonly blocks: readonly Block[];
}

const PLAN = "plan.json";
const KIND = "compare plan";

/** Writes what a comparison is to run into its folder, which is made. */
export async function writePlan(dir: string, { title, blocks }: ComparisonPlan): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  const json = { kind: KIND, title, blocks };
  await writeFileAtomic(join(dir, PLAN), JSON.stringify(json, null, 2) + "\n");
}

/**
 * Reads what a comparison is to run.
 *
 * @throws {Deno.errors.NotFound} If there is no comparison in the folder.
 */
export async function readPlan(dir: string): Promise<ComparisonPlan> {
  const path = join(dir, PLAN);
  if (!await fileExists(path)) {
    throw new Deno.errors.NotFound(
      `${dir} is not the folder of a comparison: it has no ${PLAN}, which compare writes`,
    );
  }
  const { kind, title, blocks } = await readJsonObject(path);
  if (kind !== KIND || typeof title !== "string" || !Array.isArray(blocks)) {
    throw new TypeError(`${path} is not the plan of a comparison: its kind is not "${KIND}"`);
  }
  return { title, blocks };
}

/** The finished ones of some runs, in their order. */
export async function finishedRuns(dir: string, specs: readonly RunSpec[]): Promise<RunRecord[]> {
  const records: RunRecord[] = [];
  for (const spec of specs) {
    const record = await loadRun(dir, spec);
    if (record) records.push(record);
  }
  return records;
}

/**
 * Puts the runs of several folders of one comparison, such as its shards, into one.
 *
 * The order of the folders does not matter: of a run that several have, which differ in their times
 * alone, the same one is taken.
 *
 * @param dirs The folders.
 * @param out The folder that gets all of them; it may be one of those, or hold some already.
 * @returns What was to be run.
 * @throws {RangeError} If they are of different comparisons.
 */
export async function mergeComparisons(
  dirs: readonly string[],
  out: string,
): Promise<ComparisonPlan> {
  const plans = await Promise.all(dirs.map(readPlan));
  const [plan] = plans;
  if (plan === undefined) throw new RangeError("there is no folder to merge");
  const other = plans.findIndex((candidate) => digest(candidate) !== digest(plan));
  if (other > 0) {
    throw new RangeError(
      `${dirs[other]} is of another comparison than ${dirs[0]}: shards have the same tasks, ` +
        "methods, seeds and settings",
    );
  }
  await writePlan(out, plan);
  const sources = [...new Set([...dirs, out])];
  for (const spec of runSpecs(plan.blocks)) {
    const found: RunRecord[] = [];
    for (const dir of sources) found.push(...await finishedRuns(dir, [spec]));
    const [first] = found.map((record) => ({ record, text: JSON.stringify(record) }))
      .sort((a, b) => a.text < b.text ? -1 : 1);
    if (first) await saveRun(out, first.record);
  }
  return plan;
}
