import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { judgeProbe, probe } from "../../src/rl/probe.ts";
import type { SampleSummary } from "../../src/rl/sample_summary.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const SAMPLES: SampleSummary = {
  byFunction: {},
  prompts: 64,
  numGenerations: 16,
  meanAtN: 0.4,
  meanAtNError: 0.03,
  passAtN: 0.9,
  passAtK: { 1: 0.4, 2: 0.6, 4: 0.7, 8: 0.8, 16: 0.9 },
  mixed: 0.8,
  allRight: 0.1,
  allWrong: 0.1,
  meanLength: 40,
  stdLength: 30,
  harmonicLength: 10,
  lengthP5: 4,
  lengthP95: 90,
  truncated: 0.1,
  entropy: 0.6,
};

function judge(change: Partial<SampleSummary> & { right?: number }) {
  const { right = 0.4, ...rest } = change;
  const samples = { ...SAMPLES, ...rest, passAtK: { ...SAMPLES.passAtK, 1: right } };
  const { verdict, advice } = judgeProbe(samples, 128);
  return { verdict, advice, text: advice.join("\n") };
}

Deno.test("the verdict follows the share of right samples and of prompts to learn from", () => {
  const verdicts = [0, 0.05, 0.1, 0.4, 0.7, 0.71, 1].map((right) => judge({ right }).verdict);
  assertEquals(verdicts, ["hard", "hard", "ready", "ready", "ready", "easy", "easy"]);
  assertEquals(judge({ right: 0.01, mixed: 0.1 }).verdict, "hopeless");
  assert(judge({ right: 0.01, mixed: 0.1 }).text.includes("warm-start longer"));
  assert(judge({ right: 0.05 }).text.includes("raise numGenerations"));
  assert(judge({ right: 0.9 }).text.includes("make the task harder"));
  assertEquals(judge({}).advice.length, 2);
});

Deno.test("what is unusual is said with its remedy", () => {
  assert(
    judge({ truncated: 0.6 }).text.includes(
      "60 % of the samples are cut off at maxCompletionLength = 128",
    ),
  );
  assert(judge({ entropy: 0.05 }).text.includes("entropy is 0.050 nats"));
  assert(judge({ mixed: 0.1 }).text.includes("dynamicSampling"));
  assertEquals(judge({ truncated: 0.5, entropy: 0.1, mixed: 0.2 }).advice.length, 2);
});

Deno.test("the lengths say how much noisier a constant divisor is than ΔL", () => {
  const { noiseRatio, advice } = judgeProbe(SAMPLES, 128);
  assertAlmostEquals(noiseRatio, 2, 1e-12);
  assertEquals(
    advice.at(-1),
    "Nine in ten responses have 4 to 90 tokens: by their lengths drGrpo and dapo have 2.00 times the noise of deltaL",
  );
  const alike = judge({ lengthP5: 10, lengthP95: 19, meanLength: 12, harmonicLength: 11 });
  assert(alike.advice.at(-1)!.includes("hardly differ (drGrpo and dapo have 1.04 times"));
});

test.onGpu("probe() samples training prompts and judges them", async (gpu) => {
  const asked: string[] = [];
  const plain = tinyTask();
  const task = {
    ...plain,
    problem: (...args: Parameters<typeof plain.problem>) => {
      asked.push(args[0]);
      return plain.problem(...args);
    },
  };
  const policy = tinyPolicy(gpu, task);
  const report = await probe(policy, task, { prompts: 12, numGenerations: 8 });
  assertEquals(asked, new Array(12).fill("train"));
  assertEquals([report.samples.prompts, report.samples.numGenerations], [12, 8]);
  // A policy without training is right once in twenty times, on prompts that are mixed now and then.
  assert(report.verdict === "hard" || report.verdict === "hopeless", report.verdict);
  assert(report.samples.entropy > 1.5);
  const { meanLength, harmonicLength } = report.samples;
  assertAlmostEquals(report.noiseRatio, Math.sqrt(meanLength / harmonicLength), 1e-12);
  assert(report.noiseRatio > 1);
  policy.destroy();
});
