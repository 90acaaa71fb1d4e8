/**
 * `eval`: scores a checkpoint on a task's held-out problems.
 *
 * @module
 */

import { Policy } from "../model/policy.ts";
import { evaluate, type Evaluation } from "../rl/evaluation.ts";
import type { Task } from "../rl/task.ts";
import { NUMBER_RULES } from "../rl/train_options.ts";
import { evaluationMetrics } from "../run/run_directory.ts";
import { taskNames } from "../tasks/mod.ts";
import { choiceFlag, numberFlag, parseFlags, switchFlag } from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint } from "./checkpoint.ts";
import { type EvaluationFigures, evaluationTable } from "./evaluation_table.ts";
import { withGpu } from "./gpu.ts";
import { type CommandHelp, printHelp } from "./help.ts";
import { bold, dim } from "./style.ts";

const FLAGS = {
  checkpoint: CHECKPOINT_FLAG,
  task: choiceFlag(taskNames, "What to ask.", "the checkpoint's"),
  numGenerations: numberFlag(NUMBER_RULES.numGenerations!, "Samples per prompt N.", 8),
  evalPrompts: numberFlag(NUMBER_RULES.evalPrompts!, "Held-out prompts.", 128),
  temperature: numberFlag(NUMBER_RULES.temperature!, "Softmax temperature of the samples.", 1),
  maxCompletionLength: numberFlag(
    NUMBER_RULES.maxCompletionLength!,
    "The most tokens of a response.",
    "the task's",
  ),
  seed: numberFlag(NUMBER_RULES.seed!, "Seed of prompts and sampling.", 42),
  json: switchFlag("Print one JSON object."),
  verbose: switchFlag("Print where in the code an error arose."),
};

const HELP: CommandHelp = {
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

/** Sequences sampled at a time, unless one prompt has more. */
const WAVE = 512;

/** How to {@linkcode measure}. */
export interface MeasureOptions {
  /** Prompts. */
  readonly prompts: number;
  /** Seed of prompts and sampling. */
  readonly seed: number;
  /** Samples per prompt. Default 8. */
  readonly numGenerations?: number | undefined;
  /** Softmax temperature. Default 1. */
  readonly temperature?: number | undefined;
  /** The most tokens of a response. Default: the task's. */
  readonly maxCompletionLength?: number | undefined;
}

/** Evaluates a policy; the same options give what `train` reports of it. */
export async function measure(
  policy: Policy,
  task: Task,
  options: MeasureOptions,
): Promise<{ evaluation: Evaluation; figures: EvaluationFigures }> {
  const { prompts, seed, numGenerations = 8, temperature = 1 } = options;
  const { maxCompletionLength = task.maxCompletionLength } = options;
  const promptsAtOnce = Math.min(prompts, Math.max(1, Math.floor(WAVE / numGenerations)));
  const generator = await policy.generator({
    promptTokens: promptsAtOnce * task.maxPromptLength,
    sequences: promptsAtOnce * numGenerations,
    completionLength: maxCompletionLength,
  });
  const evaluation = await evaluate(generator, task, {
    prompts,
    numGenerations,
    maxCompletionLength,
    temperature,
    seed,
  });
  return { evaluation, figures: evaluationMetrics(task, evaluation) };
}

/**
 * The command.
 *
 * @returns Its exit code.
 */
export async function evalCommand(args: readonly string[]): Promise<number> {
  const { values, help } = parseFlags(FLAGS, args);
  if (help) return printHelp(HELP);
  const { dir, task } = await findCheckpoint(values.checkpoint, values.task);
  const { numGenerations, temperature, maxCompletionLength } = values;
  const { evalPrompts: prompts = 128, seed = 42 } = values;
  return await withGpu(async (gpu) => {
    const policy = await Policy.load(gpu, dir);
    const { evaluation, figures } = await measure(policy, task, {
      prompts,
      seed,
      numGenerations,
      temperature,
      maxCompletionLength,
    });
    policy.destroy();
    if (values.json) {
      console.log(JSON.stringify({ checkpoint: dir, task: task.name, seed, ...evaluation }));
      return 0;
    }
    console.log([
      bold(`${task.name}: ${dir}`),
      ...evaluationTable(task, [{ title: "", figures }], evaluation.numGenerations),
      dim(`on ${prompts} prompts that training never sees, seed ${seed}`),
    ].join("\n"));
    return 0;
  });
}
