/**
 * `eval`: scores a checkpoint on a task's held-out problems.
 *
 * @module
 */

import { Policy } from "../model/policy.ts";
import { evaluate } from "../rl/evaluation.ts";
import { describeHeldOut, promptsAsked, seenInTraining } from "../rl/seen_in_training.ts";
import { evaluationMetrics } from "../rl/evaluation_metrics.ts";
import { describeTruncation, truncationOf } from "../model/truncation.ts";
import { SETTINGS } from "../rl/settings.ts";
import { TRUNCATION_FLAGS } from "./sampling_flags.ts";
import { type FlagValues, numberFlag, switchFlag } from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint, settingsOf } from "./checkpoint.ts";
import { DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { evaluationIntervals, evaluationTable } from "./evaluation_table.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { STORAGE_FLAGS } from "./train_flags.ts";
import { GpuProfile, PROFILE_FLAG } from "./gpu_profile.ts";
import { type Command, command } from "./command.ts";
import type { TrainerState } from "../run/trainer_state.ts";
import type { Task } from "../task/task.ts";
import { evaluating, standardError } from "./progress.ts";
import { bold, dim } from "./style.ts";
import { storageOf } from "../model/policy_storage.ts";

const FLAGS = {
  checkpoint: CHECKPOINT_FLAG,
  task: taskFlag("What to ask.", "the checkpoint's"),
  ...DATASET_FLAGS,
  numGenerations: numberFlag(SETTINGS.numGenerations, "Samples per prompt N.", "the run's, 8"),
  evalPrompts: numberFlag(
    SETTINGS.evalPrompts,
    "Held-out prompts, as far as there are so many.",
    "the run's, 128",
  ),
  temperature: numberFlag(
    SETTINGS.temperature,
    "Softmax temperature of the samples.",
    "the run's, 1",
  ),
  ...TRUNCATION_FLAGS,
  maxCompletionLength: numberFlag(
    SETTINGS.maxCompletionLength,
    "The most tokens of a response.",
    "the run's, the task's",
  ),
  seed: numberFlag(SETTINGS.seed, "Seed of prompts and sampling.", "the run's, 42"),
  dtype: { ...STORAGE_FLAGS.dtype, default: "the run's, f32" },
  cacheDtype: { ...STORAGE_FLAGS.cacheDtype, default: "the run's" },
  json: switchFlag("Print one JSON object."),
  profile: PROFILE_FLAG,
  ...DEVICE_FLAGS,
  verbose: switchFlag("Print where in the code an error arose."),
};

/** `eval`. */
export const EVAL: Command = command({
  name: "eval",
  brief: "Score a checkpoint on a task",
  about:
    "Scores a checkpoint on held-out problems, as its run did unless flags say otherwise: the mean reward of N samples " +
    "per prompt, the share of prompts that any of them solves, and the reward of greedy decoding, " +
    "which can mislead where a policy searches.",
  examples: [
    ["deno task eval runs/parity-1 --num-generations 32", "more samples"],
    ["deno task eval some/hugging-face-folder --task parity --json", "for a script"],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const found = await findCheckpoint(values.checkpoint, namesOf(values));
  const { dir, task, state } = found;
  const { numGenerationsEval, ...recorded } = settingsOf(found);
  const settings = { ...recorded, ...values };
  const { evalPrompts, temperature, maxCompletionLength, seed } = settings;
  const storage = storageOf(settings);
  const { dtype } = storage;
  const truncation = truncationOf(settings);
  const { numGenerations = numGenerationsEval } = values;
  return await withGpu(async (gpu) => {
    using profile = values.profile ? new GpuProfile(gpu) : undefined;
    const policy = await Policy.load(gpu, dir, { ...storage, trainable: false });
    profile?.begin();
    const evaluation = await evaluating(
      standardError(values.json),
      (onProgress) =>
        evaluate(policy, task, {
          prompts: evalPrompts,
          numGenerations,
          temperature,
          ...truncation,
          maxCompletionLength,
          seed,
          onProgress,
        }),
    );
    policy.destroy();
    await profile?.collect();
    if (profile) console.error(profile.format());
    const figures = evaluationMetrics(task, evaluation);
    if (values.json) {
      const { kernels } = gpu;
      const tuned = Object.keys(kernels).length > 0 ? { kernels } : {};
      console.log(
        JSON.stringify({
          checkpoint: dir,
          task: task.name,
          seed,
          temperature,
          ...truncation,
          maxCompletionLength,
          dtype,
          ...tuned,
          ...evaluation,
          intervals: evaluationIntervals(task, figures, evaluation.numGenerations),
        }),
      );
      return 0;
    }
    console.log([
      bold(`${task.name}: ${dir}`),
      ...evaluationTable(task, [{ title: "", figures }], evaluation.numGenerations),
      dim(
        `${describeHeldOut(evaluation.prompts, task, seenBy(state, task, seed, evalPrompts))}, ` +
          `seed ${seed}, temperature ${temperature}${
            describeTruncation(truncation)
          }, at most ${maxCompletionLength} tokens` +
          (dtype === "f32" ? "" : `, stored in ${dtype}`),
      ),
    ].join("\n"));
    return 0;
  }, values);
}

/** Problems of the evaluation that the checkpoint's run has asked; `undefined` where there is no run to ask. */
function seenBy(
  state: TrainerState | undefined,
  task: Task,
  seed: number,
  evalPrompts: number,
): number | undefined {
  if (state === undefined) return undefined;
  return seenInTraining(task, {
    seed,
    trainSeed: state.options.seed,
    evalPrompts,
    trainPrompts: promptsAsked(state.options, state.completedSteps),
  });
}
