/** What people get wrong: each is refused with what, the value, what is allowed; nothing is lost and nothing hangs. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { digestFile } from "../../src/run/fingerprint.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

/** A run of a second. */
const TINY = [
  "--hidden-size=16",
  "--num-hidden-layers=1",
  "--num-attention-heads=2",
  "--prompts-per-step=2",
  "--num-generations=4",
  "--eval-prompts=2",
  "--num-generations-eval=2",
  "--warm-start-steps=0",
  "--max-steps=2",
  "--quiet",
];

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
  ["train --lr-scheduler=linear", '--lr-scheduler is "linear": give one of constant, cosine'],
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
  ["train --data=x.jsonl", "--data goes with --task countdown-text: parity has its own problems"],
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
  ["report a b", "one folder at a time: got a, b"],
  ["report", "there is no run below runs: give a folder"],
  ["train --no-help", "there is no flag --no-help"],
  ["train --help=3", '--help takes no value: leave out "3"'],
  ["train ---help", "there is no flag ---help, did you mean --help?"],
  ["train --=3", "there is no flag --=3: --help lists all"],
  ["train --max-steps=0x10", '--max-steps is "0x10": give a whole number from 0 to 10000000'],
  ["train --max-steps=３", '--max-steps is "３": give a whole number from 0 to 10000000'],
  ["train --max-steps=3 --max-steps=no", '--max-steps is "no": give a whole number from 0'],
  ["train -- x", "x is no flag: flags begin with --, see --help"],
  ["train ", '"" is no flag: flags begin with --, see --help'],
  ["train --preset=delta", '--preset is "delta": give one of grpo, dr-grpo, dapo, gspo, cispo'],
  ["train --beta=-1", '--beta is "-1": give a number from 0 to 1000'],
  ["train --beta=0.1 --kl-estimator=k4", '--kl-estimator is "k4": give one of k1, k2, k3'],
  ["train --prompts-per-step=1000000", '--prompts-per-step is "1000000": give a whole number'],
  ["train --dtype=f8", '--dtype is "f8": give one of f32, f16'],
  ["train --no-tuned=1", '--no-tuned takes no value: leave out "1"'],
  ["train --task=constructor", '--task is "constructor": give one of parity, chain-sum, countdo'],
  ["warm-start --task=countdown-text", "countdown-text needs a model with a tokenizer"],
  ["compare --shard=0/0", '--shard is "0/0": give i/n with i from 1 to n, such as 2/8'],
  ["compare --shard=9/8", '--shard is "9/8": give i/n with i from 1 to n, such as 2/8'],
  ["variance --prompts=8", "--prompts is 8: give at least four times --batch-prompts, 64"],
  ["probe --prompts=0", '--prompts is "0": give a whole number from 1 to 1000000'],
  ["export-verl", "there is no run with a checkpoint below runs: give --checkpoint <dir>"],
  ["completions tcsh", "tcsh is no shell known here: give one of bash, zsh, fish"],
];

Deno.test("command lines that cannot be followed", async (t) => {
  await inTempDir(async (dir) => {
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
});

/** Digests of everything in a folder, by path. */
async function contentsOf(dir: string, prefix = ""): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    const path = join(dir, name);
    if (isDirectory) Object.assign(contents, await contentsOf(path, `${prefix}${name}/`));
    else contents[prefix + name] = await digestFile(path);
  }
  return contents;
}

type Damage = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | undefined;

const gone: Damage = () => undefined;
const empty: Damage = () => new Uint8Array(0);
const half: Damage = (bytes) => bytes.slice(0, bytes.length >> 1);
const lastByteOff: Damage = (bytes) => bytes.slice(0, -1);
const firstBytesOnly: Damage = (bytes) => bytes.slice(0, 7);
const oneBitFlipped: Damage = (bytes) => bytes.with(bytes.length - 2, bytes.at(-2)! ^ 1);
const replaced = (from: string, to: string): Damage => (bytes) =>
  new TextEncoder().encode(new TextDecoder().decode(bytes).replace(from, to));
const text = (json: string): Damage => () => new TextEncoder().encode(json);

