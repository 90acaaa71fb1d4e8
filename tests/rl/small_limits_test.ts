import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Policy } from "../../src/model/policy.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { withLimits } from "../helpers/gpu.ts";
import { tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

/** What a device does with a policy whose embedding and head have 128 KiB. */
async function run(gpu: Gpu, dtype: "f32" | "f16") {
  const task = tinyTask();
  const policy = Policy.create(gpu, {
    vocabSize: 1024,
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
  // More sequences than a binding has room for the cache of.
  const measured = await evaluate(policy, task, { prompts: 16, numGenerations: 4 });
  const trainer = await Trainer.create(policy, task, {
    maxSteps: 1,
    learningRate: 1e-2,
    promptsPerStep: 2,
    numGenerations: 2,
    maxTokensPerMicroBatch: 20,
    beta: 0.1,
    entropyCoef: 0.01,
  });
  const { completions, metrics } = await trainer.next();
  const parameters = await policy.parameters.read();
  trainer.destroy();
  policy.destroy();
  return { scores, logits, measured, completions, metrics, parameters };
}

for (const dtype of ["f32", "f16"] as const) {
  test.onGpu(`a policy in ${dtype} is the same where little can be bound at once`, async (gpu) => {
    const plenty = await run(gpu, dtype);
    // An eighth of the embedding.
    const little = await run(withLimits(gpu, 2 ** 14, 2 ** 30), dtype);
    assertEquals(little.scores, plenty.scores);
    assertEquals(little.logits, plenty.logits);
    assertEquals(little.measured, plenty.measured);
    assertEquals(little.completions, plenty.completions);
    assertEquals(little.metrics["actor/entropy"], plenty.metrics["actor/entropy"]);
    // The gradient of the hidden states is a sum over the vocabulary, whose cuts show in its rounding.
    const moved = (a: Float32Array, b: Float32Array) =>
      a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
    const norm = plenty.metrics["actor/grad_norm"]!;
    assert(Math.abs(little.metrics["actor/grad_norm"]! - norm) < 1e-6 * norm);
    for (const [name, values] of plenty.parameters) {
      const error = moved(values, little.parameters.get(name)!);
      assert(error < 2e-5, `${name} differs by ${error}`);
    }
  });
}
