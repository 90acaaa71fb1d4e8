import { assert, assertEquals } from "@std/assert";
import { gram, sampleGradients } from "../../src/lab/gradient_pool.ts";
import { varianceStudy } from "../../src/lab/variance_study.ts";
import { Policy } from "../../src/model/policy.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import type { Task } from "../../src/task/task.ts";
import { parity } from "../../src/tasks/mod.ts";
import { test } from "../helpers/test.ts";

/** Rewards that differ between nearly all responses, so that a policy without training has gradients. */
const task: Task = {
  ...parity({ maxBits: 4 }),
  verify: (_: unknown, ids: readonly number[]) => ids.length + ids[0]! / 7,
};
const SIZE = {
  vocabSize: task.vocabulary.length,
  hiddenSize: 16,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  intermediateSize: 24,
  eosTokenId: task.eosTokenId,
};
const POOL = {
  prompts: 8,
  numGenerations: 4,
  maxCompletionLength: task.maxCompletionLength,
  temperature: 1,
  seed: 3,
};

/** Tests with a tiny policy, on a device of their own. */
const tiny = {
  test(name: string, body: (policy: Policy) => Promise<void>): void {
    test.onGpu(name, async (gpu) => {
      const policy = Policy.create(gpu, SIZE, { seed: 1 });
      try {
        await body(policy);
      } finally {
        policy.destroy();
      }
    });
  },
};

tiny.test("weighted sums of responses' gradients are the gradients that training computes", async (policy) => {
  const pool = (await sampleGradients(policy, task, POOL))!;
  const N = pool.lengths.length;
  assertEquals(N, 32);
  assert(pool.gradients.filter((g) => g !== undefined).length > 16);
  const problems = Array.from({ length: 8 }, (_, p) => task.problem("train", POOL.seed, p));
  const { completions } = await policy.generate(problems.map((p) => p.promptIds), {
    numGenerations: 4,
    maxCompletionLength: POOL.maxCompletionLength,
    seed: POOL.seed,
  });
  assertEquals(completions.map((c) => c.length), [...pool.lengths]);
  const zero = completions.map((c) => new Float32Array(c.length));
  for (const lossAlpha of [0, 0.75, 1]) {
    const M = 20;
    const { gradients } = await policyGradient(policy, {
      prompts: problems.map((p) => p.promptIds),
      completions,
      rewards: pool.rewards,
      oldLogProbs: zero,
    }, {
      numGenerations: 4,
      policyLoss: "reinforce",
      lossAggregation: "deltaL",
      lossAlpha,
      lossScaleFactor: M,
    });
    const weights = lossWeights(pool.lengths, {
      lossAggregation: "deltaL",
      lossAlpha,
      lossScaleFactor: M,
    });
    for (const [name, expected] of gradients) {
      const { offset, length } = policy.parameters.range(name);
      let largest = 0;
      let worst = 0;
      for (let k = 0; k < length; k++) {
        let sum = 0;
        for (let i = 0; i < N; i++) sum += weights[i]! * (pool.gradients[i]?.[offset + k] ?? 0);
        largest = Math.max(largest, Math.abs(expected[k]!));
        // g_i points uphill, the loss's gradient downhill.
        worst = Math.max(worst, Math.abs(sum + expected[k]!));
      }
      assert(worst <= 2e-5 * largest, `${name} at α = ${lossAlpha}: ${worst} of ${largest}`);
    }
  }
});

tiny.test("scalar products from the GPU are those of the host, in one block or many", async (policy) => {
  const pool = (await sampleGradients(policy, task, POOL))!;
  const N = pool.lengths.length;
  const range = policy.parameters.range("model.layers.0.mlp.gate_proj.weight");
  const { products } = await gram(policy, pool.gradients, range);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      const [a, b] = [pool.gradients[i], pool.gradients[j]];
      for (let k = range.offset; a && b && k < range.offset + range.length; k++) {
        sum += a[k]! * b[k]!;
      }
      largest = Math.max(largest, Math.abs(sum));
      worst = Math.max(worst, Math.abs(products[i * N + j]! - sum));
    }
  }
  assert(largest > 0 && worst <= 1e-5 * largest, `${worst} of ${largest}`);
  const blocks = await gram(policy, pool.gradients, range, 7 * 32);
  const differ = products.findIndex((v, k) => Math.abs(v - blocks.products[k]!) > 1e-5 * largest);
  assertEquals(differ, -1);
});

tiny.test("a study of a small policy has every parameter and rule, and can be given up", async (policy) => {
  const pool = (await sampleGradients(policy, task, POOL))!;
  const options = { batchPrompts: 2, lossScaleFactor: 7, bins: 3, halves: 20, seed: 1 };
  const study = (await varianceStudy(policy, pool, { ...options, alphas: [0, 1] }))!;
  assertEquals(study.parameters.map(({ name }) => name), policy.parameters.names);
  const shares = study.parameters.reduce((sum, { share }) => sum + share, 0);
  assert(Math.abs(shares - 1) < 1e-9, `shares add up to ${shares}`);
  assertEquals(study.noise.rules.map(({ id }) => id), [
    "grpo",
    "dapo",
    "dr-grpo-std",
    "dr-grpo",
    "delta-l-0",
    "delta-l-1",
  ]);
  assertEquals(study.profile.bins.reduce((sum, { count }) => sum + count, 0), 32);
  const stop = () => Promise.resolve(true);
  assertEquals(await varianceStudy(policy, pool, { ...options, onProgress: stop }), undefined);
  assertEquals(await sampleGradients(policy, task, { ...POOL, onProgress: stop }), undefined);
});
