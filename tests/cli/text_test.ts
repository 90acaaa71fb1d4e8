import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { openGpu } from "../../src/gpu/open.ts";
import { type CommandResult, runCommand } from "../helpers/cli.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { TINY_POLICY } from "../helpers/tiny_run.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";

const SMALL = [
  "--prompts-per-step=2",
  "--num-generations=4",
  "--max-completion-length=16",
  "--eval-prompts=2",
  "--num-generations-eval=2",
];

const PROBLEMS = [
  { nums: [44, 19, 35], target: 60 },
  { nums: [3, 4, 5], target: 12 },
  { nums: [7, 8, 9], target: 24 },
];

/** A module of a user's own task, as one finds it in a folder. */
const MODULE = `
import { defineTask, symbolTokenizer } from ${
  JSON.stringify(new URL("../../mod.ts", import.meta.url).href)
};
export default ({ tokenizer }) => defineTask({
  name: "echo",
  tokenizer: tokenizer ?? symbolTokenizer("ab"),
  prompts: ["a", "b", "ab"],
  verify: ({ prompt, completion }) => completion.startsWith(prompt),
  maxCompletionLength: 3,
});
`;

function succeeded(result: CommandResult): CommandResult {
  assertEquals(result.code, 0, `${result.stdout}\n${result.stderr}`);
  return result;
}

async function inFolderWithModel(body: (dir: string) => Promise<void>): Promise<void> {
  await inTempDir(async (dir) => {
    const gpu = await openGpu();
    await writeTinyTextModel(gpu, join(dir, "model"));
    await gpu.close();
    const lines = PROBLEMS.map((problem) => JSON.stringify(problem)).join("\n");
    await Deno.writeTextFile(join(dir, "problems.jsonl"), lines);
    await Deno.writeTextFile(join(dir, "my_task.ts"), MODULE);
    await body(dir);
  });
}

Deno.test("the paper's task in words: train, resume, eval, sample", async (t) => {
  await inFolderWithModel(async (dir) => {
    const task = ["--task=countdown-text", "--data=problems.jsonl"];
    await t.step("train states the memory first and keeps the tokenizer", async () => {
      const { stdout } = succeeded(
        await runInProcess(dir, "train", ...task, "--policy=model", "--max-steps=1", ...SMALL),
      );
      assertMatch(
        stdout,
        /^training the policy of model on countdown-text, on .+\nneeds \d+\.\d MiB of GPU memory: 0\.2 for the parameters, /,
      );
      const run = join(dir, "runs", "countdown-text-1");
      const completions = await Deno.readTextFile(join(run, "completions.jsonl"));
      const { prompt } = JSON.parse(completions.split("\n")[0]!);
      assertMatch(prompt, /Using the numbers \[\d+(, \d+){2}\], create an equation/);
      assertEquals(
        await Deno.readFile(join(run, "checkpoint", "tokenizer.json")),
        await Deno.readFile(join(dir, "model", "tokenizer.json")),
      );
    });
    await t.step("a run knows its problems, and goes on with those only", async () => {
      const resume = (...more: string[]) =>
        runInProcess(dir, "train", "--resume", "--max-steps=2", "--no-report", ...more);
      const path = join(dir, "problems.jsonl");
      const problems = await Deno.readTextFile(path);
      await Deno.writeTextFile(join(dir, "others.jsonl"), problems.replace("60", "61"));
      const other = await resume("--data=others.jsonl");
      assertEquals(other.code, 2);
      assertStringIncludes(other.stderr, "with other options");
      await Deno.writeTextFile(path, problems + "\n");
      const changed = await resume();
      assertEquals(changed.code, 1);
      assertStringIncludes(
        changed.stderr,
        "problems.jsonl is not as it was when runs/countdown-text-1 was begun (its SHA-256 " +
          "differs): to take it as it is now, give --data problems.jsonl\n",
      );
      await Deno.remove(path);
      const gone = await resume();
      assertEquals(gone.code, 1);
      assertStringIncludes(
        gone.stderr,
        "problems.jsonl, which runs/countdown-text-1 was begun with, does not exist: say where",
      );
      await Deno.writeTextFile(path, problems);
      assertMatch(succeeded(await resume()).stdout, /^resuming .+ after step 1/);
    });
    await t.step("eval and sample find the tokenizer beside the weights", async () => {
      const limit = "--max-completion-length=8";
      const { stdout } = succeeded(
        await runInProcess(dir, "eval", "--eval-prompts=2", "--json", limit),
      );
      assertEquals(JSON.parse(stdout).task, "countdown-text");
      const asked = ["--prompt=Show your work", "--num-generations=1", limit];
      const sampled = succeeded(await runInProcess(dir, "sample", ...asked)).stdout;
      assertStringIncludes(sampled, "Show your work");
    });
  });
});

