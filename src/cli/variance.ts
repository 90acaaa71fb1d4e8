/**
 * `variance`: how noisy each aggregation rule's gradient is, on one policy.
 *
 * @module
 */

import { join } from "node:path";
import { sampleGradients } from "../lab/gradient_pool.ts";
import { provenance } from "../lab/provenance.ts";
import { varianceStudy } from "../lab/variance_study.ts";
import { varianceMarkdown, writeVariance } from "../lab/variance_text.ts";
import { countParameters } from "../model/config.ts";
import { SETTINGS } from "../rl/settings.ts";
import { type FlagValues, numberFlag, switchFlag, textFlag, UsageError } from "./args.ts";
import { CHECKPOINT_FLAG } from "./checkpoint.ts";
import { DATASET_FLAGS } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { type Command, command } from "./command.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { policyToStudy } from "./policy_to_study.ts";
import { Progress, standardError } from "./progress.ts";
import { reportAtEnd } from "./report.ts";
import { byteSize, dim } from "./style.ts";
import { SIZE_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";
import { RUNS } from "./runs.ts";

const STUDY_FLAGS = {
  task: taskFlag("What to ask.", "countdown, or the checkpoint's"),
  ...DATASET_FLAGS,
  checkpoint: { ...CHECKPOINT_FLAG, default: "the task's warm start" },
  prompts: numberFlag({ min: 4, max: 1e5, integer: true }, "Different prompts.", 128),
  numGenerations: numberFlag(SETTINGS.numGenerations, "Responses per prompt.", 16),
  batchPrompts: numberFlag(
    { min: 1, max: 1e5, integer: true },
    "Prompts of a batch whose estimate is measured.",
    16,
  ),
  maxCompletionLength: numberFlag(
    SETTINGS.maxCompletionLength,
    "The most tokens of a response, and the constant M.",
    "the task's",
  ),
  temperature: numberFlag(SETTINGS.temperature, "Softmax temperature.", 1),
  bins: numberFlag({ min: 2, max: 100, integer: true }, "Length bins.", 10),
  halves: numberFlag(
    { min: 20, max: 1e4, integer: true },
    "Random halves of the prompts that the intervals come from.",
    200,
  ),
  seed: numberFlag(SETTINGS.seed, "Seed of prompts and sampling.", 42),
  out: textFlag("dir", "Folder of the results.", "runs/variance-<task>"),
  ...DEVICE_FLAGS,
  quiet: switchFlag("Print no progress, only the tables."),
  verbose: switchFlag("Print where in the code an error arose."),
};

const FLAGS = { ...STUDY_FLAGS, ...WARM_START_FLAGS, ...SIZE_FLAGS };

/** Gradients are kept in memory; more than this is refused. */
const MOST_BYTES = 12 * 2 ** 30;

/** `variance`. */
export const VARIANCE: Command = command({
  name: "variance",
  brief: "Measure how biased and noisy each aggregation rule's gradient is",
  about: "Samples responses of one policy, differentiates each by itself, and measures what the " +
    "paper assumes and claims: whether the variance of a response's gradient grows with its " +
    "length, and how biased and noisy each aggregation rule's estimate is.",
  sections: [
    { title: "Flags", flags: STUDY_FLAGS },
    {
      title: "Warm start, where no checkpoint is given",
      flags: { ...WARM_START_FLAGS, ...SIZE_FLAGS },
    },
  ],
  examples: [
    ["deno task variance", "countdown, whose responses differ most in length"],
    ["deno task variance runs/countdown-1", "after training"],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const { prompts = 128, numGenerations = 16, batchPrompts = 16, seed = 42 } = values;
  if (prompts < 4 * batchPrompts) {
    throw new UsageError(
      `--prompts is ${prompts}: give at least four times --batch-prompts, ${4 * batchPrompts}`,
    );
  }
  const output = standardError(values.quiet);
  using interrupt = Interrupt.said(output);
  return await withGpu(async (gpu) => {
    const found = await policyToStudy(gpu, values, { output, interrupt }, "countdown");
    if (found === undefined) return INTERRUPTED;
    const { policy, task, checkpoint } = found;
    const maxCompletionLength = values.maxCompletionLength ?? task.maxCompletionLength;
    const bytes = 4 * countParameters(policy.config) * prompts * numGenerations;
    if (bytes > MOST_BYTES) {
      throw new UsageError(
        `the gradients of ${prompts} × ${numGenerations} responses take ${byteSize(bytes)}, ` +
          `more than ${byteSize(MOST_BYTES)}: lower --prompts or --num-generations`,
      );
    }
    const follow = (label: string) => {
      const progress = { bar: undefined as Progress | undefined };
      return async (done: number, total: number) => {
        progress.bar ??= new Progress(output, label, total);
        progress.bar.update(done, "");
        if (done === total) progress.bar.clear();
        return await interrupt.requested();
      };
    };
    const pool = await sampleGradients(policy, task, {
      prompts,
      numGenerations,
      maxCompletionLength,
      temperature: values.temperature ?? 1,
      seed,
      onProgress: follow("gradients"),
    });
    const study = pool && await varianceStudy(policy, pool, {
      batchPrompts,
      lossScaleFactor: maxCompletionLength,
      bins: values.bins ?? 10,
      halves: values.halves ?? 200,
      seed,
      onProgress: follow("products"),
    });
    policy.destroy();
    if (!study) return INTERRUPTED;
    const report = { task: task.name, checkpoint, seed, study, provenance: await provenance(gpu) };
    const dir = values.out ?? join(RUNS, `variance-${task.name}`);
    await writeVariance(dir, report);
    console.log(varianceMarkdown(report));
    console.log(dim(`written to ${dir}: variance.json, variance.md, ${await reportAtEnd(dir)}`));
    return 0;
  }, values);
}
