/** Options that do not exist are refused wherever options are taken: a misspelt one would silently do nothing. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  AdamW,
  answerTask,
  chainSum,
  countdown,
  evaluate,
  groupAdvantages,
  jsonlDataset,
  learningRateAt,
  lossWeights,
  maze,
  MetricsLog,
  openGpu,
  parity,
  Policy,
  policyGradient,
  randomPrompts,
  TensorBoardLog,
  train,
  WarmStart,
} from "../mod.ts";
import { loadTokenizer, textCountdown } from "../src/text/mod.ts";
import { sharedGpu } from "./helpers/gpu.ts";

// As a program in JavaScript, or one that spreads an object, may say it.
// deno-lint-ignore no-explicit-any
const wrong: any = { seeed: 1 };
const refused = /(has no option|no setting|not a field).*seeed|seeed.*(has no option|not a field)/;

/** Every call that takes options, without what it needs besides: names are looked at first. */
const PURE: Readonly<Record<string, () => unknown>> = {
  parity: () => parity(wrong),
  chainSum: () => chainSum(wrong),
  countdown: () => countdown(wrong),
  maze: () => maze(wrong),
  answerTask: () => answerTask([], { name: "x", rewards: {}, ...wrong }),
  textCountdown: () => textCountdown(wrong),
  randomPrompts: () => randomPrompts(() => ({ prompt: [1] }), wrong),
  groupAdvantages: () => groupAdvantages([1, 0], 2, wrong),
  lossWeights: () => lossWeights([1, 2], { lossScaleFactor: 2, ...wrong }),
  learningRateAt: () => learningRateAt(0, { learningRate: 1, totalSteps: 1, ...wrong }),
};

for (const [name, call] of Object.entries(PURE)) {
  Deno.test(`${name} refuses an option that does not exist`, () => {
    const { message } = assertThrows(call, TypeError);
    assertEquals(refused.test(message), true, message);
  });
}

Deno.test("a device, a policy and what works with them refuse options that do not exist", async () => {
  const gpu = await sharedGpu();
  const config = { vocabSize: 8, hiddenSize: 16, numHiddenLayers: 1, eosTokenId: 1 };
  const policy = Policy.create(gpu, config);
  const task = parity();
  const batch = {
    prompts: [[2]],
    completions: [[3], [4]],
    rewards: [0, 1],
    oldLogProbs: [[-2], [-2]],
  };
  const options = { numGenerations: 2 };
  const calls: Readonly<Record<string, () => unknown>> = {
    openGpu: () => openGpu(wrong),
    "Policy.create": () => Policy.create(gpu, config, wrong),
    "Policy.create's config": () => Policy.create(gpu, { ...config, ...wrong }),
    "Policy.zeros": () => Policy.zeros(gpu, config, wrong),
    "Policy.load": () => Policy.load(gpu, "nowhere", wrong),
    "Policy.save": () => policy.save("nowhere", wrong),
    addAdapters: () => policy.addAdapters({ rank: 1, ...wrong }),
    score: () => policy.score([[2]], [[3]], wrong),
    generate: () => policy.generate([[2]], { maxCompletionLength: 1, ...wrong }),
    "generate without prompts": () => policy.generate([], { maxCompletionLength: 1, ...wrong }),
    stream: () => policy.stream([[2]], { maxCompletionLength: 1, ...wrong }).next(),
    policyGradient: () => policyGradient(policy, batch, { ...options, ...wrong }),
    "policyGradient's batch": () => policyGradient(policy, { ...batch, ...wrong }, options),
    evaluate: () => evaluate(policy, task, wrong),
    AdamW: () => AdamW.create(gpu, policy.parameters, { learningRate: 1, ...wrong }),
    WarmStart: () =>
      WarmStart.create(policy, task, { steps: 1, batchSize: 1, learningRate: 1, ...wrong }),
    train: () => train({ policy, task, maxSteps: 1, learningRate: 1, ...wrong }).next(),
    loadTokenizer: () => loadTokenizer("nowhere", wrong),
    MetricsLog: () => MetricsLog.open("nowhere/metrics.jsonl", wrong),
    TensorBoardLog: () => TensorBoardLog.open("nowhere", wrong),
    jsonlDataset: () => jsonlDataset("nowhere", wrong),
  };
  for (const [name, call] of Object.entries(calls)) {
    // deno-lint-ignore require-await -- some throw at once
    const { message } = await assertRejects(async () => call(), Error, undefined, name);
    assertEquals(refused.test(message), true, `${name}: ${message}`);
  }
  policy.destroy();
});
