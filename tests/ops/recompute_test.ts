import { assert, assertEquals } from "@std/assert";
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
import { test } from "../helpers/test.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";

/** Log-probabilities of random tokens and the gradient of their weighted sum. */
async function differentiate(
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
  if (how.halves) saveInHalf(plan, forward);
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
  };
  plan.destroy();
  arena.destroy();
  policy.destroy();
  return result;
}

test.onDevices("layers computed again for the backward pass give the same bits in less memory", async (gpu) => {
  const bytes = async (again: boolean) => {
    const [few, many] = [
      await differentiate(gpu, 2, { again }),
      await differentiate(gpu, 6, { again }),
    ];
    return { few, many, perLayer: (many.bytes - few.bytes) / 4 };
  };
  const kept = await bytes(false);
  const lost = await bytes(true);
  assertEquals(lost.many.logProbs, kept.many.logProbs);
  assertEquals(lost.many.gradients, kept.many.gradients);
  for (const name of ["input_layernorm", "self_attn.qkv_proj", "mlp.gate_up_proj"]) {
    assert(lost.many.again.includes(`layers.3.${name}`), `layers.3.${name}`);
  }
  // What a layer hands to the next one stays; the last product of a layer is not run again.
  assert(!lost.many.again.includes("layers.3.mlp.down_proj"));
  assert(lost.perLayer < 0.3 * kept.perLayer, `${lost.perLayer} bytes and ${kept.perLayer}`);
  assert(lost.many.dispatches > kept.many.dispatches);
});

test.onGpu("heads that are normalised in place, and layers without rotation, are computed again too", async (gpu) => {
  const families: Partial<PolicyConfig>[] = [
    { modelType: "qwen3" },
    { modelType: "smollm3", rotatedLayers: [true, false] },
  ];
  for (const family of families) {
    const kept = await differentiate(gpu, 2, { family });
    const lost = await differentiate(gpu, 2, { family, again: true });
    assertEquals(lost.gradients, kept.gradients);
    assert(lost.again.includes("layers.1.self_attn.qkv_proj"));
    assert([...kept.gradients.values()].every((gradient) => gradient.some((g) => g !== 0)));
  }
});

test.onDevices("what layers hand to each other may wait in f16 besides", async (gpu) => {
  const exact = await differentiate(gpu, 3, { again: true });
  const rounded = await differentiate(gpu, 3, { again: true, halves: true });
  assertEquals(rounded.logProbs, exact.logProbs);
  const norm = (x: Float32Array) => Math.hypot(...x);
  for (const [name, gradient] of exact.gradients) {
    const other = rounded.gradients.get(name)!;
    const error = norm(gradient.map((g, i) => g - other[i]!)) / norm(gradient);
    assert(error < 0.02, `${name} is off by ${error}`);
  }
});