/** What is damaged, how, and what resuming says to it. */
const RESUMED:
  readonly (readonly [file: string, damages: Record<string, Damage>, message: string])[] = [
    ["config.json", { gone }, "runs/run is not the folder of a run: it has no config.json"],
    ["config.json", { empty, half, firstBytesOnly }, "runs/run/config.json is not valid JSON"],
    ["config.json", { array: text("[]") }, "runs/run/config.json does not hold a JSON object"],
    [
      "config.json",
      { otherKind: text("{}") },
      "runs/run/config.json is not of a run: task is undef",
    ],
    [
      "metrics.jsonl",
      { firstLine: replaced("{", "") },
      "metrics.jsonl: line 1 is not a JSON object",
    ],
    [
      "metrics.jsonl",
      { noStep: replaced("training/global_step", "x") },
      "metrics.jsonl: line 1 is n",
    ],
    [
      "completions.jsonl",
      { firstLine: replaced("{", "") },
      "completions.jsonl: line 1 is not a JSON",
    ],
    ["checkpoint/trainer_state.json", { gone }, "runs/run/checkpoint has no trainer_state.json"],
    ["checkpoint/trainer_state.json", { empty, half, firstBytesOnly }, "is not valid JSON"],
    [
      "checkpoint/trainer_state.json",
      { steps: replaced('"completedSteps": 2', '"completedSteps": -2') },
      "trainer_state.json is damaged: completedSteps is -2, not a whole number",
    ],
    [
      "checkpoint/trainer_state.json",
      { newer: replaced('"formatVersion": 1', '"formatVersion": 9') },
      "has formatVersion 9 and this version of deltal",
    ],
    [
      "checkpoint/trainer_state.json",
      { option: replaced('"lossAlpha": 1', '"lossAlpha": "one"') },
      "trainer_state.json is damaged: lossAlpha must be a number",
    ],
    [
      "checkpoint/trainer_state.json",
      { task: replaced('"name": "parity"', '"name": "squares"') },
      "squares",
    ],
    ...["config.json", "generation_config.json", "model.safetensors", "optimizer.safetensors"]
      .flatMap((name) =>
        [
          [`checkpoint/${name}`, { gone }, `runs/run/checkpoint is damaged: its ${name} is gone`],
          [
            `checkpoint/${name}`,
            { empty, half, lastByteOff, oneBitFlipped },
            `runs/run/checkpoint is damaged: ${name} is not the file that was saved`,
          ],
        ] as const
      ),
  ];

/** Likewise for reading the weights alone. */
const LOADED: typeof RESUMED = [
  ["checkpoint/config.json", { gone }, "runs/run/checkpoint holds no checkpoint: it has no config"],
  ["checkpoint/config.json", { empty, half, firstBytesOnly }, "config.json is not valid JSON"],
  ["checkpoint/config.json", { array: text("[]") }, "config.json does not hold a JSON object"],
  [
    "checkpoint/config.json",
    { family: replaced('"model_type": "', '"model_type": "not-') },
    "not-",
  ],
  ["checkpoint/model.safetensors", { gone }, "model.safetensors"],
  ["checkpoint/model.safetensors", { empty, firstBytesOnly }, "model.safetensors"],
  ["checkpoint/model.safetensors", { half, lastByteOff }, "model.safetensors"],
];

Deno.test("damaged runs and checkpoints", async (t) => {
  await inTempDir(async (dir) => {
    const run = join(dir, "runs", "run");
    const made = await runInProcess(dir, "train", ...TINY, "--out=runs/run");
    assertEquals(made.code, 0, made.stderr);
    const whole = await contentsOf(run);
    const cases = [
      ...RESUMED.map((damaged) =>
        [["train", "--resume=runs/run", "--max-steps=3"], damaged] as const
      ),
      ...LOADED.map((damaged) =>
        [["eval", "--checkpoint=runs/run", "--task=parity"], damaged] as const
      ),
    ];
    for (const [args, [file, damages, message]] of cases) {
      for (const [how, damage] of Object.entries(damages)) {
        await t.step(`${args[0]}: ${file} ${how}`, async () => {
          const path = join(run, file);
          const good = Deno.readFileSync(path);
          const bad = damage(good);
          if (bad === undefined) Deno.removeSync(path);
          else Deno.writeFileSync(path, bad);
          const { code, stderr } = await runInProcess(dir, ...args);
          Deno.writeFileSync(path, good);
          assertStringIncludes(stderr, message);
          assertMatch(stderr, /^error: .+\n$/);
          assertEquals(code, 1);
          // Nothing but the damage has changed: with the file back, so is the run.
          assertEquals(await contentsOf(run), whole);
        });
      }
    }
    await t.step("a last line that was not written to its end is written again", async () => {
      for (const file of ["metrics.jsonl", "completions.jsonl"]) {
        const path = join(run, file);
        const good = Deno.readFileSync(path);
        Deno.writeFileSync(path, good.subarray(0, -20));
      }
      const { code, stderr } = await runInProcess(
        dir,
        "train",
        "--resume=runs/run",
        "--max-steps=3",
      );
      assertEquals(code, 0, stderr);
    });
  });
});

