import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { type PolicyStorageOptions, storageOf } from "../../src/model/policy_storage.ts";
import type { Policy } from "../../src/model/policy.ts";
import { AdamW } from "../../src/optim/adamw_optimizer.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import type { Task } from "../../src/task/task.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import type { OwnObjective } from "../../src/objective/own_objective.ts";
import type { StepReport } from "../../src/rl/step_report.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { SIGNIFICAND } from "../helpers/halves.ts";
import { test } from "../helpers/test.ts";

/** Small enough that a step takes some hundredths of a second. */
const SMALL: TrainOptions = {
  maxSteps: 20,
  learningRate: 2e-2,
  promptsPerStep: 8,
  numGenerations: 16,
};

async function withTrainer<R>(
  gpu: Gpu,
  options: Partial<TrainOptions>,
  body: (trainer: Trainer) => Promise<R>,
  setup: PolicyStorageOptions & { task?: Task; policySeed?: number } = {},
): Promise<R> {
  const task = setup.task ?? tinyTask();
  const policy = tinyPolicy(gpu, task, setup.policySeed, storageOf(setup));
  try {
    const trainer = await Trainer.create(policy, task, { ...SMALL, ...options });
    try {
      return await body(trainer);
    } finally {
      trainer.destroy();
    }
  } finally {
    policy.destroy();
  }
}

async function run(trainer: Trainer, steps: number): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for (let i = 0; i < steps; i++) reports.push(await trainer.next());
  return reports;
}

/** All that training changes, as bits. */
async function stateOf({ policy, optimizer }: Trainer): Promise<Uint32Array[]> {
  const tensors = [policy.parameters.values, optimizer.firstMoment, optimizer.secondMoment];
  const bits: Uint32Array[] = [];
  for (const tensor of tensors) {
    bits.push(new Uint32Array((await readTensor(policy.gpu, tensor)).buffer));
  }
  return bits;
}

/** Metrics without those that measure time. */
function reproducible({ metrics }: StepReport): Record<string, number> {
  return Object.fromEntries(
    Object.entries(metrics).filter(([name]) => !/^timing|_per_s$|buffers|mb$/.test(name)),
  );
}

for (
  const [dtype, cacheDtype, activationDtype] of [
    ["f32", "f32", "f32"],
    ["f16", "f16", "f16"],
    ["bf16", "bf16", "f32"],
    ["f32", "f16", "f32"],
  ] as const
) {
  test.onGpu(`training makes the reward rise: weights in ${dtype}, cache in ${cacheDtype}, activations in ${activationDtype}`, (gpu) =>
    withTrainer(gpu, { activationDtype }, async (trainer) => {
      const before = await trainer.evaluate();
      const reports = await run(trainer, 20);
      const after = await trainer.evaluate();
      assert(before.meanAtN < 0.2, `mean@8 before: ${before.meanAtN}`);
      assert(after.meanAtN > 0.9, `mean@8 after: ${after.meanAtN}`);
      assertEquals(reports.map((r) => r.step), Array.from({ length: 20 }, (_, i) => i + 1));
      assertEquals(trainer.optimizer.stepCount, 20);
      for (const { metrics } of reports) {
        for (const [name, value] of Object.entries(metrics)) assert(Number.isFinite(value), name);
        // As sampled; the update leaves out prompts without a signal.
        assert(metrics["actor/entropy"]! > 0 && metrics["actor/entropy"]! < Math.log(8));
        // On-policy every ratio is 1 and the sampler's log-probabilities are the learner's.
        // A key or value between two halves may be rounded to either of them, by sampler and learner.
        assert(
          metrics["rollout_corr/logp_diff_max"]! <
            (cacheDtype === "f32" ? 1e-4 : 2 ** -SIGNIFICAND[cacheDtype]),
        );
        assertEquals(metrics["actor/clipfrac"], 0);
      }
    }, { dtype, cacheDtype }));
}

