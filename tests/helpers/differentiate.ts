/** A transformer's gradient as training records it, with what is done to save memory. */

import { Arena } from "../../src/gpu/arena.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import type { PolicyConfig } from "../../src/model/config.ts";
import { PackedInputs } from "../../src/model/packed_inputs.ts";
import { Policy } from "../../src/model/policy.ts";
import { encode } from "../../src/model/transformer.ts";
import { headLogProb } from "../../src/ops/head_log_prob.ts";
import { recompute } from "../../src/ops/recompute.ts";
import { saveInHalf } from "../../src/ops/saved_halves.ts";
import { randomArray, randomIntegers } from "./random.ts";

/** Log-probabilities of random tokens and the gradient of their weighted sum. */
export async function differentiate(
  gpu: Gpu,
  layers: number,
  how: { again?: boolean; halves?: boolean; family?: Partial<PolicyConfig> } = {},
) {
  const policy = Policy.create(gpu, {
    modelType: "qwen2",
    vocabSize: 48,
    hiddenSize: 64,
    numHiddenLayers: layers,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    eosTokenId: 1,
    ...how.family,
  }, { seed: 1 });
  const { parameters } = policy;
  submit(gpu, [{ clear: parameters.gradients }]);
  const arena = new Arena(gpu, "test");
  const plan = new Plan(gpu, "test", { arena, gradients: true });
  // The batch is smaller than what memory is planned for.
  const inputs = new PackedInputs(plan, 1000);
  const hidden = encode(plan, parameters, inputs);
  const { logProbs } = headLogProb(plan, hidden, parameters.head, inputs, { temperature: 1 });
  plan.keep(logProbs);
  const seeds = gpu.tensor([logProbs.capacity], { data: randomArray(5, logProbs.capacity) });
  plan.shareGradient(logProbs, seeds);
  const forward = plan.dispatches;
  plan.backward();
  const again = how.again
    ? recompute(plan, forward, (label) => /^layers\.\d+/.exec(label)?.[0])
    : [];
  const saved = how.halves ? saveInHalf(plan, forward) : [];
  await plan.compile();
  inputs.upload([3, 4].map((seed) => ({
    prompt: [...randomIntegers(seed, 10, 48)],
    responses: [20, 33].map((length, g) => ({
      sequence: 2 * (seed - 3) + g,
      tokens: [...randomIntegers(10 * seed + g, length, 48)],
    })),
  })));
  submit(gpu, [plan]);
  const result = {
    logProbs: await readTensor(gpu, logProbs),
    gradients: await parameters.read(parameters.gradients),
    bytes: arena.byteLength,
    dispatches: plan.dispatches,
    again: again.map(({ name }) => name),
    saved: saved.map(({ name }) => name),
  };
  plan.destroy();
  arena.destroy();
  policy.destroy();
  return result;
}

/** How far a gradient is from another, relative to it. */
export function relativeError(exact: Float32Array, other: Float32Array): number {
  const norm = (x: Float32Array) => Math.hypot(...x);
  return norm(exact.map((g, i) => g - other[i]!)) / norm(exact);
}