const WARM = [
  "warm-start",
  "--out=warm",
  "--hidden-size=16",
  "--num-hidden-layers=1",
  "--num-attention-heads=2",
  "--warm-start-steps=1",
  "--warm-start-batch-size=4",
  "--quiet",
];

/** What `report` and `warm-start` say to damaged files. */
const OTHERS: typeof RESUMED = [
  ["run/metrics.jsonl", { firstLine: replaced("{", "") }, "metrics.jsonl: line 1 is not a JSON"],
  ["run/completions.jsonl", { text: text("nope\n") }, "completions.jsonl: line 1 is not a JSON"],
  [
    "run/completions.jsonl",
    { bare: text('{"training/global_step":1}\n') },
    "run cannot be reported: its files are not as deltal ",
  ],
  ["run/config.json", { empty, half }, "run/config.json is not valid JSON"],
  ["run/config.json", { gone }, "run holds no results: it has neither config.json"],
  ["run/variance.json", { array: text("[]") }, "run/variance.json does not hold a JSON object"],
  [
    "run/variance.json",
    { bare: text('{"study":{}}') },
    "run cannot be reported: its files are not as deltal ",
  ],
  ["run/compare.json", { bare: text("{}") }, "run/runs does not exist: the runs of a comparison"],
  ["warm/warm_start.json", { empty, half }, "warm/warm_start.json is not valid JSON"],
  ["warm/warm_start.json", { array: text("[]") }, "warm_start.json does not hold a JSON object"],
  ["warm/warm_start.json", { bare: text("{}") }, "warm holds a warm start with other settings"],
  ["warm/warm_start.json", { gone }, "warm is not empty: give another folder"],
  ["warm/config.json", { empty, half }, "warm/config.json is not valid JSON"],
  ["warm/config.json", { gone }, "warm has no config.json"],
  [
    "warm/model.safetensors",
    { gone, empty, half, lastByteOff, oneBitFlipped },
    "warm is damaged: its model.safetensors is not the one saved. Remove it",
  ],
];

Deno.test("damaged results and warm starts", async (t) => {
  await inTempDir(async (dir) => {
    for (
      const args of [["train", ...TINY, "--no-report", "--out=run"], WARM, ["report", "run"]]
    ) {
      const made = await runInProcess(dir, ...args);
      assertEquals(made.code, 0, made.stderr);
    }
    for (const [file, damages, message] of OTHERS) {
      for (const [how, damage] of Object.entries(damages)) {
        await t.step(`${file} ${how}`, async () => {
          const path = join(dir, file);
          const good = await Deno.readFile(path).catch(() => undefined);
          const bad = damage(good ?? new Uint8Array(0));
          if (bad === undefined) await Deno.remove(path);
          else await Deno.writeFile(path, bad);
          const damaged = await contentsOf(dir);
          const { code, stderr } = await runInProcess(
            dir,
            ...file.startsWith("warm") ? WARM : ["report", "run"],
          );
          assertEquals(await contentsOf(dir), damaged);
          if (good) await Deno.writeFile(path, good);
          else await Deno.remove(path);
          assertStringIncludes(stderr, message);
          assertMatch(stderr, /^error: .+\n$/);
          assertEquals(code, 1);
        });
      }
    }
  });
});

