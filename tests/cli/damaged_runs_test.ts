/** Runs, checkpoints, results and warm starts that are damaged: each is refused by name, and left as it is. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { contentsOf, TINY } from "../helpers/bad_input.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { inTempDir } from "../helpers/temp_dir.ts";

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
      "runs/run is damaged: its config.json is of the task parity, its checkpoint of squares",
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
        [["train", "--resume=runs/run", "--max-steps=3", "--quiet"], damaged] as const
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
