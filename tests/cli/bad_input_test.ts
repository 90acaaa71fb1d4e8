/** Command lines that people get wrong: each is refused with what, the value, what is allowed; nothing is lost and nothing hangs. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { contentsOf, TINY } from "../helpers/bad_input.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";

const COMMAND_LINES: readonly (readonly [args: string, message: string])[] = [
  ["evla", "there is no command evla, did you mean eval? commands are train, "],
  ["constructor", "there is no command constructor: commands are "],
  ["train --max-stepz=3", "there is no flag --max-stepz, did you mean --max-steps?"],
  ["train --constructor=1", "there is no flag --constructor: --help lists all"],
  ["train -x", "there is no flag -x: --help lists all"],
  ["train runs/a", "runs/a is no flag: flags begin with --"],
  ["train --quiet=yes", '--quiet takes no value: leave out "yes"'],
  ["train --no-out", "there is no flag --no-out"],
  ["train --max-steps", "--max-steps needs a value: --max-steps <n>"],
  ["train --max-steps=-1", '--max-steps is "-1": give a whole number from 0 to 10000000'],
  ["train --max-steps=1.5", '--max-steps is "1.5": give a whole number'],
  ["train --max-steps=1e9", '--max-steps is "1e9": give a whole number from 0 to 10000000'],
  ["train --learning-rate=abc", '--learning-rate is "abc": give a number from 0 to 1'],
  ["train --learning-rate=NaN", '--learning-rate is "NaN": give a number'],
  ["train --learning-rate=1e400", '--learning-rate is "1e400": give a number from 0 to 1'],
  ["train --temperature=Infinity", '--temperature is "Infinity": give a number from 0.001'],
  ["train --temperature=0", '--temperature is "0": give a number from 0.001'],
  ["train --loss-alpha=-1", '--loss-alpha is "-1": give a number from 0 to 16'],
  ["train --loss-aggregation=mean", '--loss-aggregation is "mean": give one of grpo, dapo'],
  [
    "train --lr-scheduler=lineer",
    '--lr-scheduler is "lineer": give one of constant, cosine, linear',
  ],
  ["train --num-generations=1", "--num-generations is 1: --advantage-estimator grpo compares"],
  ["train --lr=1", "there is no flag --lr, did you mean --learning-rate?"],
  ["train --steps=1", "there is no flag --steps, did you mean --max-steps?"],
  ["train --batch-size=1", "there is no flag --batch-size, did you mean --prompts-per-step?"],
  ["train --kl-coef=1", "there is no flag --kl-coef, did you mean --beta?"],
  ["train --num_generations=2", "there is no flag --num_generations, did you mean --num-gen"],
  ["train --loss-alpha=1 --loss-aggregation=grpo", "--loss-alpha has no effect with --loss-aggr"],
  ["train --epsilon=0.2 --policy-loss=reinforce", "--epsilon has no effect with --policy-loss re"],
  ["train --dual-clip=3 --policy-loss=gspo", "--dual-clip has no effect with --policy-loss gspo"],
  [
    "train --kl-estimator=k2",
    "--kl-estimator has no effect with the other settings: it needs beta",
  ],
  ["train --max-gen-batches=2", "--max-gen-batches has no effect with the other settings: it need"],
  [
    "train --dynamic-sampling --num-generations=1 --advantage-estimator=reinforce-plus-plus",
    "--dynamic-sampling has no effect with the other settings: it needs --num-generations > 1",
  ],
  ["train --advantage-estimator=pass-k --num-generations=1", "--num-generations is 1: --advantage"],
  [
    "train --advantage-estimator=max-rl --beta=1 --kl-in-reward",
    "--kl-in-reward makes rewards negative, and --advantage-estimator maxRl needs rewards >= 0",
  ],
  ["train --seed=4294967296", '--seed is "4294967296": give a whole number from 0 to 4294967295'],
  ["train --epsilon=2", "--epsilon is 2: give a number >= 0, up to 1 except for gmpo"],
  ["train --dual-clip=0.5", "--dual-clip is 0.5: give a number > 1, or 0 for none"],
  ["train --num-generations=0", '--num-generations is "0": give a whole number from 1 to 4096'],
  ["train --mini-batch-size=24", '--mini-batch-size must be "all" or a multiple of --num-gen'],
  ["train --mini-batch-size=99999984", "--mini-batch-size must not exceed --prompts-per-step"],
  ["train --soft-overlong-buffer=99", "--soft-overlong-buffer must be less than --max-completi"],
  ["train --max-completion-length=0", '--max-completion-length is "0": give a whole number'],
  ["train --hidden-size=0", '--hidden-size is "0": give a whole number from 1 to 262144'],
  ["train --hidden-size=63", "--hidden-size is 63: it has to be a multiple of --num-attention"],
  ["train --num-key-value-heads=3", "--num-key-value-heads is 3: it has to divide --num-att"],
  ["train --num-attention-heads=64", "--head-dim is 1: it has to be even"],
  ["train --head-dim=7", "--head-dim is 7: it has to be even"],
  ["train --task=partiy", '--task is "partiy": give one of parity, chain-sum'],
  ["train --data=x.jsonl", "--data needs --reward, which says how completions are judged: exact-m"],
  ["train --task=countdown-text", "countdown-text needs a model with a tokenizer"],
  ["train --serve=70000", '--serve is "70000": give a whole number from 0 to 65535'],
  ["train --out=", '--out is "": give <dir>'],
  ["train --resume --policy=x", "--policy does not go with --resume: the run keeps its own"],
  ["train --policy=x --hidden-size=8", "--hidden-size does not go with --policy: the folder dec"],
  ["train --max-tokens-per-micro-batch=20", "--max-tokens-per-micro-batch must be at least a p"],
  ["train --num-hidden-layers=4096", "--num-hidden-layers is 4096: give a whole number from 1 to"],
  ["warm-start --warm-start-batch-size=0", '--warm-start-batch-size is "0": give a whole numb'],
  ["warm-start --out=", '--out is "": give <dir>'],
  ["eval --num-generations=0", '--num-generations is "0": give a whole number from 1 to 4096'],
  ["eval --checkpoint=", '--checkpoint is "": give <dir>'],
  ["eval", "there is no run with a checkpoint below runs: give --checkpoint <dir>"],
  ["sample --count=0", '--count is "0": give a whole number from 1 to 1000'],
  ["sample --prompt=01: --count=2", "--prompt does not go with --index and --count"],
  ["report --out=runs/x", "--out goes with several folders"],
  ["report", "there is no run below runs: give a folder"],
  ["train --no-help", "there is no flag --no-help"],
  ["train --help=3", '--help takes no value: leave out "3"'],
  ["train ---help", "there is no flag ---help, did you mean --help?"],
  ["train --=3", "there is no flag --=3: --help lists all"],
  ["train --max-steps=0x10", '--max-steps is "0x10": give a whole number from 0 to 10000000'],
  ["train --max-steps=３", '--max-steps is "３": give a whole number from 0 to 10000000'],
  ["train --max-steps=3 --max-steps=4", "--max-steps is given twice: leave one out"],
  ["train -- x", "x is no flag: flags begin with --, see --help"],
  ["train ", '"" is no flag: flags begin with --, see --help'],
  ["train --preset=delta", '--preset is "delta": give one of grpo, dr-grpo, dapo, gspo, cispo'],
  ["train --beta=-1", '--beta is "-1": give a number from 0 to 1000'],
  ["train --beta=0.1 --kl-estimator=k4", '--kl-estimator is "k4": give one of k1, k2, k3, k3-plus'],
  ["train --prompts-per-step=1000000", '--prompts-per-step is "1000000": give a whole number'],
  ["train --dtype=f8", '--dtype is "f8": give one of f32, f16'],
  ["train --no-tuned=1", '--no-tuned takes no value: leave out "1"'],
  ["train --webgpu=chrome", '--webgpu is "chrome": give one of deno, dawn'],
  ["train --dawn-options=backend=null", "--dawn-options is of Dawn: give --webgpu dawn, too"],
  ["train --task=constructor", '--task is "constructor": give one of parity, chain-sum, countdo'],
  ["warm-start --task=countdown-text", "countdown-text needs a model with a tokenizer"],
  ["compare --shard=0/0", '--shard is "0/0": give i/n with i from 1 to n, such as 2/8'],
  ["compare --shard=9/8", '--shard is "9/8": give i/n with i from 1 to n, such as 2/8'],
  ["variance --prompts=8", "--prompts is 8: give at least four times --batch-prompts, 64"],
  ["probe --prompts=0", '--prompts is "0": give a whole number from 1 to 1000000'],
  ["export", "there is no run with a checkpoint below runs: give --checkpoint <dir>"],
  ["completions tcsh", "tcsh is no shell known here: give one of bash, zsh, fish"],
];

test.inDir("command lines that cannot be followed", async (dir, t) => {
  for (const [args, message] of COMMAND_LINES) {
    await t.step(args, async () => {
      const { code, stdout, stderr } = await runInProcess(dir, ...args.split(" "));
      assertStringIncludes(stderr, `error: ${message}`);
      assertMatch(stderr, /^error: .+\n$/);
      assertEquals([code, stdout], [2, ""]);
      assertEquals([...Deno.readDirSync(dir)], []);
    });
  }
});

/** What is said of folders that are something else, and files where folders are needed. */
const PLACES: readonly (readonly [args: string, message: string, code?: number])[] = [
  ["train --out=file", "file is a file: give a folder"],
  ["train --out=file/x", "the folder file/x cannot be made, give another one: "],
  ["train --out=runs/run", "runs/run is not empty: give another folder, or resume the run in it"],
  ["train --out=.", ". is not empty: give another folder"],
  ["train --resume=file", "file is a file: give the folder of a run"],
  ["train --resume=nowhere", "there is no folder nowhere"],
  ["train --resume=empty", "empty is not the folder of a run: it has no config.json"],
  ["train --resume=runs", "runs is not the folder of a run: it has no config.json"],
  ["train --resume=runs/run/checkpoint", "checkpoint/config.json is not of a run: task is undef"],
  ["train --resume --task=countdown", "there is no run of countdown with a checkpoint below runs"],
  ["train --resume=runs/run --task=maze", "is a checkpoint of the task parity, not of maze", 2],
  ["train --resume=runs/run --max-steps=1", "--max-steps is 1 and runs/run has done 2 steps", 2],
  ["train --resume=runs/run --loss-alpha=0.5", "--loss-alpha is 0.5 and was 1. Leave them as", 2],
  ["train --policy=file", "There is no folder file: give that of a Hugging Face checkpoint"],
  ["train --policy=empty", "empty has no config.json: give the folder of a Hugging Face checkp"],
  ["train --policy=Qwen/Qwen3-0.6B", '"hf download Qwen/Qwen3-0.6B --local-dir models/Qwen3-0.6B"'],
  ["train --policy=nowhere", "There is no folder nowhere: give that of a Hugging Face checkpoint"],
  ["train --policy=runs/nowhere", "There is no folder runs/nowhere: give that of a Hugging Face"],
  ["train --policy=runs/run --task=countdown", "Task countdown has 70 token ids and the policy's"],
  ["train --task=./gone.ts", "./gone.ts does not exist"],
  ["variance --task=./gone.ts", "./gone.ts does not exist"],
  ["train --task=http://127.0.0.1/x.ts", "http://127.0.0.1/x.ts does not exist"],
  ["warm-start --out=file", "file is a file: give a folder"],
  ["warm-start --out=runs/run", "runs/run is not empty: give another folder"],
  ["eval --checkpoint=file", "file holds no checkpoint: it has no config.json"],
  ["eval --checkpoint=empty", "empty holds no checkpoint: it has no config.json"],
  ["eval --checkpoint=begun", "begun is a run that has no checkpoint: begin it anew"],
  ["sample begun", "begun is a run that has no checkpoint: begin it anew"],
  ["eval --checkpoint=runs/run --task=countdown", "Task countdown has 70 token ids and the policy"],
  ["eval --checkpoint=runs/run --max-completion-length=99999", "need 100014 positions and the p"],
  [
    "sample --checkpoint=nowhere",
    "There is no folder nowhere: give that of a Hugging Face checkpoint",
  ],
  [
    "sample --checkpoint=runs/run --prompt=xyz",
    '"xyz" begins with no symbol of parity: they are',
    2,
  ],
  ["sample --checkpoint=runs/run --prompt=😀", '"😀" begins with no symbol of parity', 2],
  ["probe --checkpoint=file", "file holds no checkpoint: it has no config.json"],
  ["variance --checkpoint=empty", "empty holds no checkpoint: it has no config.json"],
  ["variance empty", "empty holds no checkpoint: it has no config.json"],
  ["export empty", "empty holds no checkpoint: it has no config.json"],
  ["tune --policy=file", "There is no folder file: give that of a Hugging Face checkpoint"],
  ["report file", "file "],
  ["report empty", "empty "],
  ["report nowhere", "there is no folder nowhere"],
];

