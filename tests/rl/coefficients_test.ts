import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import {
  type AdvantageEstimator,
  ADVANTAGES,
  groupAdvantages,
  type RewardScale,
} from "../../src/objective/advantage.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { centredRewards } from "../../src/rl/centred_rewards.ts";
import { Coefficients } from "../../src/rl/coefficients.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { hasSignal, teaching } from "../../src/rl/signal.ts";
import { resolveObjective } from "../../src/rl/resolve_options.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const G = 4;
const LENGTHS = [3, 9, 5, 2, 7, 1, 4, 11, 6, 6, 2, 8, 3, 3, 5, 1];

type Rewards = readonly (number | null)[];

/** Every estimator with every divisor. */
const CHOICES = Object.entries(ADVANTAGES).flatMap(([name, { scales }]) =>
  scales.map((scaleRewards) => ({
    advantageEstimator: name as AdvantageEstimator,
    scaleRewards: scaleRewards as RewardScale,
  }))
);

/** Advantages and weights of a batch by the kernels, for every choice. */
async function computed(rewards: Rewards, numGenerations = G) {
  const gpu = await openGpu();
  const lengths = LENGTHS.slice(0, rewards.length);
  const results = [];
  for (const choice of CHOICES) {
    if (choice.advantageEstimator === "passK" && numGenerations < 2) continue;
    const options = {
      ...resolveObjective({ ...choice, lossAggregation: "deltaL" }, 16),
      ...choice,
    };
    const coefficients = await Coefficients.create(gpu, rewards.length, {
      ...options,
      numGenerations,
    });
    coefficients.upload({ rewards, lengths });
    submit(gpu, [coefficients.advantagePlan, coefficients.weightPlan]);
    results.push({
      choice,
      advantages: [...await readTensor(gpu, coefficients.advantages)],
      weights: [...await readTensor(gpu, coefficients.weights)],
      wanted: [...groupAdvantages(rewards, numGenerations, { ...choice, lengths })],
      lengths,
    });
    coefficients.destroy();
  }
  await gpu.close();
  return results;
}

Deno.test("rewards far from 0 give the advantages that float64 gives, for every estimator", async () => {
  const lengths = [3, 9, 5, 2, 7, 1, 4, 11, 6, 6, 6, 6, 30, 2, 2, 9];
  for (const far of [1e8, 1e10]) {
    const rewards = lengths.map((length) => far + length);
    for (const { choice, advantages, wanted } of await computed(rewards)) {
      assertClose(advantages, wanted, { tolerance: 2e-6, label: JSON.stringify([far, choice]) });
    }
    for (const { choice, advantages, wanted } of await computed(rewards.slice(0, 5), 1)) {
      // What is not compared counts as it is, and as float32 has it.
      assertClose(advantages, wanted, { tolerance: 2e-6, label: JSON.stringify([far, choice]) });
    }
  }
});

Deno.test("a reward that differs by rounding alone teaches nothing", async () => {
  const rewards = [0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2, 1, 0, 1, 1];
  assertEquals(hasSignal(rewards.slice(0, 4)), false);
  for (const { choice, advantages } of await computed(rewards)) {
    if (ADVANTAGES[choice.advantageEstimator].whitens) continue;
    assertEquals(advantages.slice(0, 4).map(Math.abs), [0, 0, 0, 0], JSON.stringify(choice));
  }
});

Deno.test("responses that cannot be judged count in no statistics and weigh nothing", async () => {
  const rewards = [1, null, 0, 0.5, null, null, 2, null, null, null, null, null, 3, 1, 0, 1];
  for (const { choice, advantages, wanted, weights, lengths } of await computed(rewards)) {
    const label = JSON.stringify(choice);
    assertClose(advantages, wanted, { tolerance: 2e-6, label });
    rewards.forEach((reward, b) => {
      if (reward === null) assertEquals([advantages[b], weights[b]], [0, 0], label);
    });
    const scored = lengths.map((length, b) => rewards[b] === null ? 0 : length);
    assertClose(weights, lossWeights(scored, { lossScaleFactor: 16 }), { tolerance: 1e-6, label });
  }
  // The group of three that are left is a group of three.
  const alone = [...groupAdvantages([1, 0, 0.5], 3)];
  assertEquals([...groupAdvantages([1, null, 0, 0.5], 4)], [alone[0], 0, alone[1], alone[2]]);
});

