import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import type { Evaluation } from "../../src/rl/evaluation.ts";
import type { StepReport } from "../../src/rl/step_report.ts";
import { evaluationMetrics } from "../../src/rl/evaluation_metrics.ts";
import { readMetrics } from "../../src/run/metrics_log.ts";
import {
  checkpointOf,
  latestRun,
  readRunConfig,
  readRunMetrics,
  refuseExisting,
  RunDirectory,
} from "../../src/run/run_directory.ts";
import { RunLock } from "../../src/run/run_lock.ts";
import { taskByName } from "../../src/tasks/mod.ts";
import { test } from "../helpers/test.ts";

const parity = taskByName("parity");
const CONFIG = { task: "parity", seed: 42 };

const EVALUATION: Evaluation = {
  byFunction: { right: 0.5 },
  meanAtN: 0.5,
  meanAtNError: 0.0625,
  passAtN: 0.75,
  passAtK: { 1: 0.5, 8: 0.75 },
  mixed: 0.5,
  allRight: 0.25,
  allWrong: 0.25,
  greedy: 0.25,
  meanLength: 6,
  stdLength: 2,
  harmonicLength: 5,
  lengthP5: 3,
  lengthP95: 9,
  rightLength: 7,
  truncated: 0.125,
  entropy: 0.375,
  numGenerations: 8,
  prompts: 16,
};

/** A step with `completions` completions of step + 1 tokens. */
function report(step: number, completions = 2): StepReport {
  const { promptIds } = parity.problem("train", 0, step);
  return {
    step,
    metrics: { "reward/mean": step / 10 },
    completions: Array.from({ length: completions }, (_, b) => ({
      promptIds,
      completionIds: [...new Array<number>(step).fill(2), 1],
      reward: b,
      advantage: b - 0.5,
      truncated: b === 0,
      ...(b === 1 ? { rewards: { right: 1, brief: null } } : {}),
    })),
    warnings: [],
  };
}

test.inDir("a run writes its settings, a line per step and the completions with their text", async (dir) => {
  const path = join(dir, "deep", "run");
  using run = await RunDirectory.create(path, CONFIG, { completionsPerStep: 2 });
  run.appendEvaluation(0, parity, EVALUATION);
  run.append(report(1, 3), parity);
  run.append(report(2, 3), parity, EVALUATION);

  assertEquals(await readRunConfig(path), CONFIG);
  assertEquals(await readRunMetrics(path), [
    { "training/global_step": 0, ...evaluationMetrics(parity, EVALUATION) },
    { "training/global_step": 1, "reward/mean": 0.1 },
    { "training/global_step": 2, "reward/mean": 0.2, ...evaluationMetrics(parity, EVALUATION) },
  ]);
  const completions = await readMetrics(join(path, "completions.jsonl"));
  assertEquals(completions.map((line) => line["training/global_step"]), [1, 1, 2, 2]);
  const { promptIds } = parity.problem("train", 0, 2);
  assertEquals(completions[2], {
    "training/global_step": 2,
    prompt: parity.describe(promptIds),
    completion: parity.describe([2, 2, 1]),
    reward: 0,
    solved: false,
    advantage: -0.5,
    length: 3,
    truncated: true,
  });
  assertEquals(completions[3]!.rewards, { right: 1, brief: null });
});

test.inDir("completions are kept of every prompt, as many of each", async (dir) => {
  const path = join(dir, "run");
  using run = await RunDirectory.create(path, CONFIG, { completionsPerStep: 7 });
  const whole = report(1, 4);
  const step = {
    ...whole,
    // Three prompts of four responses, but of the second only one.
    completions: [0, 1, 2].flatMap((prompt) =>
      whole.completions.slice(0, prompt === 1 ? 1 : 4).map((completion) => ({
        ...completion,
        promptIds: parity.problem("train", 0, prompt).promptIds,
      }))
    ),
  };
  run.append(step, parity);
  const prompts = [0, 1, 2].map((p) => parity.describe(parity.problem("train", 0, p).promptIds));
  const kept = await readMetrics(join(path, "completions.jsonl"));
  assertEquals(
    kept.map(({ prompt, reward }) => [prompts.indexOf(prompt as string), reward]),
    [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1], [2, 2]],
  );
});

Deno.test("evaluations have verl's names", () => {
  assertEquals(evaluationMetrics(parity, EVALUATION), {
    "eval/parity/mean@8": 0.5,
    "eval/parity/mean@8_error": 0.0625,
    "eval/parity/pass@1": 0.5,
    "eval/parity/pass@8": 0.75,
    "eval/parity/rewards/right/mean": 0.5,
    "eval/parity/prompts": 16,
    "eval/parity/greedy": 0.25,
    "eval/parity/entropy": 0.375,
    "eval/parity/response_length/mean": 6,
    "eval/parity/response_length/std": 2,
    "eval/parity/response_length/clip_ratio": 0.125,
    "eval/parity/response_length/correct_mean": 7,
  });
});

