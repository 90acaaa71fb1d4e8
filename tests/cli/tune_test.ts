import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { openGpu } from "../../src/gpu/open.ts";
import { digestFile } from "../../src/run/fingerprint.ts";
import { writeTuned } from "../../src/run/tuned_kernels.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";
import { TINY_POLICY, TINY_STEPS } from "../helpers/tiny_run.ts";

const SHAPE = [...TINY_POLICY, "--prompts-per-step=4", "--num-generations=8"];
const TRAIN = [
  "train",
  ...TINY_STEPS,
  ...["--num-generations-eval=2", "--eval-prompts=4", "--no-report"],
];

/**
 * Parity, with passes of as many tokens as a step of it has: what tuning measures is not larger than it has to be. Odd
 * lengths are right, so that every group has something to learn from.
 */
const TASK = `
import { parity } from ${JSON.stringify(fileURLToPath(new URL("../../mod.ts", import.meta.url)))};
const task = parity();
const small = { maxTokensPerMicroBatch: 2048 };
const { policy, warmStart, rl } = task.defaults;
export default {
  ...task,
  verify: (_, ids) => ids.length % 2,
  defaults: { policy, warmStart: { ...warmStart, ...small }, rl: { ...rl, ...small } },
};
`;

/** With a clock by which every look at it is a hundredth of a second after the one before: kernels are as fast as each other. */
async function atOneRepetition<T>(measure: () => Promise<T>): Promise<T> {
  const { now } = performance;
  let time = 0;
  performance.now = () => time += 10;
  try {
    return await measure();
  } finally {
    performance.now = now;
  }
}

test.inDir("tune keeps kernels, runs use them, and resume with those they were begun with", async (dir) => {
  const command = async (...args: string[]) => {
    const result = await runInProcess(dir, ...args);
    assertEquals(result.code, 0, result.stdout + result.stderr);
    return result;
  };
  const run = (name: string) => join(dir, "runs", name);
  const weights = (name: string) => digestFile(join(run(name), "checkpoint", "model.safetensors"));
  const config = async (name: string) =>
    JSON.parse(await Deno.readTextFile(join(run(name), "config.json")));

  await Deno.writeTextFile(join(dir, "parity.ts"), TASK);
  const train = [...TRAIN, "--task=./parity.ts"];

  await command(...train, "--quiet", "--max-steps=4", "--out=runs/plain");
  assertEquals((await config("plain")).kernels, undefined);

  const { stdout } = await atOneRepetition(() =>
    command("tune", "--task=./parity.ts", ...SHAPE, "--quiet")
  );
  if (stdout.startsWith("there is one kernel for everything")) return;
  assertMatch(stdout, /^no kernel is faster .+: nothing changes; kept in runs.tuned.\S+\.json/);
  const [file] = [...Deno.readDirSync(run("tuned"))].map(({ name }) => join(run("tuned"), name));
  const tuned = JSON.parse(await Deno.readTextFile(file!));
  // The gradient of a weight over at most 2048 tokens, which ranges of the sum round differently.
  const operation = "matmul tn 16x16x~2048";
  const split = (steps: number) => ({ [operation]: `tn.rows32.split${steps}` });
  const keep = (kernels: unknown) =>
    Deno.writeTextFile(file!, JSON.stringify({ ...tuned, kernels }));
  await keep(split(128));

  const { stderr } = await command(...train, "--max-steps=4", "--out=runs/whole");
  assertMatch(stderr, /^1 tuned kernel from runs.tuned.\S+\.json; --no-tuned for none\n/);
  assertEquals((await config("whole")).kernels, split(128));
  if (tuned.measuredOn.isFallback && tuned.measuredOn.subgroupSize >= 8) {
    assertNotEquals(await weights("whole"), await weights("plain"));
  }
  await command(...train, "--quiet", "--max-steps=4", "--out=runs/again", "--no-tuned");
  assertEquals(await weights("again"), await weights("plain"));
  assertEquals((await config("again")).kernels, undefined);

  const evaluated = await command(
    "eval",
    "--checkpoint=runs/whole",
    "--num-generations=2",
    "--eval-prompts=2",
    "--json",
  );
  assertEquals(JSON.parse(evaluated.stdout).kernels, split(128));

  // Tuned anew, forgotten, damaged: a run that goes on has its own.
  await command(...train, "--quiet", "--max-steps=2", "--out=runs/half");
  await keep(split(256));
  await command("train", "--quiet", "--no-report", "--resume=runs/half", "--max-steps=3");
  await Deno.writeTextFile(file!, "{");
  await command("train", "--quiet", "--no-report", "--resume=runs/half", "--max-steps=4");
  assertEquals((await config("half")).kernels, split(128));
  assertEquals(await weights("half"), await weights("whole"));
  await keep(split(128));
  const resumed = await command("train", "--no-report", "--resume=runs/plain", "--max-steps=5");
  assert(!resumed.stderr.includes("tuned"), resumed.stderr);
  assertEquals((await config("plain")).kernels, undefined);
});

