/** Runs, checkpoints, results and warm starts that are damaged: each is refused by name, and left as it is. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { contentsOf, TINY } from "../helpers/bad_input.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_POLICY } from "../helpers/tiny_run.ts";

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

const CONFIG = "config.json";
const STATE = "checkpoint/trainer_state.json";
const WEIGHTS = "checkpoint/model.safetensors";

/** What is damaged, how, and what is said to it. */
type Cases = readonly (readonly [file: string, damages: Record<string, Damage>, message: string])[];

/** To resuming. */
const RESUMED: Cases = [
  [CONFIG, { gone }, "runs/run is not the folder of a run: it has no config.json"],
  [CONFIG, { empty, half, firstBytesOnly }, "runs/run/config.json is not valid JSON"],
  [CONFIG, { array: text("[]") }, "runs/run/config.json does not hold a JSON object"],
  [CONFIG, { otherKind: text("{}") }, "runs/run/config.json is not of a run: task is undef"],
  ["metrics.jsonl", { line: replaced("{", "") }, "metrics.jsonl: line 1 is not a JSON object"],
  [
    "metrics.jsonl",
    { noStep: replaced("training/global_step", "x") },
    "metrics.jsonl: line 1 is n",
  ],
  ["completions.jsonl", { line: replaced("{", "") }, "completions.jsonl: line 1 is not a JSON"],
  [STATE, { gone }, "runs/run/checkpoint has no trainer_state.json"],
  [STATE, { half }, "is not valid JSON"],
  [
    STATE,
    { option: replaced('"lossAlpha": 1', '"lossAlpha": "one"') },
    "trainer_state.json is damaged: lossAlpha must be a number",
  ],
  [
    STATE,
    { task: replaced('"name": "parity"', '"name": "squares"') },
    "runs/run is damaged: its config.json is of the task parity, its checkpoint of squares",
  ],
  ...["config.json", "generation_config.json", "model.safetensors", "optimizer.safetensors"]
    .flatMap((name): Cases => [
      [`checkpoint/${name}`, { gone }, `runs/run/checkpoint is damaged: its ${name} is gone`],
      [
        `checkpoint/${name}`,
        { lastByteOff },
        `runs/run/checkpoint is damaged: ${name} is not the file that was saved`,
      ],
    ]),
];

/** To reading the weights alone. */
const LOADED: Cases = [
  ["checkpoint/config.json", { gone }, "runs/run/checkpoint holds no checkpoint: it has no config"],
  ["checkpoint/config.json", { empty, half, firstBytesOnly }, "config.json is not valid JSON"],
  ["checkpoint/config.json", { array: text("[]") }, "config.json does not hold a JSON object"],
  ["checkpoint/config.json", { family: replaced('_type": "', '_type": "not-') }, "not-"],
  [WEIGHTS, { gone, empty, firstBytesOnly, half, lastByteOff }, "model.safetensors"],
];

/** Damages files of a folder one by one: a command refuses each in a line, and changes nothing. */
async function refuseDamaged(
  t: Deno.TestContext,
  dir: string,
  cases: Cases,
  commandFor: (file: string) => readonly string[],
  folder = ".",
): Promise<void> {
  for (const [file, damages, message] of cases) {
    const command = commandFor(file);
    for (const [how, damage] of Object.entries(damages)) {
      await t.step(`${command[0]}: ${file} ${how}`, async () => {
        const path = join(dir, folder, file);
        const good = await Deno.readFile(path).catch(() => undefined);
        const bad = damage(good ?? new Uint8Array(0));
        if (bad === undefined) await Deno.remove(path);
        else await Deno.writeFile(path, bad);
        const damaged = await contentsOf(dir);
        const { code, stderr } = await runInProcess(dir, ...command);
        assertEquals(await contentsOf(dir), damaged);
        if (good) await Deno.writeFile(path, good);
        else await Deno.remove(path);
        assertStringIncludes(stderr, message);
        assertMatch(stderr, /^error: .+\n$/);
        assertEquals(code, 1);
      });
    }
  }
}

test.inDir("damaged runs and checkpoints", async (dir, t) => {
  const made = await runInProcess(dir, "train", ...TINY, "--out=runs/run");
  assertEquals(made.code, 0, made.stderr);
  const resume = ["train", "--resume=runs/run", "--max-steps=3"];
  const load = ["eval", "--checkpoint=runs/run", "--task=parity"];
  await refuseDamaged(t, dir, RESUMED, () => [...resume, "--quiet"], "runs/run");
  await refuseDamaged(t, dir, LOADED, () => load, "runs/run");
  await t.step("a last line that was not written to its end is written again", async () => {
    for (const file of ["metrics.jsonl", "completions.jsonl"]) {
      const path = join(dir, "runs", "run", file);
      Deno.writeFileSync(path, Deno.readFileSync(path).subarray(0, -20));
    }
    const { code, stderr } = await runInProcess(dir, ...resume);
    assertEquals(code, 0, stderr);
  });
});

const WARM = [
  "warm-start",
  "--out=warm",
  ...TINY_POLICY,
  ...["--warm-start-steps=1", "--warm-start-batch-size=4", "--quiet"],
];

/** What `report` and `warm-start` say to damaged files. */
const OTHERS: Cases = [
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

test.inDir("damaged results and warm starts", async (dir, t) => {
  for (const args of [["train", ...TINY, "--no-report", "--out=run"], WARM, ["report", "run"]]) {
    const made = await runInProcess(dir, ...args);
    assertEquals(made.code, 0, made.stderr);
  }
  await refuseDamaged(t, dir, OTHERS, (file) => file.startsWith("warm") ? WARM : ["report", "run"]);
});
