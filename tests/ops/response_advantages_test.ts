import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import {
  type ResponseAdvantageOptions,
  responseAdvantages,
} from "../../src/ops/response_advantages.ts";
import {
  type AdvantageEstimator,
  ADVANTAGES,
  groupAdvantages,
  type RewardScale,
} from "../../src/objective/advantage.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomIntegers, randomUniform } from "../helpers/random.ts";
import { test } from "../helpers/test.ts";

/** What the kernel gives for these rewards. */
async function compute(
  gpu: Gpu,
  rewards: ArrayLike<number>,
  options: Omit<ResponseAdvantageOptions, "lengths">,
  lengths?: ArrayLike<number>,
): Promise<ArrayLike<number>> {
  const plan = new Plan(gpu, "test");
  const n = rewards.length;
  const advantages = responseAdvantages(plan, gpu.tensor([n], { data: rewards }), {
    ...options,
    ...(lengths ? { lengths: gpu.tensor([n], { data: lengths, dtype: "u32" }) } : {}),
  });
  plan.keep(advantages);
  await plan.compile();
  submit(gpu, [plan]);
  const values = await readTensor(gpu, advantages);
  plan.destroy();
  return values;
}

/** Every estimator with every scale it takes. */
const CHOICES: {
  advantageEstimator: AdvantageEstimator;
  scaleRewards: RewardScale;
}[] = (Object.keys(ADVANTAGES) as AdvantageEstimator[]).flatMap((advantageEstimator) =>
  (advantageEstimator === "grpo"
    ? ["group", "batch", "none"] as const
    : advantageEstimator === "passK"
    ? ["group", "none"] as const
    : ["none"] as const).map((scaleRewards) => ({ advantageEstimator, scaleRewards }))
);

test.onDevices("responseAdvantages() matches the host's float64 for every estimator and scale", async (gpu) => {
  for (const choice of CHOICES) {
    for (const [prompts, generations] of [[3, 2], [7, 8], [65, 9], [2, 64], [1, 257]] as const) {
      const n = prompts * generations;
      const rewards = randomUniform(n, n, 0, 3);
      // Some groups of equal rewards, and some with two best responses.
      for (let i = 0; i < generations; i++) rewards[i] = 0.1;
      if (prompts > 2) rewards[2 * generations] = rewards[2 * generations + 1] = 5;
      const lengths = randomIntegers(n + 1, n, 700);
      const got = await compute(gpu, rewards, { ...choice, numGenerations: generations }, lengths);
      assertClose(got, groupAdvantages(rewards, generations, { ...choice, lengths }), {
        tolerance: 1e-5,
        label: `${choice.advantageEstimator} / ${choice.scaleRewards}, ${prompts} x ${generations}`,
      });
    }
  }
});

test.onDevices("responseAdvantages() treats a response alone in its group as the host does", async (gpu) => {
  const rewards = [0.5, 2, 0, 1];
  const lengths = [3, 1, 4, 2];
  for (const choice of CHOICES.filter((c) => c.advantageEstimator !== "passK")) {
    for (const batch of [rewards, [0.5]]) {
      const got = await compute(
        gpu,
        batch,
        { ...choice, numGenerations: 1 },
        lengths.slice(0, batch.length),
      );
      const wanted = groupAdvantages(batch, 1, {
        ...choice,
        lengths: lengths.slice(0, batch.length),
      });
      assertClose(got, wanted, { tolerance: 1e-6, label: JSON.stringify(choice) });
    }
  }
});

test.onDevices("responseAdvantages() gives exactly 0 to equal rewards and whitens nothing for empty responses", async (gpu) => {
  for (const choice of CHOICES) {
    const got = await compute(gpu, new Array(6).fill(0.1), { ...choice, numGenerations: 3 }, [
      1,
      5,
      2,
      9,
      4,
      3,
    ]);
    assertEquals(Array.from(got, Math.abs), [0, 0, 0, 0, 0, 0], choice.advantageEstimator);
  }
  for (const advantageEstimator of ["opo", "reinforcePlusPlus"] as const) {
    const options = { advantageEstimator, numGenerations: 2 };
    const got = await compute(gpu, [1, 3], options, [0, 0]);
    assertClose(got, groupAdvantages([1, 3], 2, { advantageEstimator, lengths: [0, 0] }), {
      tolerance: 1e-6,
    });
  }
});