test.inDir("a file of tuned kernels that does not fit is named in a line and passed over", async (dir) => {
  const evaluate = () =>
    runInProcess(dir, "eval", "--checkpoint=runs/a", "--num-generations=2", "--eval-prompts=4");
  await runInProcess(dir, ...TRAIN, "--quiet", "--max-steps=1", "--out=runs/a");
  const plain = await evaluate();
  assertEquals([plain.code, plain.stderr], [0, ""]);
  const gpu = await openGpu();
  const { path } = await writeTuned(join(dir, "runs", "tuned"), gpu, new Map());
  await gpu.close();
  const good = JSON.parse(await Deno.readTextFile(path));
  const cases = [
    ["{", "is not valid JSON"],
    ["", "is not valid JSON"],
    ["[]", "does not hold a JSON object"],
    [{ ...good, format: 1 }, "is not a file of tuned kernels"],
    [{ ...good, kernels: { a: 3 } }, "is damaged: kernels is"],
    [{ ...good, kernels: undefined }, "is damaged: kernels is undefined"],
    [
      { ...good, measuredOn: { ...good.measuredOn, subgroupSize: 1024 } },
      "was measured with subgroupSize 1024, and here it is",
    ],
    [
      { ...good, measuredOn: { ...good.measuredOn, deltal: "9.9" } },
      'was measured with deltal "9.9", and here it is',
    ],
  ] as const;
  for (const [text, message] of cases) {
    const written = typeof text === "string" ? text : JSON.stringify(text);
    await Deno.writeTextFile(path, written);
    const { code, stdout, stderr } = await evaluate();
    assertEquals([code, stdout], [0, plain.stdout]);
    assert(stderr.includes(`${relative(dir, path)} ${message}`), stderr);
    assert(
      stderr.endsWith(": the built-in kernels are used instead; deno task tune measures anew\n"),
      stderr,
    );
    assertEquals(stderr.trim().split("\n").length, 1);
    assertEquals(await Deno.readTextFile(path), written, "left alone");
  }
  // Names that no operation has, any more, do nothing.
  await Deno.writeTextFile(path, JSON.stringify({ ...good, kernels: { "matmul nt ~1x1x1": "x" } }));
  const { code, stdout } = await evaluate();
  assertEquals([code, stdout], [0, plain.stdout]);
});

test.inDir("tune refuses what train refuses, before it measures anything", async (dir) => {
  const cases = [
    [["--hidden-size=17"], "--hidden-size", 2],
    [["--hidden-size=0"], '--hidden-size is "0": give a whole number from 1', 2],
    [["--num-generations=0"], '--num-generations is "0": give a whole number from', 2],
    [["--max-completion-length=100000000"], "--max-completion-length is", 2],
    [["--task=./gone.ts"], "./gone.ts does not exist", 1],
    [["--policy=gone"], "gone", 1],
    [["--tuned"], "there is no flag --tuned", 2],
    [["--throrough"], "did you mean --thorough?", 2],
    [["now"], "now is no flag: flags begin with --", 2],
  ] as const;
  for (const [args, message, code] of cases) {
    const result = await runInProcess(dir, "tune", ...args);
    assert(result.stderr.includes(message), `${args}: ${result.stderr}`);
    assertEquals([result.code, result.stdout], [code, ""]);
    assertEquals([...Deno.readDirSync(dir)], []);
  }
});