test.onGpu("rollouts are truncated as the settings say, and the learner's log-probabilities are the sampler's all the same", async (gpu) => {
  // All responses to a prompt are the greedy one.
  await withTrainer(gpu, { topK: 1 }, async (trainer) => {
    const [{ metrics }] = await run(trainer, 1) as [StepReport];
    assertEquals(metrics["frac_reward_zero_std"], 1);
    const { meanAtN, greedy } = await trainer.evaluate();
    assertEquals(meanAtN, greedy);
  });
  await withTrainer(gpu, { topP: 0.95, minP: 0.02 }, async (trainer) => {
    const [{ metrics }] = await run(trainer, 1) as [StepReport];
    assert(metrics["frac_reward_zero_std"]! < 1);
    assert(metrics["rollout_corr/logp_diff_max"]! < 1e-4);
    assertEquals(metrics["actor/clipfrac"], 0);
  });
});

test.onGpu("the same seed gives the same bytes, another seed others", async (gpu) => {
  const train = (seed: number) =>
    withTrainer(gpu, { seed, miniBatchSize: 64, numIterations: 2 }, async (trainer) => {
      const reports = await run(trainer, 3);
      return { bits: await stateOf(trainer), metrics: reports.map(reproducible), reports };
    });
  const [first, second, other] = [await train(1), await train(1), await train(2)];
  assertEquals(second.bits, first.bits);
  assertEquals(second.metrics, first.metrics);
  assertEquals(second.reports[2]!.completions, first.reports[2]!.completions);
  assertNotEquals(other.bits, first.bits);
});

test.onGpu("a trainer that takes over after some steps goes on as the first would have", async (gpu) => {
  const straight = await withTrainer(gpu, {}, async (trainer) => {
    await run(trainer, 4);
    return await stateOf(trainer);
  });
  const resumed = await withTrainer(gpu, {}, async (first) => {
    await run(first, 2);
    const [values, ...moments] = await stateOf(first);
    return await withTrainer(gpu, {}, async (second) => {
      const { policy, optimizer } = second;
      const tensors = [policy.parameters.values, optimizer.firstMoment, optimizer.secondMoment];
      for (const [i, bits] of [values!, ...moments].entries()) {
        gpu.write(tensors[i]!, new Float32Array(bits.buffer));
      }
      optimizer.stepCount = 2;
      second.completedSteps = 2;
      second.nextProblem = first.nextProblem;
      await run(second, 2);
      return await stateOf(second);
    }, { policySeed: 7 });
  });
  assertEquals(resumed, straight);
});

test.onGpu("the size of micro-batches does not change the gradient", async (gpu) => {
  const momentsAfterOneStep = (maxTokensPerMicroBatch: number) =>
    withTrainer(gpu, { maxTokensPerMicroBatch, entropyCoef: 0.01 }, async (trainer) => {
      const [{ metrics }] = await run(trainer, 1) as [StepReport];
      // After one step the first moment is the gradient times a constant.
      const moment = await readTensor(gpu, trainer.optimizer.firstMoment);
      return { moment, metrics };
    });
  const whole = await momentsAfterOneStep(8192);
  for (const size of [16, 50]) {
    const split = await momentsAfterOneStep(size);
    assertClose(split.moment, whole.moment, { tolerance: 1e-5, label: `${size} tokens` });
    for (const name of ["actor/loss", "actor/grad_norm", "actor/entropy", "actor/loss_tokens"]) {
      assertClose([split.metrics[name]!], [whole.metrics[name]!], {
        tolerance: 1e-5,
        label: name,
      });
    }
    assert(split.metrics["perf/compile_s"]! > 0);
    assert(split.metrics["perf/update_submits"]! > whole.metrics["perf/update_submits"]!);
  }
});

