/**
 * `sample`: prints prompts, what a checkpoint answers, and the rewards.
 *
 * @module
 */

import type { FinishedSequence } from "../model/generate.ts";
import { Policy } from "../model/policy.ts";
import { judge } from "../task/judge.ts";
import { drawProblem } from "../task/problems.ts";
import { eosTokenIdsOf, type Problem, type Task } from "../task/task.ts";
import type { GenerateOptions } from "../model/generate_request.ts";
import { truncationOf } from "../model/truncation.ts";
import { SETTINGS } from "../rl/settings.ts";
import { TRUNCATION_FLAGS } from "./sampling_flags.ts";
import { type FlagValues, numberFlag, switchFlag, textFlag, UsageError } from "./args.ts";
import { CHECKPOINT_FLAG, findCheckpoint, settingsOf } from "./checkpoint.ts";
import { DATASET_FLAGS, namesOf } from "./dataset_flags.ts";
import { taskFlag } from "./find_task.ts";
import { DEVICE_FLAGS, withGpu } from "./gpu.ts";
import { type Command, command } from "./command.ts";
import { encodePrompt } from "./prompt_text.ts";
import { bold, dim } from "./style.ts";
import { STORAGE_FLAGS } from "./train_flags.ts";
import { storageOf } from "../model/policy_storage.ts";

/** Stands for the prompts that come from standard input. */
const STANDARD_INPUT = "-";

const FLAGS = {
  checkpoint: CHECKPOINT_FLAG,
  task: taskFlag("What to ask.", "the checkpoint's"),
  ...DATASET_FLAGS,
  prompt: textFlag(
    "text|-",
    "A prompt in the task's symbols instead of held-out problems; - for one on each line of input.",
  ),
  index: numberFlag({ min: 0, max: 2 ** 31, integer: true }, "First held-out problem.", 0),
  count: numberFlag({ min: 1, max: 1000, integer: true }, "Number of problems.", 4),
  numGenerations: numberFlag(SETTINGS.numGenerations, "Answers to each prompt.", 2),
  temperature: numberFlag(
    { min: 0, max: SETTINGS.temperature.max, integer: false },
    "Softmax temperature; 0 is greedy.",
    "the run's, 1",
  ),
  ...TRUNCATION_FLAGS,
  maxCompletionLength: numberFlag(
    SETTINGS.maxCompletionLength,
    "The most tokens of an answer.",
    "the run's, the task's",
  ),
  seed: numberFlag(SETTINGS.seed, "Seed of problems and sampling.", "the run's, 42"),
  dtype: { ...STORAGE_FLAGS.dtype, default: "the run's, f32" },
  cacheDtype: { ...STORAGE_FLAGS.cacheDtype, default: "the run's" },
  ...DEVICE_FLAGS,
  verbose: switchFlag("Print where in the code an error arose."),
};

/** What answering needs. */
interface Session extends Omit<GenerateOptions, "signal"> {
  readonly policy: Policy;
  readonly task: Task;
  readonly numGenerations: number;
  readonly seed: number;
}

/** `sample`. */
export const SAMPLE: Command = command({
  name: "sample",
  brief: "Print what a checkpoint answers",
  about:
    "Prints what a checkpoint answers, each answer as soon as it is finished, with its reward. " +
    "In a terminal, without --prompt, --index and --count, it asks for prompts.",
  examples: [
    ["deno task sample runs/parity-1 --count 8 --temperature 0", "greedy answers"],
    ['deno task sample runs/countdown-1 --prompt "2 5 6 16 :"', "a prompt of yours"],
    ["deno task sample runs/parity-1 --prompt - < prompts.txt", "prompts of a file"],
  ],
  flags: FLAGS,
  run,
});

