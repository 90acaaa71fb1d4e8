/**
 * `sample`: prints prompts, what a checkpoint answers, and the rewards.
 *
 * @module
 */

import { Policy } from "../model/policy.ts";
import { judge } from "../rl/judge.ts";
import { drawProblem } from "../rl/problems.ts";
import type { Problem, Task } from "../rl/task.ts";
import { NUMBER_RULES } from "../rl/train_options.ts";
import {
  type FlagValues,
  numberFlag,
  parseFlags,
  switchFlag,
  textFlag,
  UsageError,
} from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint } from "./checkpoint.ts";
import { DATA_FLAG, taskFlag } from "./find_task.ts";
import { withGpu } from "./gpu.ts";
import { type CommandHelp, printHelp } from "./help.ts";
import { encodePrompt } from "./prompt_text.ts";
import { bold, dim } from "./style.ts";

const FLAGS = {
  checkpoint: CHECKPOINT_FLAG,
  task: taskFlag("What to ask.", "the checkpoint's"),
  data: DATA_FLAG,
  prompt: textFlag("text", "A prompt in the task's symbols, instead of held-out problems."),
  index: numberFlag({ min: 0, max: 2 ** 31, integer: true }, "First held-out problem.", 0),
  count: numberFlag({ min: 1, max: 1000, integer: true }, "Number of problems.", 4),
  numGenerations: numberFlag(NUMBER_RULES.numGenerations!, "Answers to each prompt.", 2),
  temperature: numberFlag(
    { min: 0, max: NUMBER_RULES.temperature!.max, integer: false },
    "Softmax temperature; 0 is greedy.",
    1,
  ),
  maxCompletionLength: numberFlag(
    NUMBER_RULES.maxCompletionLength!,
    "The most tokens of an answer.",
    "the task's",
  ),
  seed: numberFlag(NUMBER_RULES.seed!, "Seed of problems and sampling.", 42),
  verbose: switchFlag("Print where in the code an error arose."),
};

/** What `--help` says. */
export const HELP: CommandHelp = {
  usage: "deno task sample [flags]",
  about: "Prints what a checkpoint answers, with the reward of each answer.",
  sections: [{ title: "Flags", flags: FLAGS }],
  examples: [
    ["deno task sample --checkpoint runs/parity-1 --count 8 --temperature 0", "greedy answers"],
    ['deno task sample --checkpoint runs/countdown-1 --prompt "2 5 6 16 :"', "a prompt of yours"],
  ],
};

/**
 * The command.
 *
 * @returns Its exit code.
 */
export async function sample(args: readonly string[]): Promise<number> {
  const { values, help } = parseFlags(FLAGS, args);
  if (help) return printHelp(HELP);
  if (values.prompt !== undefined && (values.index ?? values.count) !== undefined) {
    throw new UsageError("--prompt does not go with --index and --count: it is the one prompt");
  }
  const { dir, task } = await findCheckpoint(values.checkpoint, values.task, values.data);
  const asked = prompts(task, values);
  const { numGenerations = 2, temperature = 1, seed = 42 } = values;
  const { maxCompletionLength = task.maxCompletionLength } = values;
  return await withGpu(async (gpu) => {
    const policy = await Policy.load(gpu, dir);
    const { completions, truncated } = await policy.generate(
      asked.map(({ promptIds }) => promptIds),
      { numGenerations, maxCompletionLength, temperature, seed, eosTokenIds: [task.eosTokenId] },
    );
    policy.destroy();
    for (const [p, { promptIds, problem }] of asked.entries()) {
      console.log(bold(task.describe(promptIds)));
      for (let b = p * numGenerations; b < (p + 1) * numGenerations; b++) {
        const completion = completions[b]!;
        const judged = problem && { problem, completionIds: completion, where: `prompt ${p}` };
        const reward = judged ? (await judge(task, [judged]))[0]!.reward.toFixed(2) : "";
        const cut = truncated[b] ? dim("  (cut off by the limit)") : "";
        console.log(`  ${reward.padEnd(6)}${task.describe(completion)}${cut}`);
      }
    }
    return 0;
  });
}

/** A prompt, with the problem behind it where there is one. */
interface Asked {
  readonly promptIds: readonly number[];
  readonly problem?: Problem;
}

function prompts(task: Task, values: FlagValues<typeof FLAGS>): Asked[] {
  if (values.prompt !== undefined) return [{ promptIds: encodePrompt(task, values.prompt) }];
  const { index = 0, count = 4, seed = 42 } = values;
  return Array.from({ length: count }, (_, i) => {
    const problem = drawProblem(task, "eval", seed, index + i);
    return { promptIds: problem.promptIds, problem };
  });
}