test.onGpu("mini-batches and several passes are the optimizer steps one would take by hand", async (gpu) => {
  const options = {
    ...SMALL,
    miniBatchSize: 64,
    numIterations: 2,
    epsilon: 0.05,
    lossScope: "miniBatch",
    maxSteps: 2,
    warmupSteps: 2,
    lrScheduler: "cosine",
  } as const;
  await withTrainer(gpu, options, async (trainer) => {
    const byHand = tinyPolicy(gpu, trainer.task);
    const [{ metrics, completions }] = await run(trainer, 1) as [StepReport];
    assertEquals(trainer.optimizer.stepCount, 4);
    assert(metrics["actor/clipfrac"]! > 0, "nothing was clipped");
    assert(Math.abs(metrics["actor/ppo_kl"]!) > 1e-6, "the ratio stayed 1");

    const optimizer = await AdamW.create(gpu, byHand.parameters, { learningRate: 0 });
    const prompts = completions.map((c) => c.promptIds);
    const oldLogProbs = await byHand.score(prompts, completions.map((c) => c.completionIds));
    // Two of warm-up, then half a cosine over the 6 that are left of 8.
    const rates = [0.5, 1, 1, (1 + Math.cos(Math.PI / 6)) / 2].map((r) => r * 2e-2);
    for (const [i, learningRate] of rates.entries()) {
      const [start, end] = i % 2 === 0 ? [0, 64] : [64, 128];
      const part = completions.slice(start, end);
      await policyGradient(byHand, {
        prompts: prompts.slice(start, end),
        completions: part.map((c) => c.completionIds),
        rewards: part.map((c) => c.reward),
        oldLogProbs: oldLogProbs.slice(start, end),
      }, { numGenerations: 16, epsilon: 0.05, lossScaleFactor: 5 });
      optimizer.options.learningRate = learningRate;
      submit(gpu, [optimizer.plan]);
      optimizer.advance();
    }
    // AdamW blows rounding up where a gradient is next to nothing: the moment is compared more strictly.
    const [moment, mine] = [optimizer.firstMoment, trainer.optimizer.firstMoment];
    assertClose(await readTensor(gpu, mine), await readTensor(gpu, moment), { tolerance: 1e-4 });
    const weights = await byHand.parameters.read();
    for (const [name, values] of await trainer.policy.parameters.read()) {
      assertClose(values, weights.get(name)!, { tolerance: 3e-3, label: name });
    }
    assertClose([metrics["actor/lr"]!], [rates[3]!], { tolerance: 1e-12 });
    optimizer.destroy();
    byHand.destroy();
  });
});

test.onGpu("maskTruncatedCompletions leaves out what the limit cut off", async (gpu) => {
  const tokens = (report: StepReport, counts: (truncated: boolean) => boolean) =>
    report.completions
      .filter((c) => c.advantage !== 0 && counts(c.truncated))
      .reduce((n, c) => n + c.completionIds.length, 0);
  const report = (maskTruncatedCompletions: boolean) =>
    withTrainer(gpu, { maskTruncatedCompletions }, async (t) => (await run(t, 1))[0]!);
  const [masked, whole] = [await report(true), await report(false)];
  assertEquals(masked.metrics["actor/loss_tokens"], tokens(masked, (truncated) => !truncated));
  assertEquals(whole.metrics["actor/loss_tokens"], tokens(whole, () => true));
  assert(masked.metrics["actor/loss_tokens"]! < whole.metrics["actor/loss_tokens"]!);
  assertEquals(masked.completions, whole.completions);
});

