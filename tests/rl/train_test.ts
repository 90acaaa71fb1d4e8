import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Policy } from "../../src/model/policy.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { symbolTokenizer } from "../../src/task/tokenizer.ts";
import { train, type TrainReport } from "../../src/rl/train.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const SMALL: TrainOptions = {
  maxSteps: 4,
  learningRate: 2e-2,
  promptsPerStep: 2,
  numGenerations: 4,
  evalPrompts: 6,
  numGenerationsEval: 2,
};

/** Tests with a tiny policy, on a device of their own. */
const tiny = {
  test(name: string, body: (policy: Policy) => Promise<void>): void {
    test.onGpu(name, async (gpu) => {
      const policy = tinyPolicy(gpu, tinyTask());
      try {
        await body(policy);
      } finally {
        policy.destroy();
      }
    });
  },
};

async function weights(policy: Policy): Promise<Float32Array[]> {
  return [...(await policy.parameters.read()).values()];
}

tiny.test("train() takes the same steps as a Trainer, and evaluates when asked", async (policy) => {
  const { gpu } = policy;
  const options = { ...SMALL, evalSteps: 3 };
  const reports = await Array.fromAsync(train({ policy, task: tinyTask(), ...options }));
  assertEquals(reports.map(({ step }) => step), [1, 2, 3, 4]);
  assertEquals(reports.map(({ evaluation }) => evaluation !== undefined), [
    false,
    false,
    true,
    true,
  ]);
  // By the names of the docs, so that a loop can stop early by them.
  for (const { metrics, evaluation } of reports) {
    assertEquals(metrics["eval/capitals/mean@2"], evaluation?.meanAtN);
    assertEquals("eval/capitals/pass@2" in metrics, evaluation !== undefined);
  }
  const after = await weights(policy);
  const allocated = gpu.counters.bytesAllocated;

  const other = tinyPolicy(gpu, tinyTask());
  const trainer = await Trainer.create(other, tinyTask(), options);
  const stepwise: TrainReport[] = [];
  for (let i = 0; i < 4; i++) stepwise.push(await trainer.next());
  assertEquals(await weights(other), after);
  assertEquals(
    reports.map(({ completions }) => completions),
    stepwise.map(({ completions }) => completions),
  );
  assertEquals(reports[3]!.evaluation, await trainer.evaluate());
  trainer.destroy();
  // The policy evaluates itself to the same figures as the trainer does.
  const evaluation = await evaluate(other, tinyTask(), { prompts: 6, numGenerations: 2 });
  assertEquals(evaluation, reports[3]!.evaluation!);
  other.destroy();
  assertEquals(gpu.counters.bytesAllocated, allocated);
});

tiny.test("train() ends where the loop is left, and goes on with a trainer", async (policy) => {
  const { gpu } = policy;
  const trainer = await Trainer.create(policy, tinyTask(), SMALL);
  for await (const { step } of train({ trainer })) if (step === 2) break;
  assertEquals(trainer.completedSteps, 2);
  const rest = await Array.fromAsync(train({ trainer }));
  assertEquals(rest.map(({ step }) => step), [3, 4]);
  assertEquals(await Array.fromAsync(train({ trainer })), []);
  // The trainer has its settings, and others would do nothing.
  await assertRejects(
    () => train({ trainer, maxSteps: 200 }).next(),
    TypeError,
    "train() with a trainer has no option maxSteps: there are trainer, signal",
  );
  trainer.destroy();

  const other = tinyPolicy(gpu, tinyTask());
  const before = gpu.counters.bytesAllocated;
  for await (const _ of train({ policy: other, task: tinyTask(), ...SMALL })) break;
  // The gradients belong to the policy, everything else was given back.
  assertEquals(gpu.counters.bytesAllocated - before, 4 * other.parameters.values.capacity);
  other.destroy();
});

tiny.test("train() heeds an AbortSignal: before, between and during steps", async (policy) => {
  const start = await weights(policy);
  const aborted = AbortSignal.abort(new Error("never mind"));
  const request = { policy, task: tinyTask(), ...SMALL };
  await assertRejects(() => train({ ...request, signal: aborted }).next(), Error, "never mind");
  assertEquals(await weights(policy), start);

  const between = new AbortController();
  const steps: number[] = [];
  await assertRejects(
    async () => {
      for await (const { step } of train({ ...request, signal: between.signal })) {
        steps.push(step);
        if (step === 2) between.abort(new Error("enough"));
      }
    },
    Error,
    "enough",
  );
  assertEquals(steps, [1, 2]);

  // A verifier that never answers does not hold the signal up.
  const during = new AbortController();
  const before = await weights(policy);
  const silent = tinyTask({
    verify: () => {
      during.abort(new Error("too slow"));
      return new Promise<number>(() => {});
    },
  });
  await assertRejects(
    () => train({ ...request, task: silent, signal: during.signal }).next(),
    Error,
    "too slow",
  );
  assertEquals(await weights(policy), before);
});

