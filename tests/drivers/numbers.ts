/**
 * Prints numbers that `bits.ts` compares, as JSON: log-probabilities that a policy gives to given responses, and the policy
 * gradient.
 *
 * @module
 */

import { openGpu, Policy, policyGradient } from "../../mod.ts";

// Dawn has no 64-bit integers, with which Deno loads twice as much at a time and adds up in another order.
const gpu = await openGpu({ treatAs: { int64: false } });
const policy = Policy.create(gpu, {
  vocabSize: 500,
  hiddenSize: 64,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  intermediateSize: 160,
});
const prompts = [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10]];
const completions = Array.from(
  { length: 8 },
  (_, b) => Array.from({ length: 3 + 7 * b }, (_, i) => (37 * i * i + 61 * b + 5) % 500),
);
const perCompletion = completions.map((_, b) => prompts[Math.floor(b / 4)]!);
const oldLogProbs = await policy.score(perCompletion, completions);
await policyGradient(
  policy,
  { prompts, completions, rewards: completions.map((_, b) => b % 3), oldLogProbs },
  { numGenerations: 4, lossAggregation: "deltaL", lossAlpha: 1, lossScaleFactor: 6 },
);
const { parameters } = policy;
const gradients = await parameters.read(parameters.gradients);
console.log(JSON.stringify({
  "log-probabilities": oldLogProbs.flatMap((row) => [...row]),
  gradient: [...gradients.values()].flatMap((values) => [...values]),
}));
Deno.exit(); // what Dawn's threads would keep alive
