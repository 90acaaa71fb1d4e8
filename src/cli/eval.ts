/**
 * `eval`: scores a checkpoint on a task's held-out problems.
 *
 * @module
 */

import { Policy } from "../model/policy.ts";
import { evaluate } from "../rl/evaluation.ts";
import { NUMBER_RULES } from "../rl/train_options.ts";
import { evaluationMetrics } from "../run/run_directory.ts";
import { numberFlag, parseFlags, switchFlag } from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint } from "./checkpoint.ts";
import { DATA_FLAG, taskFlag } from "./find_task.ts";
import { evaluationTable } from "./evaluation_table.ts";
import { TUNED_FLAG, withGpu } from "./gpu.ts";
import { DTYPE_FLAG } from "./train_flags.ts";
import { GpuProfile, PROFILE_FLAG } from "./gpu_profile.ts";
import { type CommandHelp, printHelp } from "./help.ts";
import { bold, dim } from "./style.ts";

const FLAGS = {
  checkpoint: CHECKPOINT_FLAG,
  task: taskFlag("What to ask.", "the checkpoint's"),
  data: DATA_FLAG,
  numGenerations: numberFlag(NUMBER_RULES.numGenerations!, "Samples per prompt N.", 8),
  evalPrompts: numberFlag(NUMBER_RULES.evalPrompts!, "Held-out prompts.", 128),
  temperature: numberFlag(NUMBER_RULES.temperature!, "Softmax temperature of the samples.", 1),
  maxCompletionLength: numberFlag(
    NUMBER_RULES.maxCompletionLength!,
    "The most tokens of a response.",
    "the task's",
  ),
  seed: numberFlag(NUMBER_RULES.seed!, "Seed of prompts and sampling.", 42),
  dtype: DTYPE_FLAG,
  json: switchFlag("Print one JSON object."),
  profile: PROFILE_FLAG,
  tuned: TUNED_FLAG,
  verbose: switchFlag("Print where in the code an error arose."),
};

/** What `--help` says. */
export const HELP: CommandHelp = {
  usage: "deno task eval [flags]",
  about: "Scores a checkpoint on problems that training never sees: the mean reward of N samples " +
    "per prompt, the share of prompts that any of them solves, and the reward of greedy decoding, " +
    "which can mislead where a policy searches.",
  sections: [{ title: "Flags", flags: FLAGS }],
  examples: [
    ["deno task eval --checkpoint runs/parity-1 --num-generations 32", "more samples"],
    ["deno task eval --checkpoint some/hugging-face-folder --task parity --json", "for a script"],
  ],
};

/**
 * The command.
 *
 * @returns Its exit code.
 */
export async function evalCommand(args: readonly string[]): Promise<number> {
  const { values, help } = parseFlags(FLAGS, args);
  if (help) return printHelp(HELP);
  const { dir, task } = await findCheckpoint(values.checkpoint, values.task, values.data);
  const { numGenerations, temperature, maxCompletionLength } = values;
  const { evalPrompts: prompts = 128, seed = 42, dtype = "f32" } = values;
  return await withGpu(async (gpu) => {
    using profile = values.profile ? new GpuProfile(gpu) : undefined;
    const policy = await Policy.load(gpu, dir, { dtype, trainable: false });
    profile?.begin();
    const evaluation = await evaluate(policy, task, {
      prompts,
      numGenerations,
      temperature,
      maxCompletionLength,
      seed,
    });
    policy.destroy();
    await profile?.collect();
    if (profile) console.error(profile.format());
    if (values.json) {
      const { kernels } = gpu;
      const tuned = Object.keys(kernels).length > 0 ? { kernels } : {};
      console.log(
        JSON.stringify({ checkpoint: dir, task: task.name, seed, dtype, ...tuned, ...evaluation }),
      );
      return 0;
    }
    console.log([
      bold(`${task.name}: ${dir}`),
      ...evaluationTable(
        task,
        [{ title: "", figures: evaluationMetrics(task, evaluation) }],
        evaluation.numGenerations,
      ),
      dim(
        `on ${prompts} prompts that training never sees, seed ${seed}` +
          (dtype === "f32" ? "" : `, stored in ${dtype}`),
      ),
    ].join("\n"));
    return 0;
  }, values);
}