test.inDir("folders that are something else", async (dir, t) => {
  await Deno.writeTextFile(join(dir, "file"), "text");
  await Deno.mkdir(join(dir, "empty"));
  // What a run leaves that was stopped before its first checkpoint.
  await Deno.mkdir(join(dir, "begun"));
  await Deno.writeTextFile(join(dir, "begun", "config.json"), '{"task":"parity"}');
  const made = await runInProcess(dir, "train", ...TINY, "--no-report", "--out=runs/run");
  assertEquals(made.code, 0, made.stderr);
  const whole = await contentsOf(dir);
  const again = await runInProcess(dir, "train", "--resume");
  assertEquals(
    [again.code, again.stdout],
    [0, "runs/run has done all of its 2 steps: --max-steps gives it more\n"],
  );
  assertEquals(await contentsOf(dir), whole);
  for (const [args, message, code = 1] of PLACES) {
    await t.step(args, async () => {
      const [command, ...rest] = args.split(" ");
      const more = command === "train" && !args.includes("--resume") ? ["--quiet"] : [];
      const result = await runInProcess(dir, command!, ...rest, ...more);
      assertStringIncludes(result.stderr, message);
      assertMatch(result.stderr, /^error: .+\n$/);
      assertEquals(result.code, code);
      assertEquals(await contentsOf(dir), whole);
    });
  }
});