tiny.test("train() reports a step whose evaluation is cut short or fails, then throws", async (policy) => {
  const { verify } = tinyTask();
  for (const cut of [true, false]) {
    const stop = new AbortController();
    let calls = 0;
    const task = tinyTask({
      verify: (problem, ids) => {
        if (++calls > 2 * 4) { // the samples of the first step
          if (!cut) throw new Error("enough");
          stop.abort(new Error("enough"));
        }
        return verify(problem, ids);
      },
    });
    const reports: TrainReport[] = [];
    await assertRejects(
      async () => {
        const request = { ...SMALL, policy, task, evalSteps: 1, signal: stop.signal };
        for await (const report of train(request)) reports.push(report);
      },
      Error,
      "enough",
    );
    assertEquals(reports.map(({ step, evaluation }) => [step, evaluation]), [[1, undefined]]);
    assertEquals("eval/capitals/mean@2" in reports[0]!.metrics, false);
  }
});

tiny.test("a verifier that fails once costs nothing: the step is repeated with the same samples", async (policy) => {
  const { gpu } = policy;
  let calls = 0;
  const { verify } = tinyTask();
  const flaky = tinyTask({
    verify: async (problem, ids) => {
      await Promise.resolve();
      if (++calls === 3 * 8 + 5) throw new Error("service unavailable");
      return verify(problem, ids);
    },
  });
  const trainer = await Trainer.create(policy, flaky, SMALL);
  const steps: number[] = [];
  const run = async () => {
    for await (const { step } of train({ trainer })) steps.push(step);
  };
  await assertRejects(run, Error, "service unavailable");
  assertEquals([steps, trainer.completedSteps], [[1, 2, 3], 3]);
  await run();
  assertEquals(steps, [1, 2, 3, 4]);
  trainer.destroy();

  const calm = tinyPolicy(gpu, tinyTask());
  for await (const _ of train({ policy: calm, task: tinyTask(), ...SMALL }));
  assertEquals(await weights(policy), await weights(calm));
  calm.destroy();
});

test.onGpu("reward functions show in the metrics and beside each completion", async (gpu) => {
  const task = defineTask({
    name: "ones",
    tokenizer: symbolTokenizer("01"),
    prompts: ["0", "1"],
    verify: {
      ones: ({ completion }) => [...completion].filter((c) => c === "1").length,
      ended: ({ truncated }) => !truncated,
      never: () => null,
    },
    rewardWeights: { ended: 0.5 },
    maxCompletionLength: 4,
  });
  const policy = tinyPolicy(gpu, task);
  const [report] = await Array.fromAsync(train({ policy, task, ...SMALL, maxSteps: 1 }));
  const { metrics, completions } = report!;
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const ones = completions.map(({ rewards }) => rewards!.ones!);
  const ended = completions.map(({ rewards }) => rewards!.ended!);
  assertEquals(metrics["rewards/ones/mean"], mean(ones));
  assertEquals(metrics["rewards/ended/mean"], mean(ended));
  assert(metrics["rewards/ones/std"]! > 0);
  assertEquals("rewards/never/mean" in metrics, false);
  assert(ended.includes(0) && ended.includes(1), "some completions end");
  for (const { reward, rewards, completionIds, truncated } of completions) {
    assertEquals(reward, rewards!.ones! + 0.5 * rewards!.ended!);
    assertEquals(rewards!.ones, completionIds.filter((id) => id === 3).length);
    assertEquals(rewards!.ended, truncated ? 0 : 1);
    assertEquals(rewards!.never, null);
  }
  policy.destroy();
});

tiny.test("evaluate() refuses what a policy or a number cannot be", async (policy) => {
  const task = tinyTask();
  await assertRejects(() => evaluate(policy, task, { prompts: 0 }), RangeError, "prompts must");
  await assertRejects(() => evaluate(policy, task, { seed: -1 }), RangeError, "seed must be");
  await assertRejects(
    () => evaluate(policy, task, { maxCompletionLength: 100 }),
    RangeError,
    "maxPositionEmbeddings is 64",
  );
  const misspelt = { numGeneration: 2 } as object;
  await assertRejects(
    () => evaluate(policy, task, misspelt),
    TypeError,
    "evaluate has no option numGeneration, did you mean numGenerations?",
  );
  const larger = tinyTask({ vocabulary: [..."abcdefghij"] });
  await assertRejects(() => evaluate(policy, larger), RangeError, "10 token ids");
});
