/**
 * `warm-start`: supervised learning of a task's demonstrations, kept for the runs that begin there.
 *
 * @module
 */

import { countParameters } from "../model/config.ts";
import { evaluate } from "../rl/evaluation.ts";
import { evaluationMetrics } from "../rl/evaluation_metrics.ts";
import type { FlagValues } from "./args.ts";
import { weightsIn } from "./checkpoint.ts";
import { evaluationTable } from "./evaluation_table.ts";
import { DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { findTask } from "./find_task.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { type Command, command } from "./command.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { MEMORY_BUDGET_FLAG } from "./memory_flag.ts";
import { newPolicyConfig } from "./policy_size.ts";
import { evaluating, standardError } from "./progress.ts";
import { dim, duration, short } from "./style.ts";
import { POLICY_FLAG, RUN_FLAGS, SIZE_FLAGS, WARM_START_FLAGS } from "./train_flags.ts";
import { fineTuneRecipe, warmStartRecipe } from "./policy_source.ts";
import { warmPolicy, warmStartDirectory, withinBudget } from "./warm_policy.ts";

const { task, seed, out, quiet, verbose } = RUN_FLAGS;
const FLAGS = {
  task,
  seed,
  out: { ...out, help: "Folder to keep it in.", default: "runs/warm-start/<settings>" },
  ...DEVICE_FLAGS,
  quiet,
  verbose,
  ...DATASET_FLAGS,
  memoryBudget: {
    ...MEMORY_BUDGET_FLAG,
    help:
      "The most GPU memory to take, the evaluation aside: passes become smaller, then activations are computed again.",
  },
  policy: { ...POLICY_FLAG, help: "Hugging Face folder to fit further." },
  ...WARM_START_FLAGS,
  ...SIZE_FLAGS,
};

/** `warm-start`. */
export const WARM_START: Command = command({
  name: "warm-start",
  brief: "Fit a new policy to a task's demonstrations",
  about: "Fits a new policy, or one that exists (--policy), to a task's demonstrations and keeps " +
    "it. `train` with the same settings begins there; the same settings and adapter give the same " +
    "bytes.",
  sections: [
    { title: "Warm start", flags: { task, seed, ...WARM_START_FLAGS, out: FLAGS.out } },
    { title: "Prompts of a file", flags: DATASET_FLAGS },
    { title: "Policy", flags: { policy: FLAGS.policy, ...SIZE_FLAGS } },
    {
      title: "Run",
      flags: { memoryBudget: FLAGS.memoryBudget, ...DEVICE_FLAGS, quiet, verbose },
    },
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const folder = values.policy && await weightsIn(values.policy);
  const task = await findTask(namesOf(values), folder);
  const seed = values.seed ?? FLAGS.seed.default as number;
  const wanted = folder === undefined
    ? warmStartRecipe(values, task, newPolicyConfig(task, values), seed)
    : await fineTuneRecipe(values, task, folder, seed);
  const output = standardError(values.quiet);
  using interrupt = Interrupt.said(output, "after this step");
  return await withGpu(async (gpu) => {
    if (!output.quiet) {
      console.log(
        `fitting ${
          folder === undefined
            ? `a policy of ${short(countParameters(wanted.policy))} parameters`
            : `the policy of ${folder}`
        } to demonstrations of ${task.name}, on ${gpu.adapter.description}`,
      );
    }
    const { recipe, line } = await withinBudget(gpu, wanted, values.memoryBudget);
    if (line && !output.quiet) console.log(dim(line));
    const dir = values.out ?? warmStartDirectory(recipe);
    const warm = await warmPolicy(gpu, recipe, { output, interrupt }, dir);
    if (warm === undefined) {
      output.write("the warm start is not finished: nothing is kept of it\n");
      return INTERRUPTED;
    }
    const evaluation = await evaluating(
      output,
      (onProgress) => evaluate(warm.policy, task, { seed, onProgress }),
    );
    const figures = evaluationMetrics(task, evaluation);
    warm.policy.destroy();
    console.log(
      [
        warm.cached ? `${dir} was there already` : `${dir} made in ${duration(warm.seconds)}`,
        ...evaluationTable(task, [{ title: "", figures }], evaluation.numGenerations),
      ].join("\n"),
    );
    return 0;
  }, values);
}