test.onGpu("a verifier that fails is named, and nothing has changed", async (gpu) => {
  const cases: [verify: Task["verify"], message: RegExp][] = [
    [
      () => {
        throw new Error("out of cheese");
      },
      /The verifier threw on train problem 0 of task capitals \(prompt "\w", completion ".*: out of cheese/,
    ],
    [() => NaN, /The verifier returned NaN on train problem 0 of task capitals/],
    [
      () => "1" as unknown as number,
      /The verifier returned "1", a text on .*rewards must be finite numbers/,
    ],
  ];
  for (const [verify, message] of cases) {
    await withTrainer(gpu, {}, async (trainer) => {
      const before = await stateOf(trainer);
      const error = await assertRejects(() => trainer.next(), Error);
      assert(message.test(error.message), error.message);
      assertEquals(await stateOf(trainer), before);
      assertEquals([trainer.completedSteps, trainer.optimizer.stepCount], [0, 0]);
    }, { task: tinyTask({ verify }) });
  }
});

test.onGpu("a value that is not finite is traced to kernel and tensor, and nothing has changed", (gpu) =>
  withTrainer(gpu, { entropyCoef: 0.01 }, async (trainer) => {
    const { parameters } = trainer.policy;
    const name = "model.layers.0.mlp.up_proj.weight";
    const weights = (await parameters.read()).get(name)!;
    parameters.write(name, weights.map((w, i) => i === 5 ? Infinity : w));
    const before = await stateOf(trainer);
    const error = await assertRejects(() => trainer.next(), Error);
    assert(
      /Step 1: .*First value that is not finite: layers\.0\.mlp\.gate_up_proj\.\S+: layers\.0\.mlp\.(gate_up_proj|swiglu)\[\d+\] = -?Infinity/
        .test(error.message),
      error.message,
    );
    assertEquals(await stateOf(trainer), before);
    assertEquals([trainer.completedSteps, trainer.optimizer.stepCount], [0, 0]);
  }));

test.onGpu("a loss beyond what numbers can hold is refused in the update too", (gpu) => {
  // Finite advantages whose sum is not, in single precision.
  const advantages: OwnObjective["advantages"] = ({ rewards }) => rewards.map(() => 3e38);
  const objective = { name: "huge", advantages };
  return withTrainer(gpu, { objective, lossAggregation: "seqSum" }, async (trainer) => {
    const before = await stateOf(trainer);
    const error = await assertRejects(() => trainer.next(), Error);
    assert(
      /Step 1: the loss is \S+, the gradient norm \S+\. First value that is not finite: policy_loss\./
        .test(error.message),
      error.message,
    );
    assertEquals(await stateOf(trainer), before);
  });
});

test.onGpu("an update that fails before its first optimizer step leaves a trainer that can be saved", (gpu) => {
  let fails = false;
  const advantages: OwnObjective["advantages"] = ({ rewards }) => {
    if (fails) throw new Error("rule out of order");
    return rewards.map((reward, i) => (reward ?? 0) + i % 2);
  };
  return withTrainer(gpu, {
    objective: { name: "own", advantages },
    miniBatchSize: 64,
  }, async (trainer) => {
    await trainer.next();
    const before = await stateOf(trainer);
    fails = true;
    await assertRejects(() => trainer.next(), Error, "rule out of order");
    assertEquals([trainer.isBetweenSteps, trainer.completedSteps], [true, 1]);
    assertEquals(await stateOf(trainer), before);
    fails = false;
    // The second of its two optimizer steps.
    const { advance } = trainer.optimizer;
    let advanced = 0;
    trainer.optimizer.advance = function () {
      if (++advanced === 2) throw new Error("lost");
      advance.call(this);
    };
    await assertRejects(() => trainer.next(), Error, "lost");
    assertEquals(trainer.isBetweenSteps, false);
  });
});

test.onGpu("an evaluation may sample more per prompt than a step does in all", (gpu) =>
  withTrainer(gpu, {
    promptsPerStep: 1,
    numGenerations: 2,
    numGenerationsEval: 9,
    evalPrompts: 3,
  }, async (trainer) => {
    assertEquals((await trainer.evaluate()).numGenerations, 9);
    assertEquals((await trainer.next()).completions.length, 2);
  }));

test.onGpu("a policy or a limit that does not fit the task is refused", async (gpu) => {
  const task = tinyTask();
  const refused = async (policy: Policy, change: Partial<TrainOptions>, message: string) => {
    await assertRejects(
      () => Trainer.create(policy, task, { ...SMALL, ...change }),
      RangeError,
      message,
    );
    policy.destroy();
  };
  await refused(
    tinyPolicy(gpu, tinyTask({ vocabulary: ["<pad>", "<eos>", "a"] })),
    {},
    "Task capitals has 8 token ids and the policy's vocabSize is 3",
  );
  await refused(
    tinyPolicy(gpu, task),
    { maxCompletionLength: 63 },
    "need 65 positions and the policy's maxPositionEmbeddings is 64",
  );
  await refused(
    tinyPolicy(gpu, task),
    { maxCompletionLength: 20, maxTokensPerMicroBatch: 21 },
    "maxTokensPerMicroBatch must be at least a prompt and a completion, 22: current value is 21",
  );
});

Deno.test("options are checked one by one", () => {
  const refused = (change: object, message: string, type: new () => Error = RangeError) =>
    assertThrows(() => resolveTrainOptions({ ...SMALL, ...change }, 5), type, message);
  refused(
    { maxSteps: 1.5 },
    "maxSteps must be an integer from 0 to 10000000: current value is 1.5",
  );
  refused({ learningRate: NaN }, "learningRate must be a number from 0 to 1: current value is NaN");
  refused({ numGenerations: "16" }, "numGenerations must be an integer");
  refused({ lossAggregation: "mean" }, "lossAggregation must be one of grpo, dapo");
  refused({ maskTruncatedCompletions: 1 }, "maskTruncatedCompletions must be true or false");
  refused(
    { miniBatchSize: 24 },
    'miniBatchSize must be "all" or a multiple of numGenerations = 16',
  );
  refused({ miniBatchSize: 256 }, "must not exceed promptsPerStep * numGenerations = 128");
  refused({ epsilon: 2 }, "epsilon is 2");
  refused({ klInReward: true }, "klInReward needs a reference policy, and beta is 0");
  refused({ refSyncSteps: 5 }, "refSyncSteps needs a reference policy");
  refused(
    { softOverlongBuffer: 5 },
    "softOverlongBuffer must be less than maxCompletionLength = 5",
  );
  refused({ maxGenBatches: 0 }, "maxGenBatches must be an integer from 1");
  refused({ learnigRate: 1 }, "There is no setting learnigRate", TypeError);
});

Deno.test("defaults are filled in, and what is undefined counts as not given", () => {
  const options = resolveTrainOptions({
    maxSteps: 3,
    learningRate: 0.1,
    promptsPerStep: undefined,
  } as unknown as TrainOptions, 77);
  assertEquals(
    [options.promptsPerStep, options.maxCompletionLength, options.lossScaleFactor],
    [32, 77, 77],
  );
  assertEquals(
    [options.lossAggregation, options.lossAlpha, options.beta, options.numIterations],
    ["deltaL", 1, 0, 1],
  );
  const klEstimator = (change: object) =>
    resolveTrainOptions({ ...SMALL, ...change }, 5).klEstimator;
  assertEquals(klEstimator({ beta: 0.1 }), "k3");
  assertEquals(klEstimator({ beta: 0.1, klInReward: true }), "k1");
  assertEquals(klEstimator({ beta: 0.1, klInReward: true, klEstimator: "k2" }), "k2");
  // The default M follows the limit that was chosen.
  assertEquals(resolveTrainOptions({ ...SMALL, maxCompletionLength: 9 }, 77).lossScaleFactor, 9);
});

test.onGpu("a trainer does one thing at a time, whoever asks meanwhile", async (gpu) => {
  let ask: (() => Promise<unknown>) | undefined;
  const answers: unknown[] = [];
  const { verify } = tinyTask();
  const task = tinyTask({
    async verify(metadata, ids) {
      const now = ask;
      ask = undefined;
      if (now) answers.push(await now().catch((error) => error.message));
      return await verify(metadata, ids);
    },
  });
  const options = { promptsPerStep: 2, numGenerations: 4, evalPrompts: 2, numGenerationsEval: 2 };
  const undisturbed = await withTrainer(gpu, options, async (trainer) => {
    await run(trainer, 2);
    return await stateOf(trainer);
  }, { task });
  await withTrainer(gpu, options, async (trainer) => {
    ask = () => trainer.next();
    const [first, second] = await Promise.allSettled([trainer.next(), trainer.evaluate()]);
    assertEquals([first.status, second.status], ["fulfilled", "rejected"]);
    ask = () => trainer.evaluate();
    await trainer.next();
    assertEquals(trainer.completedSteps, 2);
    assertEquals(answers, [
      "This trainer is still running step 1: wait for it before step 1",
      "This trainer is still running step 2: wait for it before an evaluation",
    ]);
    assertEquals(await stateOf(trainer), undisturbed);
    ask = () => trainer.next();
    await trainer.evaluate();
    assertEquals(
      answers[2],
      "This trainer is still running an evaluation: wait for it before step 3",
    );
    assertEquals((await trainer.next()).step, 3);
  }, { task });
});
