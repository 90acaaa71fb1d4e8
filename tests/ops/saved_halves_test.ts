import { assert, assertEquals } from "@std/assert";
import { Arena } from "../../src/gpu/arena.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { PackedInputs } from "../../src/model/packed_inputs.ts";
import { Policy } from "../../src/model/policy.ts";
import { encode } from "../../src/model/transformer.ts";
import { headLogProb } from "../../src/ops/head_log_prob.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { saveInHalf } from "../../src/ops/saved_halves.ts";
import { test } from "../helpers/test.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";

const LAYERS = 3;

/** Log-probabilities of random tokens and the gradient of their weighted sum. */
async function differentiate(gpu: Gpu, save: boolean) {
  const policy = Policy.create(gpu, {
    vocabSize: 50,
    hiddenSize: 64,
    numHiddenLayers: LAYERS,
    numAttentionHeads: 4,
    eosTokenId: 1,
  }, { seed: 1 });
  const { parameters } = policy;
  submit(gpu, [{ clear: parameters.gradients }]);
  const arena = new Arena(gpu, "test");
  const plan = new Plan(gpu, "test", { arena, gradients: true });
  // The batch is smaller than what memory is planned for.
  const inputs = new PackedInputs(plan, 200);
  const hidden = encode(plan, parameters, inputs);
  const { logProbs } = headLogProb(plan, hidden, parameters.head, inputs, { temperature: 1 });
  plan.keep(logProbs);
  const seeds = gpu.tensor([logProbs.capacity], { data: randomArray(5, logProbs.capacity) });
  plan.shareGradient(logProbs, seeds);
  const forward = plan.dispatches;
  plan.backward();
  const saved = save ? saveInHalf(plan, forward) : [];
  await plan.compile();
  inputs.upload([3, 4].map((seed) => ({
    prompt: [...randomIntegers(seed, 10, 50)],
    responses: [20, 33].map((length, g) => ({
      sequence: 2 * (seed - 3) + g,
      tokens: [...randomIntegers(10 * seed + g, length, 50)],
    })),
  })));
  submit(gpu, [plan]);
  const result = {
    logProbs: await readTensor(gpu, logProbs),
    gradients: await parameters.read(parameters.gradients),
    bytes: arena.byteLength,
    saved: saved.map(({ name }) => name),
  };
  plan.destroy();
  arena.destroy();
  policy.destroy();
  return result;
}

test.onDevices("activations saved in f16 take less memory, and only round gradients", async (gpu) => {
  const exact = await differentiate(gpu, false);
  const rounded = await differentiate(gpu, true);
  assertEquals(rounded.logProbs, exact.logProbs);
  for (let layer = 0; layer + 1 < LAYERS; layer++) {
    for (const name of ["input_layernorm", "self_attn.qkv_proj", "mlp.gate_up_proj"]) {
      const path = `layers.${layer}.${name}`;
      assert(rounded.saved.includes(path), `${path} is not among ${rounded.saved.join(", ")}`);
    }
  }
  // They are read again at once.
  assert(!rounded.saved.includes("lm_head"));
  assert(rounded.bytes < 0.8 * exact.bytes, `${rounded.bytes} bytes and ${exact.bytes} without`);

  const norm = (x: Float32Array) => Math.hypot(...x);
  let differing = 0;
  for (const [name, gradient] of exact.gradients) {
    const other = rounded.gradients.get(name)!;
    const error = norm(gradient.map((g, i) => g - other[i]!)) / norm(gradient);
    if (error > 0) differing++;
    // Each of the tensors a gradient passes by is off by at most 2^-11 of itself.
    const bound = 2 ** -11 * rounded.saved.length;
    assert(error < bound, `${name} is off by ${error}, allowed ${bound}`);
  }
  assert(differing > exact.gradients.size / 2, "nothing was rounded");
});

test.onGpu("what the backward pass changes, or is too small, is not saved in f16", async (gpu) => {
  const record = (rows: number, change: boolean) => {
    const plan = new Plan(gpu, "test", { gradients: true });
    const weights = Array.from({ length: 12 }, (_, i) => {
      const weight = gpu.tensor([64, 64], { data: randomArray(i, 4096) });
      weight.grad = gpu.tensor([64, 64]);
      return weight;
    });
    let x = plan.empty([rows, 64], "first");
    const first = x;
    for (const [i, weight] of weights.entries()) x = linear(plan, x, weight, { name: `y${i}` });
    plan.shareGradient(x, gpu.tensor([rows, 64]));
    const forward = plan.dispatches;
    plan.backward();
    if (change) {
      const writer = [...plan].at(-1)!;
      plan.dispatch({ ...writer, bindings: { ...writer.bindings, out: first } });
    }
    return saveInHalf(plan, forward).map(({ name }) => name);
  };
  const saved = record(64, false);
  // How long y9 and its neighbours rest is up to the kernels.
  for (const name of ["first", "y0", "y4"]) assert(saved.includes(name), `${saved}`);
  assert(!saved.includes("y10"), `${saved}`);
  assertEquals(record(64, true), saved.filter((name) => name !== "first"));
  assertEquals(record(63, false), []);
});
