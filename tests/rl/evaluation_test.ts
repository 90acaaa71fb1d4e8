import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { evaluate, sampleTraining } from "../../src/rl/evaluation.ts";
import { Policy } from "../../src/model/policy.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { monotonicityScore, rankCorrelation } from "../../src/lab/monotonicity.ts";
import { passAtK, passAtKSizes } from "../../src/objective/pass_at_k.ts";
import type { Rollout } from "../../src/rl/rollout.ts";
import { quantile, summariseSamples } from "../../src/rl/sample_summary.ts";
import type { Task } from "../../src/task/task.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const near = { tolerance: 1e-12 };

/** All subsets of k of the elements. */
function subsets<T>(elements: readonly T[], k: number): T[][] {
  if (k === 0) return [[]];
  return elements.flatMap((first, i) =>
    subsets(elements.slice(i + 1), k - 1).map((rest) => [first, ...rest])
  );
}

Deno.test("passAtK() is the share of all subsets of k samples with a right one", () => {
  for (let samples = 1; samples <= 8; samples++) {
    for (let right = 0; right <= samples; right++) {
      const list = Array.from({ length: samples }, (_, i) => i < right);
      for (let k = 1; k <= samples; k++) {
        const all = subsets(list, k);
        const share = all.filter((subset) => subset.includes(true)).length / all.length;
        assertAlmostEquals(passAtK(samples, right, k), share, 1e-12);
      }
    }
  }
  // No overflow where binomials have thousands of digits.
  assertAlmostEquals(passAtK(20_000, 1, 10_000), 0.5, 1e-9);
});

Deno.test("paper vectors: mean@8 and pass@8, which verl's bootstrap underestimates", () => {
  for (const [key, expected] of Object.entries(vectors.validation_metrics.by_k)) {
    const right = Number(key);
    assertAlmostEquals(passAtK(8, right, 1), expected["mean@8"], 1e-12);
    assertEquals(passAtK(8, right, 8), expected["true pass@8"]);
    const bootstrap = expected["exact expectation 1-(1-k/8)^8"];
    assertAlmostEquals(1 - (1 - passAtK(8, right, 1)) ** 8, bootstrap, 1e-9);
    assert(bootstrap <= passAtK(8, right, 8));
  }
});

Deno.test("passAtK() refuses impossible counts", () => {
  for (const [n, c, k] of [[8, 9, 1], [8, -1, 1], [8, 1, 9], [8, 1, 0], [8, 0.5, 1]] as const) {
    assertThrows(() => passAtK(n, c, k), RangeError, `got samples ${n}, right ${c}, k ${k}`);
  }
  assertEquals([1, 2, 3, 8, 12].map(passAtKSizes), [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [
    1,
    2,
    4,
    8,
    12,
  ]]);
});

Deno.test("monotonicityScore() is the rank correlation of step and accuracy", () => {
  assertEquals(monotonicityScore([0.1, 0.2, 0.9, 0.91]), 1);
  assertEquals(monotonicityScore([4, 3, 2, 1]), -1);
  assertEquals([monotonicityScore([0.5, 0.5, 0.5]), monotonicityScore([0.5])], [0, 0]);
  // d = (0, 1, 1, 0), 1 - 6 Σd² / (n³ - n).
  assertAlmostEquals(monotonicityScore([0.1, 0.3, 0.2, 0.4]), 1 - 6 * 2 / 60, 1e-12);
  // The larger a step back, the lower; and only the order counts.
  const curves = [[1, 2, 3, 4, 5], [1, 3, 2, 4, 5], [5, 1, 2, 3, 4]];
  const scores = curves.map(monotonicityScore);
  assert(scores[0]! > scores[1]! && scores[1]! > scores[2]!);
  assertEquals(curves.map((c) => monotonicityScore(c.map((x) => Math.exp(3 * x)))), scores);
  assertThrows(() => rankCorrelation([1, 2], [1]), RangeError, "pass as many");
  for (const bad of [NaN, undefined, null, Infinity]) {
    const curve = [0.1, bad as number, 0.3];
    assertThrows(() => monotonicityScore(curve), RangeError, "accuracies[1] must be a finite");
    assertThrows(() => rankCorrelation([1, 2, 3], curve), RangeError, "y[1] must be a finite");
    assertThrows(() => rankCorrelation(curve, [1, 2, 3]), RangeError, "x[1] must be a finite");
  }
});

