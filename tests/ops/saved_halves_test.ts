import { assert, assertEquals } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { saveInHalf } from "../../src/ops/saved_halves.ts";
import { differentiate, relativeError } from "../helpers/differentiate.ts";
import { randomArray } from "../helpers/random.ts";
import { test } from "../helpers/test.ts";

const LAYERS = 3;

test.onDevices("activations saved in f16 take less memory, and only round gradients", async (gpu) => {
  const exact = await differentiate(gpu, LAYERS);
  const rounded = await differentiate(gpu, LAYERS, { halves: true });
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

  let differing = 0;
  for (const [name, gradient] of exact.gradients) {
    const error = relativeError(gradient, rounded.gradients.get(name)!);
    if (error > 0) differing++;
    // Each of the tensors a gradient passes by is off by at most 2^-11 of itself.
    const bound = 2 ** -11 * rounded.saved.length;
    assert(error < bound, `${name} is off by ${error}, allowed ${bound}`);
  }
  assert(differing > exact.gradients.size / 2, "nothing was rounded");
});

test.onGpu("what the backward pass changes, or is too small, is not saved in f16", (gpu) => {
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