test.inDir("a resumed run drops what was logged after the checkpoint", async (dir) => {
  {
    using run = await RunDirectory.create(join(dir, "run"), CONFIG);
    for (const step of [1, 2, 3, 4]) run.append(report(step), parity);
  }
  const path = join(dir, "run");
  {
    using run = await RunDirectory.resume(path, RunLock.take(path), 2, { ...CONFIG, seed: 43 });
    run.append(report(3), parity);
  }
  const steps = (lines: Awaited<ReturnType<typeof readMetrics>>) =>
    lines.map((line) => line["training/global_step"]);
  assertEquals(steps(await readRunMetrics(path)), [1, 2, 3]);
  assertEquals(steps(await readMetrics(join(path, "completions.jsonl"))), [1, 1, 2, 2, 3, 3]);
  assertEquals((await readRunConfig(path)).seed, 43);
});

test.inDir("a new run does not write where something is", async (dir) => {
  (await RunDirectory.create(join(dir, "run"), CONFIG)).close();
  const error = await assertRejects(
    () => RunDirectory.create(join(dir, "run"), CONFIG),
    Deno.errors.AlreadyExists,
  );
  assertEquals(
    error.message,
    `${join(dir, "run")} is not empty: give another folder, or resume the run in it`,
  );
  await assertRejects(() => refuseExisting(join(dir, "run")), Deno.errors.AlreadyExists);
  await Deno.mkdir(join(dir, "empty"));
  await refuseExisting(join(dir, "empty"));
  (await RunDirectory.create(join(dir, "empty"), CONFIG)).close();
});

test.inDir("runs without a name are counted", async (dir) => {
  const parent = join(dir, "runs");
  const paths: string[] = [];
  const begun = await Promise.all(
    [1, 2, 3].map(() => RunDirectory.createNext(parent, "parity", CONFIG)),
  );
  for (const run of begun) {
    paths.push(run.path);
    run.close();
  }
  assertEquals(paths.sort(), [1, 2, 3].map((n) => join(parent, `parity-${n}`)));
});

test.inDir("a run has one writer", async (dir) => {
  const path = join(dir, "run");
  const run = await RunDirectory.create(path, CONFIG);
  assertThrows(() => RunLock.take(path), Deno.errors.Busy, "is being trained by another process");
  run.close();
  RunLock.take(path)[Symbol.dispose]();
});

test.inDir("the latest run is the one whose checkpoint was written last", async (dir) => {
  assertEquals(await latestRun(join(dir, "none")), undefined);
  const begin = async (name: string, task: string, time: number, checkpoint = "checkpoint") => {
    const path = join(dir, name);
    (await RunDirectory.create(path, { task })).close();
    await Deno.mkdir(join(path, checkpoint));
    const state = join(path, checkpoint, "trainer_state.json");
    await Deno.writeTextFile(state, "{}");
    await Deno.utime(state, time, time);
    return path;
  };
  const first = await begin("a", "parity", 3000);
  const second = await begin("b", "countdown", 2000);
  await begin("c", "countdown", 1000);
  (await RunDirectory.create(join(dir, "unsaved"), CONFIG)).close();
  await Deno.mkdir(join(dir, "warm-start"));
  assertEquals(await latestRun(dir), first);
  assertEquals(await latestRun(dir, "countdown"), second);
  assertEquals(await latestRun(dir, "chain-sum"), undefined);
  // Its writer was stopped between two renames.
  const third = await begin("d", "parity", 4000, "checkpoint.ready");
  assertEquals(await latestRun(dir), third);
  assertEquals(checkpointOf(third), join(third, "checkpoint"));
});

test.inDir("what is no run is refused by name", async (dir) => {
  const error = await assertRejects(() => readRunConfig(dir), Deno.errors.NotFound);
  assert(error.message.startsWith(`${dir} is not the folder of a run`), error.message);
  await Deno.writeTextFile(join(dir, "config.json"), "{");
  await assertRejects(() => readRunConfig(dir), SyntaxError, "not valid JSON");
  await Deno.writeTextFile(join(dir, "config.json"), '{"model_type": "qwen2"}');
  await assertRejects(() => readRunConfig(dir), TypeError, "is not of a run");
  assertEquals(await readRunMetrics(dir), []);
});