const lengthsOf = (lengths: readonly number[]) => lengths.map((n) => new Array<number>(n).fill(2));

/** A rollout of four samples per prompt. */
function rollout(rewards: (number | null)[], lengths: number[]): Rollout {
  return {
    problems: Array.from({ length: rewards.length / 4 }, () => ({ promptIds: [2], metadata: 0 })),
    numGenerations: 4,
    completions: lengthsOf(lengths),
    truncated: lengths.map((n) => n === 9),
    entropySums: Float32Array.from(lengths, (n) => n / 2),
    rewards,
    solved: rewards.map((r) => r !== null && r >= 1),
    rewardsByFunction: {},
    seconds: { generation: 1, reward: 1 },
  };
}

Deno.test("summariseSamples() leaves out what could not be judged, in every figure of rewards", () => {
  const summary = summariseSamples([
    // The first prompt is right whenever it is judged, the second never is, the third one time in four.
    rollout([1, 1, null, null, null, null, null, null], [1, 1, 1, 1, 2, 2, 2, 2]),
    rollout([1, 0, 0, 0], [1, 2, 2, 2]),
  ]);
  // Counted as not right, they gave pass@1 of 0.25 beside a mean reward of 0.5.
  assertEquals([summary.meanAtN, summary.passAtK[1]], [0.625, 0.625]);
  assertEquals(summary.passAtK, { 1: 0.625, 2: 0.75, 4: 1 });
  assertEquals([summary.passAtN, summary.allRight, summary.allWrong, summary.mixed], [
    1,
    0.5,
    0,
    0.5,
  ]);
  assertEquals([summary.unjudged, summary.prompts], [0.5, 3]);
});

Deno.test("summariseSamples() by hand", () => {
  const summary = summariseSamples([
    rollout([1, 0, 0, 0, 1, 1, 1, 1], [2, 3, 4, 9, 1, 1, 1, 1]),
    rollout([0, 0, 0.5, 0], [9, 3, 3, 3]),
  ]);
  assertEquals([summary.prompts, summary.numGenerations], [3, 4]);
  assertAlmostEquals(summary.meanAtN, 5.5 / 12, 1e-12);
  // Means by prompt 1/4, 1, 1/8.
  const means = [0.25, 1, 0.125];
  const m = 1.375 / 3;
  const squares = means.reduce((sum, x) => sum + (x - m) ** 2, 0);
  assertAlmostEquals(summary.meanAtNError, Math.sqrt(squares / 2 / 3), 1e-12);
  assertAlmostEquals(summary.passAtN, 2 / 3, 1e-12);
  assertEquals(Object.keys(summary.passAtK), ["1", "2", "4"]);
  assertClose(Object.values(summary.passAtK), [1.25 / 3, 1.5 / 3, 2 / 3], near);
  assertClose([summary.mixed, summary.allRight, summary.allWrong], [2 / 3, 1 / 3, 1 / 3], near);
  const lengths = [2, 3, 4, 9, 1, 1, 1, 1, 9, 3, 3, 3];
  assertAlmostEquals(summary.meanLength, 40 / 12, 1e-12);
  const spread = lengths.reduce((sum, n) => sum + (n - 40 / 12) ** 2, 0) / 12;
  assertAlmostEquals(summary.stdLength, Math.sqrt(spread), 1e-12);
  const inverses = lengths.reduce((sum, n) => sum + 1 / n, 0);
  assertAlmostEquals(summary.harmonicLength, 12 / inverses, 1e-12);
  assertEquals([summary.lengthP5, summary.lengthP95], [1, 9]);
  assertClose([summary.rightLength!, summary.wrongLength!], [6 / 5, 34 / 7], near);
  assertAlmostEquals(summary.truncated, 2 / 12, 1e-12);
  assertAlmostEquals(summary.entropy, 0.5, 1e-6);

  const wrong = summariseSamples([rollout([0, 0, 0, 0], [1, 1, 1, 1])]);
  assertEquals(["rightLength" in wrong, wrong.wrongLength, wrong.meanAtNError], [false, 1, NaN]);
});