Deno.test("a module of one's own is a task, with symbols or with a model's tokenizer", async () => {
  await inFolderWithModel(async (dir) => {
    const run = ["train", "--task=./my_task.ts", "--max-steps=1", ...SMALL];
    const symbols = succeeded(await runInProcess(dir, ...run, ...TINY_POLICY));
    assertMatch(symbols.stdout, /^training a policy with random weights on echo/);
    const text = succeeded(await runInProcess(dir, ...run, "--policy=model"));
    assertMatch(text.stdout, /^training the policy of model on echo/);
  });
});

Deno.test("a task that cannot be found or used is refused with what it needs", async () => {
  await inFolderWithModel(async (dir) => {
    await Deno.writeTextFile(join(dir, "not_a_task.ts"), "export default { name: 'x' };");
    await Deno.writeTextFile(join(dir, "bad.jsonl"), '{"nums": [1], "target": 1}\n{"nums": 3}\n');
    await Deno.mkdir(join(dir, "empty"));
    const needs = "export default ({ tokenizer }) => ({ vocabulary: tokenizer.vocabulary });";
    await Deno.writeTextFile(join(dir, "needs.ts"), needs);
    const starts = MODULE.replace(
      "completion.startsWith(prompt)",
      'new Deno.Command("true").spawn()',
    );
    await Deno.writeTextFile(join(dir, "process.ts"), starts);
    const cases: [args: string[], code: number, ...messages: string[]][] = [
      [["--task=countdown-text"], 2, "countdown-text needs a model with a tokenizer"],
      [["--task=countdown-text", "--policy=empty"], 2, "empty has no tokenizer.json"],
      [
        ["--task=countdown-text", "--policy=meta-llama/Llama-3.2-1B"],
        1,
        "There is no folder meta-llama/Llama-3.2-1B. If it is a model on the Hugging Face hub, download it " +
        'with "hf download meta-llama/Llama-3.2-1B --local-dir models/Llama-3.2-1B"',
      ],
      [["--task=./needs.ts"], 2, "there is none: give the folder of a model with --policy"],
      [
        ["--task=./process.ts", ...SMALL],
        1,
        'Requires run access to "true", which the tasks do not',
        "main.ts train --task=./process.ts",
      ],
      [["--task=countdwon-text"], 2, "did you mean countdown-text?"],
      [["--task=./none.ts"], 1, "./none.ts does not exist"],
      [["--task=./not_a_task.ts"], 1, "problem is undefined: give a function"],
      [["--task=parity", "--data=problems.jsonl"], 2, "--data goes with --task countdown-text"],
      [["--task=countdown-text", "--policy=model", "--data=bad.jsonl"], 1, "bad.jsonl:2 must have"],
      [["--task=countdown-text", "--policy=model", "--data=none"], 1, "none"],
      [
        ["--task=countdown-text", "--policy=model", "--max-completion-length=600"],
        1,
        "maxPositionEmbeddings is 640",
      ],
    ];
    for (const [args, code, ...messages] of cases) {
      // What a process of the tasks may do, this one may do too.
      const run = args.includes("--task=./process.ts") ? runCommand : runInProcess;
      const result = await run(dir, "train", ...args, "--max-steps=1");
      assertEquals(result.code, code, result.stderr);
      for (const message of messages) assertStringIncludes(result.stderr, message);
    }
  });
});

Deno.test("a verifier that fails late costs no step: the run goes on where it failed", async () => {
  await inFolderWithModel(async (dir) => {
    const flaky = MODULE.replace(
      "({ prompt, completion }) =>",
      `async ({ prompt, completion }) => {
        // Fails in the fourth step, unless the service is there.
        globalThis.calls = (globalThis.calls ?? 0) + 1;
        const up = await Deno.stat("service").then(() => true, () => false);
        if (!up && globalThis.calls > 6 + 3 * 8 + 2) throw new Error("no service");
        return (({ prompt, completion }) =>`,
    ).replace("startsWith(prompt),", "startsWith(prompt))({ prompt, completion }); },");
    await Deno.writeTextFile(join(dir, "flaky.ts"), flaky);
    const run = ["train", "--task=./flaky.ts", "--max-steps=5", ...SMALL];
    const failed = await runInProcess(dir, ...run, ...TINY_POLICY, "--warm-start-steps=0");
    assertEquals(failed.code, 1, failed.stdout);
    assertMatch(failed.stderr, /The verifier threw on train problem .*: no service/);
    assertMatch(failed.stderr, /echo-1.checkpoint holds step 3, intact/);
    await Deno.writeTextFile(join(dir, "service"), "");
    const resumed = await runInProcess(dir, "train", "--resume=runs/echo-1");
    assertMatch(succeeded(resumed).stdout, /^resuming .+ after step 3/);
  });
});
