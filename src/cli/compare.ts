/**
 * `compare`: the methods against each other, from the same warm starts, seeds and prompts.
 *
 * @module
 */

import { dirname, join } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import { type RunSpec, runSpecs, shardOf } from "../lab/comparison_plan.ts";
import { type PresetName, PRESETS } from "../lab/comparison_presets.ts";
import { loadRun, runComparison, type RunRecord, saveRun } from "../lab/comparison_run.ts";
import { comparisonTables } from "../lab/comparison_table.ts";
import { comparisonMarkdown, writeComparison } from "../lab/comparison_text.ts";
import { type Provenance, provenance } from "../lab/provenance.ts";
import { Policy } from "../model/policy.ts";
import { digestFile } from "../run/fingerprint.ts";
import { taskByName } from "../tasks/mod.ts";
import { choiceFlag, type Flag, numberFlag, parseFlags, switchFlag, textFlag } from "./args.ts";
import { TUNED_FLAG, withGpu } from "./gpu.ts";
import { type CommandHelp, printHelp } from "./help.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { newPolicyConfig } from "./policy_size.ts";
import { Progress, type ProgressOutput, standardError } from "./progress.ts";
import { reportAtEnd } from "./report.ts";
import { dim, duration } from "./style.ts";
import { RUNS } from "./runs.ts";
import { warmStartRecipe } from "./policy_source.ts";
import { onDevice, warmPolicy, warmStartDirectory } from "./warm_policy.ts";

const presetNames = Object.keys(PRESETS) as PresetName[];

/** A part of the work: the i-th of n. */
interface Shard {
  readonly index: number;
  readonly count: number;
}

const shard: Flag<Shard> = {
  parse(text: string): Shard {
    const [, index, count] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
    if (!index || !count || index > count) {
      throw new RangeError("give i/n with i from 1 to n, such as 2/8");
    }
    return { index, count };
  },
  placeholder: "i/n",
  help: "Make only every n-th run, beginning with the i-th; n machines that share the folder, or " +
    "whose folders are put together afterwards, make all of them.",
  default: "1/1",
};

const FLAGS = {
  preset: choiceFlag(
    presetNames,
    "What to run: minutes, up to two hours, or a GPU's day.",
    "default",
  ),
  out: textFlag(
    "dir",
    "Folder of the results; runs found in it are not made again.",
    "runs/compare-<preset>",
  ),
  shard,
  seeds: numberFlag({ min: 1, max: 1000, integer: true }, "Seeds of every method.", "the preset's"),
  list: switchFlag("Print the runs, with those that are finished, and make none."),
  table: switchFlag("Make the table of the runs that are finished, and no run."),
  tuned: TUNED_FLAG,
  quiet: switchFlag("Print no progress, only the table."),
  verbose: switchFlag("Print where in the code an error arose."),
};

/** What `--help` says. */
export const HELP: CommandHelp = {
  usage: "deno task compare [flags]",
  about: "Trains with every method of the paper from shared warm starts, on the same seeds and " +
    "prompts, and writes one table: means with 95 % intervals and paired differences from " +
    "ΔL α = 1. Stop it whenever you like: it goes on where it was.",
  sections: [{ title: "Flags", flags: FLAGS }],
  examples: [
    ["deno task compare --preset smoke", "see it work, in minutes"],
    ["deno task compare --shard $SLURM_ARRAY_TASK_ID/8", "one of eight machines"],
  ],
};

/**
 * The command.
 *
 * @returns Its exit code.
 */
export async function compare(args: readonly string[]): Promise<number> {
  const { values, help } = parseFlags(FLAGS, args);
  if (help) return printHelp(HELP);
  const preset = values.preset ?? "default";
  const dir = values.out ?? join(RUNS, `compare-${preset}`);
  const blocks = PRESETS[preset].map((block) => ({
    ...block,
    seeds: values.seeds ?? block.seeds,
  }));
  const specs = runSpecs(blocks);
  const { index, count } = values.shard ?? { index: 1, count: 1 };
  const mine = shardOf(specs, index, count);
  if (values.list) return await list(dir, mine);

  const output = standardError(values.quiet);
  if (!values.table) {
    using interrupt = new Interrupt(() =>
      output.write("\nstopping after this step; Ctrl-C again stops at once\n")
    );
    const done = await withGpu(
      (gpu) => runAll(gpu, dir, mine, { output, interrupt }),
      values,
    );
    if (!done) return INTERRUPTED;
  }
  const runs = await finished(dir, specs);
  if (runs.length < specs.length) {
    console.log(`${runs.length} of ${specs.length} runs are finished`);
  }
  const tables = comparisonTables(runs);
  await writeComparison(dir, { preset, runs, tables });
  console.log(comparisonMarkdown(tables));
  console.log(dim(`written to ${dir}: compare.json, compare.md, ${await reportAtEnd(dir)}`));
  return 0;
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

async function finished(dir: string, specs: readonly RunSpec[]): Promise<RunRecord[]> {
  const records: RunRecord[] = [];
  for (const spec of specs) {
    const record = await loadRun(dir, spec);
    if (record) records.push(record);
  }
  return records;
}

interface Tools {
  readonly output: ProgressOutput;
  readonly interrupt: Interrupt;
}

/** Makes the runs that are missing; `false` if it was interrupted. */
async function runAll(
  gpu: Gpu,
  dir: string,
  specs: readonly RunSpec[],
  tools: Tools,
): Promise<boolean> {
  const { output, interrupt } = tools;
  const made = await provenance(gpu);
  for (const [k, spec] of specs.entries()) {
    if (await loadRun(dir, spec)) continue;
    const warmDir = await warmStart(gpu, spec, tools);
    if (warmDir === undefined) return false;
    const record = await makeRun(gpu, spec, warmDir, { made, output, interrupt });
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
  { made, output, interrupt }: Tools & { made: Provenance },
): Promise<RunRecord | undefined> {
  const policy = await Policy.load(gpu, warmDir);
  const progress = new Progress(output, spec.id, spec.arm ? spec.cell.maxSteps : 0);
  try {
    return await runComparison(spec, {
      task: taskByName(spec.cell.task),
      policy,
      warmStart: await digestFile(join(warmDir, "model.safetensors")),
      provenance: made,
      afterStep: async ({ step, metrics }) => {
        progress.update(step, `reward ${metrics["reward/mean"]!.toFixed(3)}`);
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
  const task = taskByName(cell.task);
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