Deno.test("quantile() is the smallest value that a share of the values does not exceed", () => {
  const values = [5, 1, 4, 2, 3];
  assertEquals([0, 0.2, 0.21, 0.5, 0.8, 0.95, 1].map((q) => quantile(values, q)), [
    1,
    1,
    2,
    3,
    4,
    5,
    5,
  ]);
  assertEquals([quantile([7], 0.05), quantile([], 0.5)], [7, NaN]);
});

test.onGpu("evaluate() asks no more problems than there are", async (gpu) => {
  // A letter each, and a reward that only depends on the row: all that is left to get wrong is which rows are asked.
  const task = (rows: number, right: number) =>
    defineTask({
      name: "rows",
      tokenizer: symbolTokenizer("0123456789"),
      prompts: Array.from({ length: 30 }, (_, i) => ({ prompt: `9${i}`, right: false })),
      evalPrompts: Array.from({ length: rows }, (_, i) => ({ prompt: `${i}`, right: i < right })),
      verify: { right: ({ row }) => row.right, never: () => null, half: () => 0.5 },
      rewardWeights: { half: 0 },
      maxCompletionLength: 2,
    });
  const policy = Policy.create(gpu, {
    vocabSize: 12,
    hiddenSize: 16,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    intermediateSize: 16,
    maxPositionEmbeddings: 16,
  });
  // Asked 128 times over, they gave 0.3125.
  const hundred = await evaluate(policy, task(100, 20), { numGenerations: 2 });
  assertEquals([hundred.prompts, hundred.meanAtN, hundred.greedy], [100, 0.2, 0.2]);
  assertEquals(hundred.byFunction, { right: 0.2, half: 0.5 });
  // Of 5 rows the standard error is √(0.3 / 5), not that of 128.
  const heard: number[][] = [];
  const five = await evaluate(policy, task(5, 2), {
    numGenerations: 2,
    maxCompletionLength: 11,
    onProgress: (...at) => heard.push(at),
  });
  // A batch of samples and a greedy one, in chunks of tokens.
  assertEquals(heard.map(([done]) => done! % 11).filter((done) => done === 0).length, 2);
  assertEquals(heard, heard.toSorted(([a], [b]) => a! - b!));
  assertEquals(heard.at(-1), [22, 22]);
  assertEquals(five.prompts, 5);
  assertAlmostEquals(five.meanAtNError, Math.sqrt(0.3 / 5), 1e-12);
  // A row that is there twice is one problem.
  const twice = defineTask({
    name: "twice",
    tokenizer: symbolTokenizer("0123456789"),
    prompts: ["1", "2"],
    evalPrompts: ["3", "4", "3"],
    verify: ({ prompt }) => prompt === "3",
    maxCompletionLength: 2,
  });
  assertEquals((await evaluate(policy, twice, { numGenerations: 2 })).meanAtN, 0.5);
  assertEquals((await sampleTraining(policy, twice, { numGenerations: 2 })).prompts, 2);
  policy.destroy();
});

test.onGpu("evaluate() and sampleTraining() see their splits, and the same problems every time", async (gpu) => {
  const asked: string[] = [];
  const plain = tinyTask();
  const task: Task = {
    ...plain,
    problem(split, seed, index) {
      asked.push(`${split} ${index}`);
      return plain.problem(split, seed, index);
    },
  };
  const policy = tinyPolicy(gpu, task);
  const options = { prompts: 5, numGenerations: 6 };
  const first = await evaluate(policy, task, options);
  assertEquals(asked, [...Array(2)].flatMap(() => [0, 1, 2, 3, 4].map((i) => `eval ${i}`)));
  assertEquals(await evaluate(policy, task, options), first);
  assert(first.entropy > 1 && first.entropy < Math.log(8), `entropy ${first.entropy}`);
  asked.length = 0;
  const training = await sampleTraining(policy, task, options);
  assertEquals(asked, [0, 1, 2, 3, 4].map((i) => `train ${i}`));
  assertEquals([training.prompts, training.numGenerations], [5, 6]);
  assertEquals(await sampleTraining(policy, task, options), training);
  policy.destroy();
});

test.onGpu("evaluate() refuses numbers that mean nothing", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  for (const temperature of [NaN, -1, Infinity]) {
    await assertRejects(
      () => evaluate(policy, task, { prompts: 1, temperature }),
      RangeError,
      `temperature must be a finite number >= 0: current value is ${temperature}`,
    );
  }
  policy.destroy();
});