/** What is said of folders that are something else, and files where folders are needed. */
const PLACES: readonly (readonly [args: string, message: string, code?: number])[] = [
  ["train --out=file", "file is a file: give a folder"],
  ["train --out=file/x", "the folder file/x cannot be made, give another one: "],
  ["train --out=runs/run", "runs/run is not empty: give another folder, or resume the run in it"],
  ["train --out=.", ". is not empty: give another folder"],
  ["train --resume=file", "file is not the folder of a run: it has no config.json"],
  ["train --resume=nowhere", "nowhere is not the folder of a run: it has no config.json"],
  ["train --resume=empty", "empty is not the folder of a run: it has no config.json"],
  ["train --resume=runs", "runs is not the folder of a run: it has no config.json"],
  ["train --resume=runs/run/checkpoint", "checkpoint/config.json is not of a run: task is undef"],
  ["train --resume --task=countdown", "there is no run of countdown with a checkpoint below runs"],
  ["train --resume=runs/run --task=maze", "is a checkpoint of the task parity, not of maze", 2],
  ["train --resume=runs/run --max-steps=1", "--max-steps is 1 and runs/run has done 2 steps", 2],
  ["train --resume=runs/run --loss-alpha=0.5", "--loss-alpha is 0.5 and was 1. Leave them as", 2],
  ["train --policy=file", "file has no config.json: give the folder of a Hugging Face checkpoint"],
  ["train --policy=empty", "empty has no config.json: give the folder of a Hugging Face checkp"],
  ["train --policy=nowhere", "nowhere has no config.json: give the folder of a Hugging Face che"],
  [
    "train --policy=runs/run --task=countdown",
    "Task countdown has 70 token ids and the policy's",
  ],
  ["train --task=./gone.ts", "./gone.ts does not exist"],
  ["train --task=http://127.0.0.1/x.ts", "http://127.0.0.1/x.ts does not exist"],
  ["warm-start --out=file", "file is a file: give a folder"],
  ["warm-start --out=runs/run", "runs/run is not empty: give another folder"],
  ["eval --checkpoint=file", "file holds no checkpoint: it has no config.json"],
  ["eval --checkpoint=empty", "empty holds no checkpoint: it has no config.json"],
  ["eval --checkpoint=runs/run --task=countdown", "Task countdown has 70 token ids and the policy"],
  ["eval --checkpoint=runs/run --max-completion-length=99999", "need 100014 positions and the p"],
  ["sample --checkpoint=nowhere", "nowhere holds no checkpoint: it has no config.json"],
  [
    "sample --checkpoint=runs/run --prompt=xyz",
    '"xyz" begins with no symbol of parity: they are',
    2,
  ],
  ["sample --checkpoint=runs/run --prompt=😀", '"😀" begins with no symbol of parity', 2],
  ["probe --checkpoint=file", "file holds no checkpoint: it has no config.json"],
  ["variance --checkpoint=empty", "empty holds no checkpoint: it has no config.json"],
  ["tune --policy=file", "file has no config.json: give the folder of a Hugging Face checkpoint"],
  ["report file", "file "],
  ["report empty", "empty "],
  ["report nowhere", "nowhere "],
];

