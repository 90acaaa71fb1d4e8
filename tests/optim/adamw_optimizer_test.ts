import { assert, assertRejects, assertStringIncludes } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { submit } from "../../src/gpu/submit.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import {
  AdamW,
  type AdamWOptions,
  type OptimizedParameters,
} from "../../src/optim/adamw_optimizer.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const PROMPTS = [[2], [3]];
const COMPLETIONS = [[5, 1], [6, 6, 1], [7, 1], [6, 1]];
const BATCH = {
  prompts: PROMPTS,
  completions: COMPLETIONS,
  rewards: [1, 0, 0, 1],
  oldLogProbs: COMPLETIONS.map((ids) => ids.map(() => -2)),
};

/** How far three steps of a loop of one's own move the logits. */
async function moved(dtype: StoredDType): Promise<number> {
  const gpu = await openGpu();
  const policy = tinyPolicy(gpu, tinyTask(), 3, { dtype });
  const before = await policy.logits(PROMPTS);
  const optimizer = await AdamW.create(gpu, policy.parameters, { learningRate: 0.02 });
  for (let step = 0; step < 3; step++) {
    await policyGradient(policy, BATCH, { numGenerations: 2 });
    submit(gpu, [optimizer.plan]);
    optimizer.advance();
  }
  const after = await policy.logits(PROMPTS);
  optimizer.destroy();
  policy.destroy();
  await gpu.close();
  return after.reduce((most, v, i) => Math.max(most, Math.abs(v - before[i]!)), 0);
}

Deno.test("a step moves the matrices that are stored in f16 as it moves those in f32", async () => {
  const [full, half] = [await moved("f32"), await moved("f16")];
  assert(Math.abs(half / full - 1) < 0.02, `logits move ${half} in f16 and ${full} in f32`);
});

test.onGpu("AdamW.create() refuses parts that are missing or do not go together", async (gpu) => {
  const [values, gradients] = [gpu.tensor([64]), gpu.tensor([128])];
  const options = { learningRate: 0.1 };
  const refused = async (parameters: unknown, message: string, given: unknown = options) => {
    const error = await assertRejects(
      () => AdamW.create(gpu, parameters as OptimizedParameters, given as AdamWOptions),
      Error,
    );
    assertStringIncludes(error.message, message);
  };
  await refused(values, "hand over policy.parameters");
  await refused({ values }, "hand over policy.parameters");
  await refused({ values, gradients: values }, "say halves: undefined where there are none");
  await refused(
    { values, gradients, halves: undefined },
    "as many gradients as values, 64: got 128",
  );
  const halves = gpu.tensor([128], { dtype: "f16" });
  await refused({ values, gradients: values, halves }, "as many halves as values, 64: got 128");
  const two = { values, gradients: values, halves: undefined };
  await refused(two, "learningRate of AdamW must be", {});
  const meant = "AdamW has no option learnRate, did you mean learningRate?";
  await refused(two, meant, { learnRate: 0.1 });
  await refused(two, "must be one of f32, bf16: current value is f16", {
    ...options,
    dtype: "f16",
  });
  const apart = { ...two, gradients: gpu.tensor([64]) };
  // 0 / 0 where there is no gradient, also where float32 makes it 0.
  for (const epsilon of [0, 1e-60, NaN, -1]) {
    await refused(apart, "eps must be a number > 0 in float32", { ...options, epsilon });
  }
  await refused(apart, "beta1 must be from 0 to below 1", { ...options, beta1: "0.9" });
  await refused(apart, "maxGradNorm must be a number >= 0", { ...options, maxGradNorm: -1 });
  await refused(two, "seed of AdamW must be an integer", { ...options, seed: -1 });
  for (const tensor of [values, gradients, halves, apart.gradients]) gpu.destroyTensor(tensor);
});
