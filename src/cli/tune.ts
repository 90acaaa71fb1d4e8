/**
 * `tune`: measures which kernels are the fastest on this device and keeps the answer.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { tunableOperations } from "../lab/tunable_operations.ts";
import { type TunedOperation, tuneOperation } from "../lab/kernel_tuning.ts";
import type { PolicyConfig } from "../model/config.ts";
import { operationName } from "../ops/choices.ts";
import { loadCheckpoint } from "../model/hf_checkpoint.ts";
import type { Task } from "../task/task.ts";
import { resolveTrainOptions } from "../rl/resolve_options.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import { writeTuned } from "../run/tuned_kernels.ts";
import { type FlagValues, namingFlags, switchFlag } from "./args.ts";
import { weightsIn } from "./checkpoint.ts";
import { findTask } from "./find_task.ts";
import { TUNED, WEBGPU_FLAGS, withGpu } from "./gpu.ts";
import { DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { type Command, command } from "./command.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { newPolicyConfig } from "./policy_size.ts";
import { Progress, standardError } from "./progress.ts";
import { bold, count, dim } from "./style.ts";
import { OPTION_FLAGS, RUN_FLAGS, SIZE_FLAGS, STORAGE_FLAGS, TRAIN_FLAGS } from "./train_flags.ts";
import { storageOf } from "../model/policy_storage.ts";

const { task, quiet, verbose } = RUN_FLAGS;
const { policy } = TRAIN_FLAGS;
const { promptsPerStep, numGenerations, maxCompletionLength, maxTokensPerMicroBatch, beta } =
  OPTION_FLAGS;

const SETTING_FLAGS = {
  promptsPerStep,
  numGenerations,
  maxCompletionLength,
  maxTokensPerMicroBatch,
  beta,
};

const TUNE_FLAGS = {
  task: { ...task, help: "The task whose training is tuned for." },
  ...DATASET_FLAGS,
  policy: { ...policy, help: "Hugging Face folder of the policy, instead of the task's own size." },
  thorough: switchFlag("Take ten times as long, for smaller differences."),
  quiet: { ...quiet, help: "Print no progress and no table, only what changes." },
  ...WEBGPU_FLAGS,
  verbose,
};

const FLAGS = { ...TUNE_FLAGS, ...SETTING_FLAGS, ...STORAGE_FLAGS, ...SIZE_FLAGS };

const THOROUGH = { rounds: 60, turn: 0.02 };

/** `tune`. */
export const TUNE: Command = command({
  name: "tune",
  brief: "Measure which kernels are the fastest on this device",
  about: "Measures which kernels are the fastest on this device for everything that training a " +
    "policy runs, checks that they compute the same, and keeps them for train, eval, sample and " +
    "the others. A run goes on with the kernels it began with.",
  sections: [
    { title: "Flags", flags: TUNE_FLAGS },
    { title: "Settings, as train has them", flags: { ...SETTING_FLAGS, ...STORAGE_FLAGS } },
    { title: "Policy", flags: SIZE_FLAGS },
  ],
  examples: [
    ["deno task tune --task countdown", "for training on countdown"],
    ["deno task tune --task ./my_task.ts --policy models/SmolLM2-135M", "for a model of yours"],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const { task, options, config } = await subjectOf(values);
  const output = standardError(values.quiet);
  using interrupt = Interrupt.said(output, "after this operation");
  return await withGpu(async (gpu) => {
    const warmStart = task.demonstration ? task.defaults.warmStart : undefined;
    const operations = await namingFlags(
      FLAGS,
      () => tunableOperations(gpu, config, task, options, warmStart, storageOf(values)),
    );
    const { promptsPerStep, numGenerations, maxCompletionLength } = options;
    const workload = {
      promptLength: task.maxPromptLength,
      completionLength: maxCompletionLength,
      numGenerations,
      sequences: promptsPerStep * numGenerations,
    };
    if (!output.quiet) {
      console.log(
        `${count(operations.length, "operation")} with several kernels in training a policy of ` +
          `width ${config.hiddenSize} on ${task.name}, on ${gpu.adapter.description}`,
      );
    }
    const progress = new Progress(output, "tune", operations.length);
    const tuned: TunedOperation[] = [];
    const skipped: string[] = [];
    let interrupted = false;
    for (const [i, operation] of operations.entries()) {
      interrupted = await interrupt.requested();
      if (interrupted) break;
      try {
        const effort = values.thorough ? THOROUGH : {};
        tuned.push(await tuneOperation(gpu, operation, workload, effort));
      } catch (error) {
        // One that the device has no room for says nothing about the others.
        const message = error instanceof Error ? error.message : String(error);
        skipped.push(`${operationName(operation.key)} is not measured: ${message}`);
      }
      progress.update(i + 1, operationName(operation.key));
    }
    progress.clear();
    if (!output.quiet && tuned.length > 0) console.log(formatTuned(tuned).join("\n"));
    for (const line of skipped) console.error(line);
    await keep(gpu, tuned);
    return interrupted ? INTERRUPTED : 0;
  }, { ...values, tuned: false });
}

/** What is tuned for. */
interface Subject {
  readonly task: Task;
  readonly options: ResolvedTrainOptions;
  readonly config: PolicyConfig;
}

async function subjectOf(given: FlagValues<typeof FLAGS>): Promise<Subject> {
  const values = given.policy === undefined
    ? given
    : { ...given, policy: await weightsIn(given.policy) };
  const task = await findTask(namesOf(values), values.policy);
  const chosen = Object.fromEntries(
    Object.entries(values).filter(([name]) => Object.hasOwn(SETTING_FLAGS, name)),
  );
  return await namingFlags(FLAGS, async () => {
    const options = resolveTrainOptions(
      { ...task.defaults.rl, ...chosen },
      task.maxCompletionLength,
    );
    if (values.policy === undefined) {
      return { task, options, config: newPolicyConfig(task, values, options.maxCompletionLength) };
    }
    using checkpoint = await loadCheckpoint(values.policy);
    return { task, options, config: checkpoint.config };
  });
}

/** A line for each operation: its built-in kernel, and the others' times relative to it. */
function formatTuned(tuned: readonly TunedOperation[]): string[] {
  const rows = tuned.map(({ operation, candidates, best, ratios, refused }) => [
    operation,
    candidates[0]!,
    candidates.slice(1).map((name) => {
      if (name in refused) return `${name} refused`;
      const text = `${name} ${ratios[name]!.toFixed(2)}`;
      return name === best ? bold(text) : text;
    }).join("  "),
  ]);
  const titled = [["operation", "built-in", "others: time relative to the built-in one"], ...rows];
  const widths = [0, 1].map((i) => Math.max(...titled.map((row) => row[i]!.length)) + 2);
  const [title, ...lines] = titled.map(([operation, builtIn, others]) =>
    operation!.padEnd(widths[0]!) + builtIn!.padEnd(widths[1]!) + others
  );
  const reasons = tuned.flatMap(({ operation, refused }) =>
    Object.entries(refused).map(([name, why]) =>
      `${name} of ${operation} is refused: ${why.trim().split("\n")[0]}`
    )
  );
  return [dim(title!), ...lines, ...reasons];
}

/** Keeps what was measured, and says what that changes. */
async function keep(gpu: Gpu, tuned: readonly TunedOperation[]): Promise<void> {
  if (tuned.length === 0) {
    console.log("there is one kernel for everything on this device: nothing to tune");
    return;
  }
  const faster = tuned.filter(({ best, candidates }) => best !== candidates[0]);
  for (const { operation, candidates, best, ratios } of faster) {
    console.log(
      `${operation}: ${best} instead of ${candidates[0]}, ${(1 / ratios[best]!).toFixed(2)} × ` +
        "faster",
    );
  }
  const { path } = await writeTuned(
    TUNED,
    gpu,
    new Map(
      tuned.map(({ operation, best, candidates }) => [
        operation,
        best === candidates[0] ? undefined : best,
      ]),
    ),
  );
  const changes = faster.length === 0
    ? "no kernel is faster than the built-in one beyond doubt: nothing changes"
    : `${count(faster.length, "operation")} of ${tuned.length} get another kernel`;
  console.log(`${changes}; kept in ${path}, which commands read from now on`);
}
