/** Rules of one's own: the same numbers as built-in ones where they say the same. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { OwnObjective } from "../../src/objective/own_objective.ts";
import { groupAdvantages } from "../../src/objective/advantage.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import { describeObjective } from "../../src/rl/describe_objective.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const SMALL = { maxSteps: 9, learningRate: 2e-2, promptsPerStep: 4, numGenerations: 8 };

/** GRPO's advantages and ΔL's weights, written by hand. */
const SAME: OwnObjective = {
  name: "same",
  advantages: ({ rewards, numGenerations }) => groupAdvantages(rewards, numGenerations),
  weights: ({ lengths, miniBatch, lossScaleFactor }) =>
    lossWeights(lengths, { miniBatch, lossScaleFactor }),
};

test.onGpu("own rules that say what built-in ones say train alike, in several optimizer steps", async (gpu) => {
  const task = tinyTask();
  const run = async (options: { objective?: OwnObjective }) => {
    const policy = tinyPolicy(gpu, task);
    const trainer = await Trainer.create(policy, task, { ...SMALL, miniBatchSize: 16, ...options });
    const reports = [await trainer.next(), await trainer.next()];
    const weights = await policy.parameters.read();
    trainer.destroy();
    policy.destroy();
    return {
      weights: [...weights.values()].flatMap((values) => [...values]),
      advantages: reports.flatMap(({ completions }) => completions.map((c) => c.advantage)),
      ess: reports.map(({ metrics }) => metrics["loss/weight_ess"]!),
    };
  };
  const [own, builtIn] = [await run({ objective: SAME }), await run({})];
  assertClose(own.advantages, builtIn.advantages, { tolerance: 1e-5 });
  assertClose(own.ess, builtIn.ess, { tolerance: 1e-5 });
  assertClose(own.weights, builtIn.weights, { tolerance: 1e-3 });
  // What a rule does to the lists that it is given stays with it.
  const sorting = await run({
    objective: {
      name: "sorting",
      advantages(batch) {
        const advantages = SAME.advantages!(batch);
        (batch.rewards as number[]).sort();
        (batch.lengths as number[]).splice(0);
        return advantages;
      },
      weights(batch) {
        const weights = SAME.weights!(batch);
        (batch.lengths as number[]).fill(0);
        return weights;
      },
    },
  });
  assertEquals(sorting, own);
  const half = await run({
    objective: {
      name: "half",
      advantages: (b) => SAME.advantages!(b),
      weights: ({ miniBatch }) => new Array(miniBatch.end - miniBatch.start).fill(0),
    },
  });
  assertEquals(half.ess, [0, 0]);
});

Deno.test("own rules are named in formula and record, and refused beside what they replace", () => {
  const resolve = (options: object) =>
    resolveTrainOptions({ maxSteps: 1, learningRate: 1, objective: SAME, ...options }, 16);
  const lines = new Map(describeObjective(resolve({})));
  assertEquals(lines.get("weights"), "x = weights of same");
  assertEquals(lines.get("advantage"), "A = advantages of same");
  // Functions leave nothing in a record, which must not be read as if the built-in rules had run.
  const recorded = JSON.parse(JSON.stringify(resolve({})));
  assertEquals(recorded.objective, { name: "same", replaces: ["advantages", "weights"] });
  assertEquals(describeObjective(recorded), describeObjective(resolve({})));
  const refuse = (options: object, message: string) =>
    assertThrows(() => resolve(options), RangeError, message);
  refuse({ lossAggregation: "grpo" }, "lossAggregation has no effect with objective same");
  refuse({ advantageEstimator: "rloo" }, "advantageEstimator has no effect with objective same");
  refuse({ lossAlpha: 0.5 }, "lossAlpha has no effect with objective same, which has weights");
  refuse({ objective: { name: "none" } }, "objective must be an object with a name and advantages");
});

test.onGpu("own rules that give too few numbers, or none, stop before anything is changed", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  for (
    const [numbers, message] of [[[1], "1 numbers for 32"], [
      new Array(32).fill(NaN),
      "is NaN",
    ]] as const
  ) {
    const trainer = await Trainer.create(policy, task, {
      ...SMALL,
      objective: { name: "bad", advantages: () => numbers },
    });
    await assertRejects(() => trainer.next(), RangeError, message);
    trainer.destroy();
  }
  policy.destroy();
});

test.onGpu("an own surrogate trains as the built-in one it says, and its derivative is compared first", async (gpu) => {
  const task = tinyTask();
  const run = async (options: object) => {
    const policy = tinyPolicy(gpu, task);
    const trainer = await Trainer.create(policy, task, { ...SMALL, miniBatchSize: 16, ...options });
    await trainer.next();
    await trainer.next();
    const weights = await policy.parameters.read();
    trainer.destroy();
    policy.destroy();
    return [...weights.values()].flatMap((values) => [...values]);
  };
  const own = (loss: string, dLogProb: string, rest = {}) => ({
    objective: { name: "own", surrogate: { loss, dLogProb, ...rest } },
  });
  assertClose(
    await run(own("-advantage * log_prob", "-advantage")),
    await run({ policyLoss: "reinforce" }),
    { tolerance: 1e-4 },
  );
  const slope = "-advantage * ratio";
  const clipped = "max(-advantage * ratio, -advantage * clamp(ratio, 0.8, 1.28))";
  const free =
    "select(0.0, -advantage * ratio, -advantage * ratio >= -advantage * clamp(ratio, 0.8, 1.28))";
  assertClose(await run(own(clipped, free)), await run({ dualClip: 0 }), { tolerance: 1e-4 });
  const refuse = (options: object, message: string) =>
    assertRejects(() => run(options), Error, message);
  await refuse(own(slope, "advantage * ratio"), "and differences of loss give");
  await refuse(
    own(slope, "-advantage * log_ratio"),
    "give the derivative with respect to log_prob",
  );
  await refuse(own(slope, "1.0 / (advantage - advantage)"), "surrogate: dLogProb is");
  await refuse(own(slope, "-advantage * rate"), "does not compile");
  await refuse(own(slope, slope + "; "), "objective must be an object");
  await refuse({ ...own(slope, slope), epsilon: 0.1 }, "epsilon has no effect with objective own");
  await run(own("-advantage * log_prob * ratio", slope, { stopGradient: true }));
});