Deno.test("maxRl refuses a negative reward, which it would take for the scale of the others", () => {
  const options = { advantageEstimator: "maxRl", numGenerations: 2 } as const;
  assertThrows(
    () => centredRewards([1, 0, null, -0.5], options),
    RangeError,
    "maxRl needs rewards >= 0: that of response 3 is -0.5",
  );
  assertEquals([...centredRewards([1, 0, null, 0.5], options).differences], [0, -1, 0, 0]);
});

Deno.test("teaching() names every response with an advantage, before any is computed", async () => {
  const batches: Rewards[] = [
    [1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0.5, 0.1, 0.1, 0.9],
    [0.3, 0.1 + 0.2, 0.3, 0.3, 1, null, 1, 0, null, 1, null, null, 2, 2, 0, 0],
  ];
  for (const rewards of batches) {
    for (const { choice, advantages } of await computed(rewards)) {
      const teaches = teaching(rewards, G, choice.advantageEstimator);
      advantages.forEach((a, b) => {
        if (!teaches[b]) assert(a === 0, `${JSON.stringify(choice)}: ${a} at ${b}`);
      });
      // And hardly any besides: equal groups are left out, and all but the best of passK.
      const most = choice.advantageEstimator === "passK" ? 4 : 16;
      const whitens = ADVANTAGES[choice.advantageEstimator].whitens;
      assert(teaches.filter(Boolean).length <= (whitens ? 16 : Math.min(most, 12)));
    }
  }
  assertEquals(teaching([1, 0, null], 1, "drGrpo"), [true, false, false]);
});

test.onGpu("policyGradient() centres rewards, and leaves out those that cannot be judged", async (gpu) => {
  const policy = tinyPolicy(gpu, tinyTask());
  const completions = [[5, 1], [6, 6, 1], [7, 1], [6, 5, 7, 1]];
  const batch = {
    prompts: [[2], [3]],
    completions,
    oldLogProbs: completions.map((ids) => ids.map(() => -2)),
  };
  const options = { numGenerations: 2, advantageEstimator: "drGrpo", lossScaleFactor: 8 } as const;
  const gradient = async (rewards: (number | null)[]) =>
    await policyGradient(policy, { ...batch, rewards }, options);
  const near = await gradient([2, 3, 2, 4]);
  const far = await gradient([1e8 + 2, 1e8 + 3, 1e8 + 2, 1e8 + 4]);
  assertEquals(far, near);
  assert(near.gradNorm > 0.01);

  const rest = { ...batch, completions: completions.slice(0, 2) };
  const without = await policyGradient(policy, {
    prompts: [[2]],
    completions: rest.completions,
    oldLogProbs: batch.oldLogProbs.slice(0, 2),
    rewards: [2, 3],
  }, options);
  const unjudged = await gradient([2, 3, null, null]);
  assertClose([unjudged.gradNorm], [without.gradNorm], { tolerance: 1e-5 });
  policy.destroy();
});

test.onGpu("rewards whose differences float32 cannot square are refused by name", async (gpu) => {
  const policy = tinyPolicy(gpu, tinyTask());
  const batch = {
    prompts: [[2], [3]],
    completions: [[3], [4], [3], [4]],
    oldLogProbs: [[-2], [-2], [-2], [-2]],
  };
  const gradient = (rewards: number[], advantageEstimator: AdvantageEstimator = "grpo") =>
    policyGradient(policy, { ...batch, rewards }, { numGenerations: 2, advantageEstimator });
  for (const far of [1e17, -1e25, 1e31]) {
    await assertRejects(
      () => gradient([0, 1, far, 0]),
      RangeError,
      `The reward of response 3 is 0 and that of another it is compared with ${far}`,
    );
  }
  await assertRejects(
    () => gradient([1e17, 1e17, 0, 0], "reinforcePlusPlus"),
    RangeError,
    "The reward of response 2 is 0",
  );
  await assertRejects(() => gradient([0, 1, 1e39, 1e39]), RangeError, "response 2 is 1e+39");
  // What all have in common does not matter.
  const { gradNorm } = await gradient([0, 1, 0, 1]);
  assertEquals((await gradient([2 ** 30, 2 ** 30 + 1, 0, 1])).gradNorm, gradNorm);
  assertEquals((await gradient([0, 1e15, 0, 1e15])).gradNorm > 0.9 * gradNorm, true);
  policy.destroy();
});