async function run(values: FlagValues<typeof FLAGS>): Promise<number> {
  const chosen = (values.index ?? values.count) !== undefined;
  if (values.prompt !== undefined && chosen) {
    throw new UsageError("--prompt does not go with --index and --count: it is the one prompt");
  }
  const found = await findCheckpoint(values.checkpoint, namesOf(values));
  const { dir, task } = found;
  const settings = { ...settingsOf(found), ...values };
  const { temperature, maxCompletionLength, seed } = settings;
  const { numGenerations = 2, index = 0, count = 4 } = values;
  const heldOutCount = task.promptCounts?.eval ?? Infinity;
  if (index >= heldOutCount) {
    throw new UsageError(
      `--index is ${index}: ${task.name} has ${heldOutCount} held-out problems, from 0 on`,
    );
  }
  // What cannot be asked is found out before anything is loaded.
  const given = values.prompt === undefined || values.prompt === STANDARD_INPUT
    ? undefined
    : [{ promptIds: encodePrompt(task, values.prompt) }];
  return await withGpu(async (gpu) => {
    const policy = await Policy.load(gpu, dir, { ...storageOf(settings), trainable: false });
    const session = {
      policy,
      task,
      numGenerations,
      maxCompletionLength,
      temperature,
      ...truncationOf(settings),
      seed,
    };
    try {
      if (given) {
        await answer(session, given, 0);
      } else if (values.prompt === STANDARD_INPUT) {
        let line = 0;
        for await (const text of linesOf(Deno.stdin.readable)) {
          await answer(session, [{ promptIds: encodePrompt(task, text) }], line++);
        }
      } else if (!chosen && Deno.stdin.isTerminal() && Deno.stdout.isTerminal()) {
        await converse(session);
      } else {
        const asked = Array.from(
          { length: Math.min(count, heldOutCount - index) },
          (_, i) => heldOut(session, index + i),
        );
        await answer(session, asked, 0);
      }
      return 0;
    } finally {
      policy.destroy();
    }
  }, values);
}

/** A prompt, with the problem behind it where there is one. */
interface Asked {
  readonly promptIds: readonly number[];
  readonly problem?: Problem;
}

function heldOut({ task, seed }: Session, index: number): Asked {
  const problem = drawProblem(task, "eval", seed, index);
  return { promptIds: problem.promptIds, problem };
}

/**
 * Prints prompts and their answers, in order, each as soon as it and those before it are finished.
 *
 * @param first Number of the first prompt; with the seed it decides what is sampled.
 */
async function answer(session: Session, asked: readonly Asked[], first: number): Promise<void> {
  const { policy, task, numGenerations, ...options } = session;
  const finished = new Map<number, FinishedSequence>();
  let next = 0;
  const prompts = asked.map(({ promptIds }) => promptIds);
  const sequences = policy.stream(prompts, {
    ...options,
    numGenerations,
    firstSampleId: first * numGenerations,
    eosTokenIds: eosTokenIdsOf(task),
  });
  console.log(bold(task.describe(prompts[0]!)));
  for await (const sequence of sequences) {
    finished.set(sequence.index, sequence);
    for (let ready; (ready = finished.get(next)); next++) {
      const p = Math.floor(next / numGenerations);
      if (p > 0 && next % numGenerations === 0) console.log(bold(task.describe(prompts[p]!)));
      console.log(await answerLine(task, asked[p]!, ready));
    }
  }
}

async function answerLine(
  task: Task,
  { problem }: Asked,
  { completion, truncated }: FinishedSequence,
): Promise<string> {
  const judged = problem && { problem, completionIds: completion, where: "the problem" };
  const judgements = judged ? await judge(task, [judged]) : [];
  const reward = judgements.map(({ reward }) => reward?.toFixed(2) ?? "–").join();
  const cut = truncated ? dim("  (cut off by the limit)") : "";
  return `  ${reward.padEnd(6)}${task.describe(completion)}${cut}`;
}

/** Asks for prompts until there are no more. */
async function converse(session: Session): Promise<void> {
  console.log(dim("a prompt, or nothing for a held-out problem; Ctrl-D ends"));
  for (let asked = 0;; asked++) {
    const text = prompt(">");
    if (text === null) return;
    try {
      const one = text.trim() === ""
        ? heldOut(session, asked)
        : { promptIds: encodePrompt(session.task, text) };
      await answer(session, [one], asked);
    } catch (error) {
      // A slip of the keyboard should not end the conversation.
      if (!(error instanceof RangeError || error instanceof UsageError)) throw error;
      console.log(error.message);
    }
  }
}

/** The lines of a stream that are not blank. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream() as TransformStream)) {
    const lines = (rest + piece).split(/\r?\n/);
    rest = lines.pop()!;
    yield* lines.filter((line) => line.trim() !== "");
  }
  if (rest.trim() !== "") yield rest;
}