Deno.test("responseAdvantages() gives the numbers of the paper's published code", async (t) => {
  const truth = vectors.other_advantage_estimators;
  const { rewards, lengths } = truth.inputs;
  const firstTokens = (rows: number[][]) => rows.map((row) => row[0]!);
  const cases: [Omit<ResponseAdvantageOptions, "numGenerations" | "lengths">, number[]][] = [
    [{ advantageEstimator: "grpo" }, truth.grpo],
    [{ advantageEstimator: "grpo", scaleRewards: "none" }, truth.grpo_no_std],
    [{ advantageEstimator: "drGrpo" }, truth.grpo_no_std],
    [{ advantageEstimator: "rloo" }, truth.rloo],
    [{ advantageEstimator: "opo" }, truth.opo],
    [{ advantageEstimator: "passK" }, truth["grpo_passk norm_std=True"]],
    [{ advantageEstimator: "passK", scaleRewards: "none" }, truth["grpo_passk norm_std=False"]],
    [
      { advantageEstimator: "reinforcePlusPlusBaseline" },
      firstTokens(truth.reinforce_plus_plus_baseline),
    ],
    [
      { advantageEstimator: "reinforcePlusPlus" },
      firstTokens(truth["reinforce_plus_plus gamma=1.0"].advantages),
    ],
  ];
  await onEveryDevice(t, async (gpu) => {
    for (const [options, expected] of cases) {
      const got = await compute(gpu, rewards, { ...options, numGenerations: 2 }, lengths);
      assertClose(got, expected, { tolerance: 1e-6, label: JSON.stringify(options) });
    }
  });
});

test.onDevices("responseAdvantages() follows the batch's size and refuses groups that do not fill it", async (gpu) => {
  const responses = new Dim("responses", 12);
  let generations = 4;
  const plan = new Plan(gpu, "test");
  const rewards = plan.input([responses], "rewards");
  const advantages = plan.keep(responseAdvantages(plan, rewards, {
    advantageEstimator: "drGrpo",
    numGenerations: () => generations,
  }));
  await plan.compile();
  gpu.write(rewards, [1, 2, 3, 6, 0, 2, 0, 0, 5, 5, 5, 9]);
  submit(gpu, [plan]);
  const wanted = [-2, -1, 0, 3, -0.5, 1.5, -0.5, -0.5, -1, -1, -1, 3];
  assertEquals(Array.from(await readTensor(gpu, advantages)), wanted);
  responses.value = 6;
  generations = 2;
  submit(gpu, [plan]);
  assertEquals(Array.from(await readTensor(gpu, advantages)), [-0.5, 0.5, -1.5, 1.5, -1, 1]);
  generations = 4;
  assertThrows(() => submit(gpu, [plan]), RangeError, "divides the 6 responses");
});

test.onDevices("responseAdvantages() refuses a scale or lengths that do not suit the estimator", (gpu) => {
  const plan = new Plan(gpu, "p");
  const rewards = gpu.tensor([4]);
  assertThrows(
    () =>
      responseAdvantages(plan, rewards, {
        advantageEstimator: "rloo",
        scaleRewards: "group",
        numGenerations: 2,
      }),
    RangeError,
    "rloo accepts none",
  );
  assertThrows(
    () => responseAdvantages(plan, rewards, { advantageEstimator: "opo", numGenerations: 2 }),
    RangeError,
    "opo needs lengths",
  );
});

test.onDevices("responseAdvantages() withholds advantages after the statistics of the group", async (gpu) => {
  const rewards = randomUniform(7, 3 * 65, 0, 1);
  const flags = randomIntegers(8, 3 * 65, 2);
  const lengths = randomIntegers(9, 3 * 65, 50);
  for (const choice of CHOICES) {
    const plan = new Plan(gpu, "test");
    const tensor = (data: ArrayLike<number>, dtype: "f32" | "u32") =>
      gpu.tensor([data.length], { data, dtype });
    const advantages = plan.keep(responseAdvantages(plan, tensor(rewards, "f32"), {
      ...choice,
      numGenerations: 65,
      lengths: tensor(lengths, "u32"),
      withheld: tensor(flags, "u32"),
    }));
    await plan.compile();
    submit(gpu, [plan]);
    const wanted = groupAdvantages(rewards, 65, { ...choice, lengths });
    assertClose(await readTensor(gpu, advantages), wanted.map((a, i) => flags[i] ? 0 : a), {
      tolerance: 1e-5,
      label: choice.advantageEstimator,
    });
    plan.destroy();
  }
  const plan = new Plan(gpu, "test");
  assertThrows(
    () =>
      responseAdvantages(plan, gpu.tensor([4]), {
        advantageEstimator: "grpo",
        numGenerations: 2,
        withheld: gpu.tensor([3], { dtype: "u32" }),
      }),
    RangeError,
    "withheld of the shape of rewards [4]",
  );
});

test.onDevices("responseAdvantages() takes penalties off after the division, and off no response that is withheld", async (gpu) => {
  const plan = new Plan(gpu, "test");
  const advantages = plan.keep(responseAdvantages(plan, gpu.tensor([4], { data: [1, 0, 3, 3] }), {
    advantageEstimator: "grpo",
    numGenerations: 2,
    penalties: gpu.tensor([4], { data: [0.5, -0.5, 0.25, -0.25] }),
    withheld: gpu.tensor([4], { data: [0, 1, 0, 0], dtype: "u32" }),
  }));
  await plan.compile();
  submit(gpu, [plan]);
  const [first] = groupAdvantages([1, 0], 2);
  assertClose(await readTensor(gpu, advantages), [first! - 0.5, 0, -0.25, 0.25], {
    tolerance: 1e-6,
  });
  plan.destroy();
});
