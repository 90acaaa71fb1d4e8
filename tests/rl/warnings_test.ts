import { assert, assertEquals } from "@std/assert";
import { freshConfig, type PolicyConfig, resolveConfig } from "../../src/model/config.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { TrainingWarnings } from "../../src/rl/warnings.ts";
import { parity } from "../../src/tasks/parity.ts";

const HEALTHY = {
  "reward/mean": 0.4,
  "response_length/clip_ratio": 0.1,
  "frac_reward_zero_std": 0.3,
  "actor/entropy": 0.5,
};

const PADDING = parity().padTokenId;
const SIZE = { vocabSize: parity().vocabulary.length };

function watch(
  options: Partial<TrainOptions> = {},
  policy: PolicyConfig = freshConfig({ ...SIZE, padTokenId: PADDING }),
): TrainingWarnings {
  return new TrainingWarnings(
    resolveTrainOptions({ maxSteps: 1, learningRate: 1, ...options }, 32),
    policy,
    parity(),
  );
}

/** The steps, counted from 1, at which there were warnings, and all warnings. */
function observe(steps: readonly Record<string, number>[], options?: Partial<TrainOptions>) {
  const observer = watch(options);
  const warnings = steps.map((metrics) => observer.observe({ ...HEALTHY, ...metrics }, []));
  const at = warnings.flatMap((list, i) => list.length > 0 ? [i + 1] : []);
  return { at, warnings: warnings.flat() };
}

const times = (n: number, metrics: Record<string, number>) =>
  Array.from({ length: n }, () => metrics);

Deno.test("a healthy run has no warnings", () => {
  assertEquals(observe(times(50, {})).at, []);
});

Deno.test("truncation is reported at once, when it begins, and again when it comes back", () => {
  const cut = { "response_length/clip_ratio": 0.6 };
  const { at, warnings } = observe([{}, cut, cut, {}, cut]);
  assertEquals(at, [2, 5]);
  assert(warnings[0]!.startsWith("60 % of the responses are cut off at maxCompletionLength = 32"));
  assert(warnings[0]!.includes("raise it"));
  assertEquals(observe(times(9, { "response_length/clip_ratio": 0.5 })).at, []);
});

Deno.test("lack of signal has to last, and the remedy depends on the reward", () => {
  const none = { "frac_reward_zero_std": 0.95 };
  const { at, warnings } = observe(times(12, { ...none, "reward/mean": 0.01 }));
  assertEquals(at, [5]);
  assert(warnings[0]!.includes("raise numGenerations"));
  assertEquals(observe([...times(4, none), {}, ...times(4, none)]).at, []);
  const solved = observe(times(5, { ...none, "reward/mean": 0.99 }));
  assert(solved.warnings[0]!.includes("the task is learnt"));
  // A single response per prompt never differs from itself.
  assertEquals(
    observe(times(9, { "frac_reward_zero_std": 1 }), {
      numGenerations: 1,
      advantageEstimator: "reinforcePlusPlus",
    }).at,
    [],
  );
});

Deno.test("collapsed entropy is reported unless the task is solved", () => {
  const { at, warnings } = observe(times(8, { "actor/entropy": 0.004 }));
  assertEquals(at, [5]);
  assert(warnings[0]!.startsWith("The entropy has fallen to 0.004 nats per token"));
  assertEquals(observe(times(8, { "actor/entropy": 0.004, "reward/mean": 0.97 })).at, []);
});

Deno.test("a batch that dynamic sampling could not fill is reported", () => {
  const { at, warnings } = observe([
    { "dynamic_sampling/prompts": 32 },
    { "dynamic_sampling/prompts": 20 },
  ], { dynamicSampling: true });
  assertEquals(at, [2]);
  assert(warnings[0]!.startsWith("Dynamic sampling found 20 of 32 prompts"));
});

Deno.test("klInReward is warned of wherever rewards are divided by their deviation, by estimators too", () => {
  const said = (options: Partial<TrainOptions>) =>
    observe([{}], { beta: 1e-3, klInReward: true, ...options }).warnings
      .filter((warning) => warning.startsWith("klInReward"));
  const cases = [
    {},
    { advantageEstimator: "passK" },
    { scaleRewards: "batch" },
    { advantageEstimator: "reinforcePlusPlus" },
    { advantageEstimator: "reinforcePlusPlusBaseline" },
  ] as const;
  for (const options of cases) {
    assertEquals(said(options).length, 1, JSON.stringify(options));
    assertEquals(said({ ...options, klAfterNormalization: true }), []);
  }
  for (const advantageEstimator of ["drGrpo", "rloo", "opo"] as const) {
    assertEquals(said({ advantageEstimator }), []);
  }
});

Deno.test("samples that the loss does not know to be truncated are reported once", () => {
  for (const options of [{ topK: 20 }, { topP: 0.9 }, { minP: 0.05 }]) {
    const { at, warnings } = observe(times(3, {}), options);
    assertEquals(at, [1]);
    assert(warnings[0]!.includes("ratios are those of the whole distribution"));
  }
  assertEquals(observe(times(3, {}), { topK: 0, topP: 1, minP: 0 }).at, []);
});

Deno.test("padding in responses is reported where the policy may write it, with the remedy", () => {
  const completions = [[3, PADDING, 1], [3, 1], [3, 3, 1], [3, 4, 1]];
  const warnings = (policy: PolicyConfig, of = completions) =>
    watch({}, policy).observe(HEALTHY, of);
  const [warning] = warnings(resolveConfig(SIZE));
  assert(warning?.startsWith("25 % of the responses have padding (<pad>, id 0) in them"), warning);
  assert(warning?.includes("padTokenId: 0"), warning);
  assertEquals(warnings(resolveConfig(SIZE), completions.slice(1)), []);
  // Another trainer's samples: these may have it.
  assertEquals(warnings(freshConfig({ ...SIZE, padTokenId: PADDING })), []);
});