Deno.test("folders that are something else", async (t) => {
  await inTempDir(async (dir) => {
    await Deno.writeTextFile(join(dir, "file"), "text");
    await Deno.mkdir(join(dir, "empty"));
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
});

/** A task of a user's own, in a module, with one thing wrong. */
const TASK = `
const VOCABULARY = ["<pad>", "<eos>", "a", "b"];
let asked = 0;
const good = {
  name: "own",
  vocabulary: VOCABULARY,
  padTokenId: 0,
  eosTokenId: 1,
  maxPromptLength: 2,
  maxCompletionLength: 4,
  defaults: {
    policy: {
      hiddenSize: 16,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      numKeyValueHeads: 2,
      intermediateSize: 32,
    },
    warmStart: { steps: 2, batchSize: 4, learningRate: 1e-3 },
    rl: { maxSteps: 3, promptsPerStep: 2, numGenerations: 4, learningRate: 1e-3 },
  },
  problem: (split, seed, index) => ({ promptIds: [2 + index % 2], metadata: index }),
  verify: (_, completionIds) => completionIds.length % 2,
  describe: (ids) => ids.map((id) => VOCABULARY[id] ?? "?").join(""),
};
`;

const TASKS: readonly (readonly [what: string, exported: string, message: string])[] = [
  [
    "no default",
    "export const task = good;",
    "own.ts cannot be used: it must export a task as its default, or a function",
  ],
  [
    "no task",
    "export default { name: 1 };",
    "own.ts cannot be used: name is 1: give a text without slashes",
  ],
  ["no module", "throw new Error('at once');", "own.ts cannot be used: at once"],
  [
    "a function",
    "export default () => { throw new Error('in it'); };",
    "own.ts cannot be used: in it",
  ],
  [
    "a task without",
    "export default { ...good, verify: undefined };",
    "verify is undefined: give a function",
  ],
  [
    "a verifier",
    "export default { ...good, verify() { throw new Error('no'); } };",
    "The verifier threw on",
  ],
  [
    "NaN",
    "export default { ...good, verify: () => NaN };",
    "The verifier returned NaN on eval problem 0",
  ],
  [
    "Infinity",
    "export default { ...good, verify: () => 1 / 0 };",
    "The verifier returned Infinity on",
  ],
  ["nothing", "export default { ...good, verify() {} };", "The verifier returned undefined on"],
  [
    "a text",
    "export default { ...good, verify: () => '1' };",
    "The verifier returned 1 on eval prob",
  ],
  [
    "null",
    "export default { ...good, verify: () => null };",
    "The verifier returned null on eval pr",
  ],
  [
    "later",
    "export default { ...good, verify: () => Promise.reject('x') };",
    "The verifier threw on",
  ],
  [
    "parts",
    "export default { ...good, verify: () => ({ reward: 1, rewards: { a: NaN } }) };",
    "The verifier returned NaN for a on eval problem 0 of task own",
  ],
  [
    "no problem",
    "export default { ...good, problem() { throw new Error('none left'); } };",
    "There is no train problem 0 of task own: none left",
  ],
  [
    "no prompt",
    "export default { ...good, problem: () => ({}) };",
    "The prompt of train problem 0 of task own is undefined: a list of token ids is needed",
  ],
  [
    "an empty prompt",
    "export default { ...good, problem: () => ({ promptIds: [] }) };",
    "The prompt of train problem 0 of task own has 0 token ids: maxPromptLength allows 1 to 2",
  ],
  [
    "a long prompt",
    "export default { ...good, problem: () => ({ promptIds: [2, 2, 2] }) };",
    "The prompt of train problem 0 of task own has 3 token ids: maxPromptLength allows 1 to 2",
  ],
  [
    "an id",
    "export default { ...good, problem: () => ({ promptIds: [2, 9] }) };",
    "The prompt of train problem 0 of task own has 9 at place 1: token ids are whole numbers from 0",
  ],
  [
    "a demonstration",
    "export default { ...good, demonstration: () => ({ promptIds: [2], completionIds: [3, -1] }) };",
    "The completion of demonstration 0 of task own has -1 at place 1: token ids are whole",
  ],
  ["an empty name", "export default { ...good, name: '' };", 'name is "": give a text without'],
  [
    "a name that leads elsewhere",
    "export default { ...good, name: '../../evil' };",
    'name is "../../evil": give a text without slashes and control characters, for folders',
  ],
  ["a name with a line", "export default { ...good, name: 'a\\n' };", "name is"],
  [
    "no vocabulary",
    "export default { ...good, vocabulary: [] };",
    "vocabulary is []: give a list of texts, one for each id",
  ],
  [
    "a vocabulary of numbers",
    "export default { ...good, vocabulary: [1, 2, 3, 4] };",
    "vocabulary is [ 1, 2, 3, 4 ]: give a list of texts, one for each id",
  ],
  [
    "an end beyond the vocabulary",
    "export default { ...good, eosTokenId: 99 };",
    "eosTokenId is 99: give a whole number from 0 to 3",
  ],
  [
    "a text for an end",
    "export default { ...good, eosTokenId: '1' };",
    'eosTokenId is "1": give a whole number from 0 to 3',
  ],
  [
    "padding below 0",
    "export default { ...good, padTokenId: -1 };",
    "padTokenId is -1: give a whole number from 0 to 3",
  ],
  [
    "NaN for a limit",
    "export default { ...good, maxPromptLength: NaN };",
    "maxPromptLength is NaN: give a whole number from 1 to 1000000",
  ],
  [
    "a limit of 0",
    "export default { ...good, maxCompletionLength: 0 };",
    "maxCompletionLength is 0: give a whole number from 1 to 1000000",
  ],
  [
    "half a token",
    "export default { ...good, maxCompletionLength: 1.5 };",
    "maxCompletionLength is 1.5: give a whole number from 1 to 1000000",
  ],
  [
    "no defaults",
    "export default { ...good, defaults: undefined };",
    "defaults is undefined: give an object, see Task",
  ],
  [
    "defaults without a policy",
    "export default { ...good, defaults: {} };",
    "defaults.policy is undefined: give an object, see Task",
  ],
  [
    "a text for a width",
    "export default { ...good, defaults: { ...good.defaults, policy: { hiddenSize: '16' } } };",
    'defaults.policy.hiddenSize is "16": give a whole number from 1 to 262144',
  ],
  [
    "no warm start",
    "export default { ...good, defaults: { ...good.defaults, warmStart: null } };",
    "defaults.warmStart is null: give an object, see Task",
  ],
  [
    "NaN for a rate",
    "export default { ...good, defaults: { ...good.defaults, rl: { maxSteps: 1, learningRate: NaN } } };",
    "defaults.rl.learningRate is NaN: give a number from 0 to 1",
  ],
  [
    "no text",
    "export default { ...good, describe: () => 3 };",
    "describe([eosTokenId]) is 3: give a text",
  ],
  ["mute", "export default { ...good, describe() { throw new Error('mute'); } };", "used: mute"],
  [
    "a getter",
    "export default { ...good, get verify() { throw new Error('gotcha'); } };",
    "own.ts cannot be used: gotcha",
  ],
  ["a syntax error", "export default { ...good", "own.ts cannot be used: "],
  [
    "a package that is not there",
    "import './gone.ts'; export default good;",
    "own.ts cannot be used: ",
  ],
  [
    "problems by chance",
    "export default { ...good, problem: () => ({ promptIds: [2], metadata: Math.random() }) };",
    "its problems or demonstrations are others when they are asked for again",
  ],
  [
    "a circle",
    "const m = {}; m.m = m; export default { ...good, problem: () => ({ promptIds: [2], metadata: m }) };",
    "The problems of task own are no plain data, which their metadata has to be: ",
  ],
  [
    "a number that JSON lacks",
    "export default { ...good, problem: () => ({ promptIds: [2], metadata: 1n }) };",
    "The problems of task own are no plain data, which their metadata has to be: ",
  ],
  ["a large number", "export default { ...good, verify: () => 1n };", "The verifier returned 1 on"],
  ["true", "export default { ...good, verify: () => true };", "The verifier returned true on eval"],
  [
    "a list",
    "export default { ...good, verify: () => [1] };",
    "The verifier returned undefined on",
  ],
  [
    "no demonstration",
    "export default { ...good, demonstration: () => null };",
    "The prompt of demonstration 0 of task own is undefined: a list of token ids is needed",
  ],
  [
    "a long demonstration",
    "export default { ...good, demonstration: () => ({ promptIds: [2], completionIds: [3, 3, 3, 3, 1] }) };",
    "The completion of demonstration 0 of task own has 5 token ids: maxCompletionLength allows 1 to 4",
  ],
];

Deno.test("tasks that cannot be used, throw, or return no reward", async (t) => {
  await inTempDir(async (dir) => {
    const path = join(dir, "own.ts");
    for (const [i, [what, exported, message]] of TASKS.entries()) {
      await t.step(what, async () => {
        // A module is read once per path.
        const module = `./own${i}.ts`;
        await Deno.writeTextFile(join(dir, module), TASK + exported);
        const warm = exported.includes("demonstration") ? ["--warm-start-steps=2"] : [];
        const args = ["train", ...TINY, ...warm, "--task", module, `--out=runs/${i}`];
        const { code, stderr } = await runInProcess(dir, ...args);
        assertStringIncludes(stderr.replace(/own\d+\.ts/, "own.ts"), message);
        // Of code that cannot be read, the place is shown below.
        assertMatch(stderr, /^error: .+\n(?:[ \d].*\n)*$/);
        assertEquals(code, 1);
      });
    }

    await t.step("a verifier that fails late: no step before is lost", async () => {
      const verify = "verify() { if (asked++ > 30) throw new Error('late'); return asked % 2; }";
      await Deno.writeTextFile(path, `${TASK}export default { ...good, ${verify} };`);
      const task = ["--task", "./own.ts"];
      const steps = ["--max-steps=4", "--save-steps=1"];
      const failed = await runInProcess(
        dir,
        "train",
        ...TINY,
        ...task,
        ...steps,
        "--out=runs/late",
      );
      assertEquals(failed.code, 1);
      const [, saved] = /late\. It failed .*runs.late.checkpoint holds step (\d), intact\n$/
        .exec(failed.stderr)!;
      assert(Number(saved) > 0);
      // The repaired task is another module to this process, as it is to another process.
      await Deno.writeTextFile(join(dir, "repaired.ts"), `${TASK}export default good;`);
      const resumed = await runInProcess(
        dir,
        "train",
        "--resume=runs/late",
        "--task=./repaired.ts",
      );
      assertEquals(resumed.code, 0, resumed.stderr);
      assertStringIncludes(resumed.stdout, "Done: 4 steps of own");
    });
  });
});
