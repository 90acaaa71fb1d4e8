import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Policy } from "../../src/model/policy.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { withLimits } from "../helpers/gpu.ts";
import { test } from "../helpers/test.ts";
import { tinyTask } from "../helpers/tiny_task.ts";

/** What a device does with a policy whose embedding and head are larger than all else. */
async function run(gpu: Gpu, dtype: StoredDType, vocabSize: number) {
  const task = tinyTask();
  const policy = Policy.create(gpu, {
    vocabSize,
    hiddenSize: 32,
    intermediateSize: 64,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    tieWordEmbeddings: false,
    eosTokenId: task.eosTokenId,
  }, { seed: 3, dtype });
  const prompts = [[3, 4, 1000], [5, 700]];
  const scores = await policy.score(prompts, [[600, 7, 8], [1023, 2]]);
  const logits = await policy.logits(prompts.map((prompt) => prompt.slice(0, 2)));
  const generated = await policy.generate(prompts, { numGenerations: 3, maxCompletionLength: 4 });
  // More sequences than a binding has room for the cache of.
  const measured = await evaluate(policy, task, { prompts: 16, numGenerations: 4 });
  const trainer = await Trainer.create(policy, task, {
    maxSteps: 2,
    learningRate: 1e-2,
    promptsPerStep: 2,
    numGenerations: 2,
    maxTokensPerMicroBatch: 20,
    beta: 0.1,
    entropyCoef: 0.01,
  });
  const steps = [await trainer.next(), await trainer.next()].map(({ completions, metrics }) => ({
    completions,
    metrics: Object.fromEntries(
      Object.entries(metrics).filter(([name]) => !/^(timing|perf)/.test(name)),
    ),
  }));
  // Uniforms have no tensor; devices hold at least 256 MiB in a buffer.
  const storage = gpu.buffers.filter(({ label }) => !label.endsWith(".params"));
  const largest = Math.max(...storage.map(({ size }) => size));
  const parameters = await policy.parameters.read();
  trainer.destroy();
  policy.destroy();
  return { results: { scores, logits, generated, measured, steps, parameters }, largest };
}

const KIB = 2 ** 10;

for (
  const [dtype, vocabSize, bound, buffer] of [
    // An eighth of the embedding.
    ["f32", 1024, 16 * KIB, 2 ** 30],
    ["f16", 1024, 16 * KIB, 16 * KIB],
    // Somewhat less than the embedding, whose rows are no multiple of what rows are cut at.
    ["f32", 8328, 1024 * KIB, 1024 * KIB],
  ] as const
) {
  test.onGpu(`a policy in ${dtype} is the same to the bit where ${bound / KIB} KiB are bound at once, ${buffer / KIB} KiB to a buffer`, async (gpu) => {
    const plenty = await run(gpu, dtype, vocabSize);
    const little = await run(withLimits(gpu, bound, buffer), dtype, vocabSize);
    assertEquals(little.results, plenty.results);
    assert(plenty.largest > bound);
    assert(little.largest <= buffer, `a buffer of ${little.largest} bytes`);
  });
}
