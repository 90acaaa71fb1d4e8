import { assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/gpu/device.ts";
import { submit } from "../../src/gpu/submit.ts";
import { Policy } from "../../src/model/policy.ts";
import { AdamW } from "../../src/optim/adamw_optimizer.ts";
import { policyGradient, type PolicyGradientOptions } from "../../src/rl/policy_gradient.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { loadTinyQwen2, tinyQwen2Folder } from "../helpers/tiny_qwen2.ts";
import { test as shared } from "../helpers/test.ts";

const { oracle, truth } = loadTinyQwen2();
const P = oracle.prompt_length;
const M = oracle.M;
const rowsOf = (name: string) => {
  const { data, shape } = truth.get(name)!;
  return oracle.response_lengths.map((length, b) =>
    Array.from(data.slice(b * shape[1]!, b * shape[1]! + length))
  );
};
const batch = {
  prompts: oracle.tokens.map((row) => row.slice(0, P)),
  completions: oracle.tokens.map((row, b) => row.slice(P, P + oracle.response_lengths[b]!)),
  rewards: oracle.rewards,
  oldLogProbs: rowsOf("old_log_probs"),
  refLogProbs: rowsOf("ref_log_probs"),
};

/** Options of the aggregation rules by the oracle's names. */
const RULES: Record<string, Partial<PolicyGradientOptions>> = {
  "grpo": { lossAggregation: "grpo" },
  "dapo": { lossAggregation: "dapo" },
  "dr_grpo": { lossAggregation: "drGrpo" },
  "delta_l:1": { lossAggregation: "deltaL", lossAlpha: 1 },
  "delta_l:0.75": { lossAggregation: "deltaL", lossAlpha: 0.75 },
  "delta_l:0.5": { lossAggregation: "deltaL", lossAlpha: 0.5 },
  "delta_l:0": { lossAggregation: "deltaL", lossAlpha: 0 },
};

/** Options of the objectives by the oracle's names. */
const OBJECTIVES: Record<string, Partial<PolicyGradientOptions>> = {
  clip: {
    policyLoss: "ppo",
    epsilon: oracle.clip_ratio_low,
    epsilonHigh: oracle.clip_ratio_high,
    dualClip: oracle.clip_ratio_c,
  },
  reinforce: { policyLoss: "reinforce", advantageEstimator: "drGrpo" },
};
OBJECTIVES.clip_kl_entropy = {
  ...OBJECTIVES.clip,
  beta: oracle.kl_coef,
  klEstimator: "k3",
  entropyCoef: oracle.entropy_coef,
};

function optionsOf(objective: string, rule: string): PolicyGradientOptions {
  return {
    numGenerations: oracle.num_generations,
    lossScaleFactor: M,
    ...OBJECTIVES[objective],
    ...RULES[rule],
  };
}

async function withTiny(gpu: Gpu, body: (policy: Policy) => Promise<void>): Promise<void> {
  const policy = await Policy.load(gpu, fileURLToPath(tinyQwen2Folder));
  try {
    await body(policy);
  } finally {
    policy.destroy();
  }
}

/** Tests of the policy, on every path the kernels have. */
const test = {
  ...shared,
  onPolicy(name: string, body: (policy: Policy) => Promise<void>): void {
    shared.onDevices(name, (gpu) => withTiny(gpu, body));
  },
};

test.onPolicy("policyGradient() gives PyTorch's loss and gradient norm for every objective and rule", async (policy) => {
  for (const [name, expected] of Object.entries(oracle.cases)) {
    if (name === "sft") continue;
    const [objective, rule] = [
      name.slice(0, name.indexOf(".")),
      name.slice(name.indexOf(".") + 1),
    ];
    const { loss, gradNorm } = await policyGradient(policy, batch, optionsOf(objective, rule));
    // The losses of one objective differ by rule only, so the largest of them sets the scale.
    const scale = Math.max(
      ...Object.entries(oracle.cases).filter(([n]) => n.startsWith(`${objective}.`))
        .map(([, c]) => Math.abs(c.loss)),
    );
    assertClose([loss], [expected.loss], { tolerance: 1e-5, scale, label: `${name} loss` });
    assertClose([gradNorm], [expected.grad_norm], { tolerance: 1e-5, label: `${name} norm` });
  }
});

test.onPolicy("policyGradient() gives PyTorch's gradient of every parameter", async (policy) => {
  for (const rule of ["dapo", "delta_l:1", "delta_l:0.75"]) {
    const { gradients } = await policyGradient(policy, batch, optionsOf("clip", rule));
    for (const [name, values] of gradients) {
      assertClose(values, truth.get(`grad.clip.${rule}.${name}`)!.data, {
        tolerance: 2e-4,
        label: `${rule} ${name}`,
      });
    }
    assertEquals(gradients.size, policy.parameters.names.length);
  }
});

test.onPolicy("three AdamW steps follow PyTorch's", async (policy) => {
  const { gpu } = policy;
  const { lr, beta1, beta2, eps, weight_decay, max_grad_norm } = oracle.adamw;
  const { parameters } = policy;
  const optimizer = await AdamW.create(gpu, parameters, {
    learningRate: lr,
    beta1,
    beta2,
    epsilon: eps,
    weightDecay: weight_decay,
    maxGradNorm: max_grad_norm,
  });
  for (const expected of oracle.adamw_trajectory) {
    const options = optionsOf("clip", "delta_l:0.75");
    const { loss, gradNorm } = await policyGradient(policy, batch, options);
    assertClose([loss], [expected.loss], { tolerance: 1e-4, label: "loss" });
    assertClose([gradNorm], [expected.grad_norm], { tolerance: 1e-4, label: "norm" });
    submit(gpu, [optimizer.plan]);
    optimizer.advance();
  }
  for (const [name, values] of await parameters.read()) {
    assertClose(values, truth.get(`adamw.after3.${name}`)!.data, {
      tolerance: 2e-4,
      label: name,
    });
  }
  optimizer.destroy();
});

test.onPolicy("the gradient of deltaL at α = 1 is H/M times that of grpo, and at α = 0 that of drGrpo", async (policy) => {
  const gradient = async (rule: string) =>
    (await policyGradient(policy, batch, optionsOf("clip", rule))).gradients;
  const [deltaL1, grpo] = [await gradient("delta_l:1"), await gradient("grpo")];
  const harmonicMean = oracle.response_lengths.length /
    oracle.response_lengths.reduce((sum, length) => sum + 1 / length, 0);
  for (const [name, values] of grpo) {
    assertClose(deltaL1.get(name)!, values.map((v) => v * harmonicMean / M), {
      tolerance: 1e-5,
      label: name,
    });
  }
  const [deltaL0, drGrpo] = [await gradient("delta_l:0"), await gradient("dr_grpo")];
  for (const [name, values] of drGrpo) {
    assertClose(deltaL0.get(name)!, values, { tolerance: 1e-5, label: name });
  }
});

test.onPolicy("policyGradient() does not depend on the micro-batches, and repeats bit for bit", async (policy) => {
  const options = optionsOf("clip_kl_entropy", "delta_l:0.75");
  const whole = await policyGradient(policy, batch, options);
  assertEquals(await policyGradient(policy, batch, options), whole);
  for (const maxTokensPerMicroBatch of [24, 40, 77]) {
    const split = await policyGradient(policy, batch, { ...options, maxTokensPerMicroBatch });
    assertClose([split.loss], [whole.loss], { tolerance: 1e-5, label: "loss" });
    for (const [name, values] of whole.gradients) {
      assertClose(split.gradients.get(name)!, values, { tolerance: 1e-5, label: name });
    }
  }
});

test.onPolicy("policyGradient() takes one prompt per group as well", async (policy) => {
  const options = optionsOf("clip", "dapo");
  const G = oracle.num_generations;
  const prompts = batch.prompts.filter((_, b) => b % G === 0);
  assertEquals(
    await policyGradient(policy, { ...batch, prompts }, options),
    await policyGradient(policy, batch, options),
  );
});

test.onGpu("policyGradient() refuses a batch that does not fit together", async (gpu) => {
  await withTiny(gpu, async (policy) => {
    const options = optionsOf("clip", "delta_l:1");
    const refused = (change: object, message: string, more: object = {}) =>
      assertRejects(
        () => policyGradient(policy, { ...batch, ...change }, { ...options, ...more }),
        RangeError,
        message,
      );
    await refused({}, "numGenerations must be", { numGenerations: 5 });
    // From JavaScript, whole arguments may be missing.
    const untyped = policyGradient as (...args: unknown[]) => Promise<unknown>;
    await assertRejects(() => untyped(policy), TypeError, "policyGradient needs prompts");
    await assertRejects(() => untyped(policy, batch), RangeError, "current value is undefined");
    await refused({ rewards: [1] }, "rewards must have one entry per completion, 12");
    await refused({ rewards: batch.rewards.map(() => NaN) }, "rewards[0] must be a finite number");
    await refused({ oldLogProbs: batch.oldLogProbs.slice(1) }, "oldLogProbs must have");
    await refused(
      { oldLogProbs: batch.oldLogProbs.map((row) => [...row, 0]) },
      "oldLogProbs[0] must have one number per token",
    );
    await refused(
      { prompts: batch.prompts.map((p, b) => b === 1 ? [1] : p) },
      "prompts[1] differs",
    );
    await refused({ prompts: batch.prompts.slice(1) }, "prompts must have one entry");
    await refused({ completions: batch.completions.map(() => []) }, "completions[0] is empty");
    // One number that is none changes the gradient silently: 0 for null, nothing at all for NaN.
    for (const name of ["oldLogProbs", "refLogProbs"] as const) {
      for (const bad of [NaN, -Infinity, undefined, null, "-1"]) {
        const rows = batch[name].map((row, b) => row.map((v, t) => b === 2 && t === 1 ? bad : v));
        await refused({ [name]: rows }, `${name}[2][1] must be a finite number: current value is`);
      }
      const holes = batch[name].map((row, b) => b === 1 ? undefined : row);
      await refused({ [name]: holes }, `${name}[1] must have one number per token`);
    }
    const { refLogProbs: _, ...alone } = batch;
    await assertRejects(
      () => policyGradient(policy, alone, { ...options, beta: 1 }),
      RangeError,
      "beta is 1 and refLogProbs are missing",
    );
    // As from JavaScript, where nothing says what is missing.
    for (const name of ["prompts", "completions", "rewards", "oldLogProbs"] as const) {
      await assertRejects(
        () => policyGradient(policy, { ...batch, [name]: undefined! }, options),
        TypeError,
        `policyGradient needs ${name}`,
      );
    }
    // Settings of training would do nothing here.
    for (
      const setting of [
        { preset: "dapo" },
        { klInReward: true },
        { maskTruncatedCompletions: true },
        { dynamicSampling: true },
        { learningRate: 1e-3 },
      ]
    ) {
      await assertRejects(
        () => policyGradient(policy, batch, { ...options, ...setting }),
        TypeError,
        `${Object.keys(setting)[0]} is a setting of training`,
      );
    }
    await policyGradient(policy, batch, { ...options, preset: undefined } as typeof options);
    await refused({}, "lossAlpha must be", { lossAlpha: -1 });
    await refused({}, "lossAggregation must be one of", { lossAggregation: "mean" });
    await refused({}, "maxTokensPerMicroBatch = 20", { maxTokensPerMicroBatch: 20 });
  });
});
