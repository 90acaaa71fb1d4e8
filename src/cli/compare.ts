/**
 * `compare`: the methods against each other, from the same warm starts, seeds and prompts.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import {
  type ComparisonPlan,
  finishedRuns,
  mergeComparisons,
  writePlan,
} from "../lab/comparison_folder.ts";
import { type RunSpec, runSpecs, shardOf } from "../lab/comparison_plan.ts";
import { loadRun, runComparison, type RunRecord, saveRun } from "../lab/comparison_run.ts";
import { ShardNotes } from "../lab/shard_progress.ts";
import { comparisonTables } from "../lab/comparison_table.ts";
import { comparisonMarkdown, writeComparison } from "../lab/comparison_text.ts";
import { type Provenance, provenance } from "../lab/provenance.ts";
import { Policy } from "../model/policy.ts";
import { weightsDigest } from "../run/fingerprint.ts";
import { type FlagValues, kebab, numberFlag, switchFlag, textFlag, UsageError } from "./args.ts";
import { PLAN_FLAGS, planComparison, type PlannedComparison } from "./compare_plan.ts";
import { merge, shard, watch, withFolders } from "./compare_shards.ts";
import { watchShards } from "./compare_watch.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { type Command, command } from "./command.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { newPolicyConfig } from "./policy_size.ts";
import { Progress, type ProgressOutput, standardError } from "./progress.ts";
import { reportAtEnd } from "./report.ts";
import { dim, duration } from "./style.ts";
import { RUNS } from "./runs.ts";
import { warmStartRecipe } from "./policy_source.ts";
import { onDevice, warmPolicy, warmStartDirectory } from "./warm_policy.ts";

const RUN_FLAGS = {
  out: textFlag(
    "dir",
    "Folder of the results; runs found in it are not made again.",
    "runs/compare-<preset or task>",
  ),
  shard,
  merge,
  watch,
  serve: numberFlag({ min: 0, max: 65535, integer: true }, "Port of that page; 0 for any.", 8000),
  list: switchFlag("Print the runs, with those that are finished, and make none."),
  table: switchFlag("Make the table of the runs that are finished, and no run."),
  json: switchFlag("Print compare.json in place of tables."),
  ...DEVICE_FLAGS,
  quiet: switchFlag("Print no progress, only the table."),
  verbose: switchFlag("Print where in the code an error arose."),
};

const FLAGS = { ...PLAN_FLAGS, ...RUN_FLAGS };

/** `compare`. */
export const COMPARE: Command = command({
  name: "compare",
  brief: "Train with every method of the paper and tabulate",
  about: "Trains with every method of the paper from shared warm starts, on the same seeds and " +
    "prompts, and writes one table: means with 95 % intervals and paired differences from " +
    "ΔL α = 1. Stop it whenever you like: it goes on where it was.",
  sections: [{ title: "What is compared", flags: PLAN_FLAGS }, { title: "Run", flags: RUN_FLAGS }],
  examples: [
    ["deno task compare --preset smoke", "see it work, in minutes"],
    [
      "deno task compare --task ./my_task.ts --methods delta-l-1,grpo --seeds 5",
      "two methods on a task of your own",
    ],
    [
      "deno task compare --shard $SLURM_ARRAY_TASK_ID/8 --out runs/shard-$SLURM_ARRAY_TASK_ID",
      "one of eight machines",
    ],
    ["deno task compare --watch runs/shard-*", "how far all of them are, on one page"],
    ["deno task compare --merge runs/shard-* --out runs/whole", "their tables, as of one machine"],
  ],
  flags: FLAGS,
  parsed: (args) => withFolders("--watch", withFolders("--merge", args)),
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  if (values.merge) return await mergeFolders(values.merge, values);
  if (values.watch) {
    refuseOthers("watch", values, { serve: true });
    await watchShards(values.watch, values.serve ?? 8000);
    return 0;
  }
  const plan = await planComparison(values);
  const dir = values.out ?? join(RUNS, `compare-${plan.title}`);
  const specs = runSpecs(plan.blocks);
  const { index, count } = values.shard ?? { index: 1, count: 1 };
  const mine = shardOf(specs, index, count);
  if (values.list) return await list(dir, mine);

  const output = standardError(values.quiet);
  if (!values.table) {
    await writePlan(dir, plan);
    using interrupt = Interrupt.said(output, "after this step");
    await using notes = new ShardNotes(dir, index, count);
    const done = await withGpu(
      (gpu) => runAll(gpu, dir, mine, { plan, output, interrupt, notes }),
      values,
    );
    if (!done) return INTERRUPTED;
  }
  return await conclude(dir, plan, values);
}

/** Tables and report of what is finished. */
async function conclude(
  dir: string,
  { title, blocks }: ComparisonPlan,
  { json, quiet }: FlagValues<typeof RUN_FLAGS>,
): Promise<number> {
  const specs = runSpecs(blocks);
  const runs = await finishedRuns(dir, specs);
  const tables = comparisonTables(runs);
  await writeComparison(dir, { title, runs, tables });
  const report = await reportAtEnd(dir);
  if (json) {
    console.log((await Deno.readTextFile(join(dir, "compare.json"))).trimEnd());
    return 0;
  }
  if (runs.length < specs.length) {
    console.log(`${runs.length} of ${specs.length} runs are finished`);
  }
  console.log(comparisonMarkdown(tables));
  console.log(dim(`written to ${dir}: compare.json, compare.md, ${report}`));
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  if (!quiet) console.log(dim(`${duration(seconds)} of training and evaluation`));
  return 0;
}

async function mergeFolders(
  dirs: readonly string[],
  values: FlagValues<typeof FLAGS>,
): Promise<number> {
  refuseOthers("merge", values, { out: true, json: true, quiet: true });
  if (values.out === undefined) {
    throw new UsageError("--merge needs --out <dir>: the folder that gets all runs");
  }
  return await conclude(values.out, await mergeComparisons(dirs, values.out), values);
}

/** Refuses flags beside one that makes no run. */
function refuseOthers(
  flag: "merge" | "watch",
  values: FlagValues<typeof FLAGS>,
  others: Readonly<Record<string, true>>,
): void {
  const stray = Object.keys(values).find((name) =>
    name !== flag && name !== "verbose" && !Object.hasOwn(others, name)
  );
  if (stray === undefined) return;
  throw new UsageError(
    `--${kebab(stray)} does not go with --${flag}: the folders say what was run`,
  );
}

async function list(dir: string, specs: readonly RunSpec[]): Promise<number> {
  for (const spec of specs) {
    const record = await loadRun(dir, spec);
    console.log(
      `${record ? `done ${duration(record.seconds).padStart(6)}` : "-".padEnd(11)}  ${spec.id}`,
    );
  }
  return 0;
}

interface Tools {
  readonly plan: PlannedComparison;
  readonly output: ProgressOutput;
  readonly interrupt: Interrupt;
  readonly notes: ShardNotes;
}

/** Makes the runs that are missing; `false` if it was interrupted. */
async function runAll(
  gpu: Gpu,
  dir: string,
  specs: readonly RunSpec[],
  tools: Tools,
): Promise<boolean> {
  const { output } = tools;
  const made = await provenance(gpu);
  for (const [k, spec] of specs.entries()) {
    if (await loadRun(dir, spec)) continue;
    const warmDir = await warmStart(gpu, spec, tools);
    if (warmDir === undefined) return false;
    const record = await makeRun(gpu, spec, warmDir, made, tools);
    if (record === undefined) return false;
    await saveRun(dir, record);
    if (output.quiet) continue;
    const { evaluation, seconds, failure } = record;
    output.write(
      `${k + 1}/${specs.length} ${spec.id}: mean@8 ${evaluation.meanAtN.toFixed(3)}, ` +
        `length ${evaluation.meanLength.toFixed(1)}, ${duration(seconds)}` +
        `${failure ? `, stopped early: ${failure}` : ""}\n`,
    );
  }
  return true;
}

async function makeRun(
  gpu: Gpu,
  spec: RunSpec,
  warmDir: string,
  made: Provenance,
  { plan, output, interrupt, notes }: Tools,
): Promise<RunRecord | undefined> {
  const policy = await Policy.load(gpu, warmDir);
  const progress = new Progress(output, spec.id, spec.arm ? spec.cell.maxSteps : 0);
  try {
    return await runComparison(spec, {
      task: plan.taskOf(spec.cell),
      policy,
      warmStart: await weightsDigest(warmDir),
      provenance: made,
      afterStep: async ({ step, metrics }) => {
        const reward = metrics["reward/mean"]!;
        progress.update(step, `reward ${reward.toFixed(3)}`);
        await notes.step({ run: spec.id, done: step, total: spec.cell.maxSteps, reward });
        return await interrupt.requested();
      },
    });
  } finally {
    progress.clear();
    policy.destroy();
  }
}

/** The folder of a specification's warm start, made if it is missing; `undefined` if that was interrupted. */
async function warmStart(gpu: Gpu, { cell }: RunSpec, tools: Tools): Promise<string | undefined> {
  if (tools.plan.policy !== undefined) return tools.plan.policy;
  const task = tools.plan.taskOf(cell);
  const recipe = await onDevice(gpu, {
    ...warmStartRecipe({}, task, newPolicyConfig(task, cell.policy), WARM_START_SEED),
    ...cell.warmStart,
  });
  const dir = warmStartDirectory(recipe);
  await Deno.mkdir(dirname(dir), { recursive: true });
  // Shards that begin together wait for the one that makes it.
  using lock = await Deno.open(`${dir}.lock`, { write: true, create: true });
  await lock.lock(true);
  const warm = await warmPolicy(gpu, recipe, tools, dir);
  warm?.policy.destroy();
  return warm?.dir;
}

/** All runs of a cell begin with the same weights. */
const WARM_START_SEED = 42;
