/** Tasks that are nothing but a file of prompts and answers. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { parquetWriteBuffer } from "hyparquet-writer";
import { join } from "node:path";
import { datasetTask } from "../../src/cli/dataset_task.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { TINY } from "../helpers/bad_input.ts";
import type { CommandResult } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";

function succeeded(result: CommandResult): CommandResult {
  assertEquals(result.code, 0, `${result.stdout}\n${result.stderr}`);
  return result;
}

const write = (path: string, rows: readonly unknown[]) =>
  Deno.writeTextFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));

const SUMS = Array.from({ length: 16 }, (_, i) => ({
  question: `${i}+1=`,
  answer: i + 1,
  demonstration: String(i + 1),
}));

const WITHOUT_SIZES = TINY.filter((flag) => !/hidden|heads|warm|quiet/.test(flag));

test.inDir("a file of prompts and answers is a task, for a policy from nothing", async (dir) => {
  await write(join(dir, "my sums.jsonl"), SUMS);
  const how = ["--reward=exact-match:1,contains:0.5", "--prompt-column=question"];
  const small = ["--max-completion-length=4", "--eval-prompts=9", "--warm-start-steps=2"];
  const { stdout } = succeeded(
    await runInProcess(
      dir,
      "train",
      "--data=my sums.jsonl",
      ...how,
      "--max-prompt-length=4",
      ...TINY.filter((flag) => !/eval-prompts|warm-start|quiet/.test(flag)),
      ...small,
      "--no-report",
    ),
  );
  // 10 to 15 have five symbols.
  assertMatch(stdout, /^6 prompts of more than 4 tokens are left out\n/);
  assertMatch(stdout, /on my-sums, on/);
  // Two of ten are held out, whatever was asked for.
  assertMatch(
    stdout,
    /exactMatch, mean .+\ncontains, mean .+\n[^]*on all 2 prompts that training never sees\n6 prompts/,
  );
  const config = JSON.parse(await Deno.readTextFile(join(dir, "runs/my-sums-1/config.json")));
  assertEquals(config.taskFiles.dataset, {
    name: "my-sums",
    reward: { exactMatch: 1, contains: 0.5 },
    promptColumn: "question",
    maxPromptLength: 4,
  });

  // The run knows how its file is read, and another file is read in the same way.
  const evaluated = succeeded(await runInProcess(dir, "eval", "runs/my-sums-1", "--json"));
  assertEquals(JSON.parse(evaluated.stdout).prompts, 2);
  await write(join(dir, "test.jsonl"), SUMS.slice(0, 1));
  const tested = succeeded(
    await runInProcess(dir, "eval", "runs/my-sums-1", "--data=test.jsonl", "--json"),
  );
  assertEquals([JSON.parse(tested.stdout).prompts, JSON.parse(tested.stdout).task], [1, "my-sums"]);
  const resumed = await runInProcess(dir, "train", "--resume", "--max-steps=3", "--no-report");
  assertMatch(succeeded(resumed).stdout, /resuming .+ after step 2/);
  const other = await runInProcess(dir, "train", "--resume", "--max-steps=4", "--reward=contains");
  assertEquals(other.code, 2);
  assertStringIncludes(other.stderr, "--reward does not go with --resume: the run keeps its own");
});

test.inDir("a file of conversations for a model, fitted to demonstrations first", async (dir) => {
  const gpu = await openGpu();
  await writeTinyTextModel(gpu, join(dir, "model"));
  await gpu.close();
  await write(
    join(dir, "chats.jsonl"),
    SUMS.map(({ question, ...row }) => ({ ...row, prompt: [{ role: "user", content: question }] })),
  );
  const file = ["--data=chats.jsonl", "--reward=numeric-match", "--policy=model"];
  const small = [...WITHOUT_SIZES, "--max-completion-length=4", "--no-report"];
  const trained = succeeded(
    await runInProcess(
      dir,
      "train",
      ...file,
      ...small,
      "--warm-start-steps=2",
      "--warm-start-batch-size=4",
    ),
  );
  assertMatch(trained.stdout, /warm start made: runs.warm-start.chats-32x2-2x4/);
  const lines = await Deno.readTextFile(join(dir, "runs/chats-1/completions.jsonl"));
  assertStringIncludes(JSON.parse(lines.split("\n")[0]!).prompt, "<|im_start|>user\n");
  assert((await Deno.stat(join(dir, "runs/chats-1/checkpoint/tokenizer.json"))).isFile);

  const fitted = succeeded(
    await runInProcess(dir, "warm-start", ...file, "--warm-start-steps=1", "--out=runs/sft"),
  );
  assertMatch(fitted.stdout, /^fitting the policy of model to demonstrations of chats/);
  assert((await Deno.stat(join(dir, "runs/sft/tokenizer.json"))).isFile);
});

test.inDir("a parquet file is read as one of JSON lines", async (dir) => {
  const path = join(dir, "sums.parquet");
  const columnData = (["question", "answer"] as const).map((name) => ({
    name,
    data: SUMS.map((row) => String(row[name])),
    type: "STRING" as const,
  }));
  await Deno.writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData })));
  const settings = { reward: { exactMatch: 1 }, promptColumn: "question" };
  const task = await datasetTask(path, settings, () => Promise.resolve(undefined));
  assertEquals([task.name, task.promptCounts], ["sums", { train: 14, eval: 2 }]);
  await assertRejects(
    () => datasetTask(path, { reward: { exactMatch: 1 } }, () => Promise.resolve(undefined)),
    TypeError,
    "sums.parquet, row 0: prompt must be a text",
  );
});

test.inDir("a file that cannot be a task is refused with what it needs", async (dir) => {
  await write(join(dir, "sums.jsonl"), SUMS);
  await write(join(dir, "chats.jsonl"), [{ prompt: [{ role: "user", content: "?" }], answer: 1 }]);
  const column = "--prompt-column=question";
  const cases: [args: string[], code: number, message: string][] = [
    [
      ["--data=sums.jsonl"],
      2,
      "--data needs --reward, which says how completions are judged: exact",
    ],
    [["--data=sums.jsonl", "--reward=exact"], 2, '--reward is "exact": give one of exact-match,'],
    [["--data=sums.jsonl", "--reward=boxed"], 1, "sums.jsonl:1: prompt must be a text"],
    [["--data=chats.jsonl", "--reward=boxed"], 2, "the prompts of chats.jsonl are conversations"],
    [
      ["--data=sums.jsonl", "--reward=boxed", column, "--task=parity"],
      2,
      "--reward goes with --data",
    ],
    [["--chat-template-kwargs=[1]"], 2, "give a JSON object"],
    [
      ["--data=sums.jsonl", "--reward=boxed", column, "--max-prompt-length=2"],
      1,
      "no prompts of at",
    ],
    [["--data=gone.jsonl", "--reward=boxed"], 1, "gone.jsonl does not exist"],
  ];
  for (const [args, code, message] of cases) {
    const result = await runInProcess(dir, "train", ...args, ...TINY);
    assertStringIncludes(result.stderr, message);
    assertEquals(result.code, code, args.join(" "));
  }
});
