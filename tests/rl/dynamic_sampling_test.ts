import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { readTensor } from "../../src/gpu/submit.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { hasSignal } from "../../src/rl/signal.ts";
import type { Task } from "../../src/task/task.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import type { StepReport } from "../../src/rl/step_report.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, type TinyProblem, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const SMALL: TrainOptions = {
  maxSteps: 20,
  learningRate: 1e-2,
  promptsPerStep: 6,
  numGenerations: 4,
  dynamicSampling: true,
};

/** Rewards differ with the length of the completion, for some problems only. */
function patchyTask(signal: (index: number) => boolean): Task<TinyProblem & { index: number }> {
  const { problem, ...rest } = tinyTask({ maxCompletionLength: 12 });
  return {
    ...rest,
    problem(split, seed, index) {
      const { promptIds, metadata } = problem(split, seed, index);
      return { promptIds, metadata: { ...metadata, index } };
    },
    demonstration: rest.demonstration!,
    verify: ({ index }, ids) => signal(index) ? ids.length % 2 : index % 2,
  };
}

async function withTrainer<R>(
  gpu: Gpu,
  task: Task,
  options: Partial<TrainOptions>,
  body: (trainer: Trainer) => Promise<R>,
): Promise<R> {
  const policy = tinyPolicy(gpu, task);
  const trainer = await Trainer.create(policy, task, { ...SMALL, ...options });
  try {
    return await body(trainer);
  } finally {
    trainer.destroy();
    policy.destroy();
  }
}

/** Completions of a step by prompt. */
function groupsOf({ completions }: StepReport, numGenerations = 4) {
  return Array.from(
    { length: completions.length / numGenerations },
    (_, p) => completions.slice(p * numGenerations, (p + 1) * numGenerations),
  );
}

Deno.test("paper vectors: prompts are kept where the rewards of the group differ", () => {
  const { acc_by_uid, kept } = vectors.dynamic_sampling.example;
  const uids = Object.entries(acc_by_uid).filter(([, acc]) => hasSignal(acc)).map(([uid]) => uid);
  assertEquals(uids, kept);
  assertEquals([hasSignal([0.3]), hasSignal([0.1, 0.1]), hasSignal([])], [true, false, false]);
});

test.onGpu("dynamic sampling refills until enough prompts have a signal, and trains on those", async (gpu) => {
  const task = patchyTask((index) => index % 3 === 0);
  await withTrainer(gpu, task, {}, async (trainer) => {
    const before = await trainer.policy.parameters.read();
    const report = await trainer.next();
    const { metrics } = report;
    const groups = groupsOf(report);
    // Of each six problems two can have a signal, so it takes at least three rollouts.
    const genBatches = metrics["dynamic_sampling/gen_batches"]!;
    assert(genBatches >= 3 && genBatches <= 10, `${genBatches} rollouts`);
    assertEquals(groups.length, 6 * genBatches);
    assertEquals(metrics["dynamic_sampling/prompts"], 6);
    assertClose([metrics["dynamic_sampling/frac_kept"]!], [1 / genBatches], { tolerance: 1e-6 });
    const trained = groups.filter((group) => group.some((c) => c.advantage !== 0));
    assertEquals(trained.length, 6);
    for (const group of trained) assert(hasSignal(group.map((c) => c.reward)));
    // The first ones that have a signal, in order.
    assertEquals(
      groups.filter((group) => hasSignal(group.map((c) => c.reward))).slice(0, 6),
      trained,
    );
    const tokens = (list: typeof trained) =>
      list.flat().reduce((n, c) => n + c.completionIds.length, 0);
    assertEquals(
      metrics["actor/loss_tokens"],
      trained.flat().filter((c) => c.advantage !== 0)
        .reduce((n, c) => n + c.completionIds.length, 0),
    );
    // What is reported of the rollout is all of it.
    const all = groups.flat();
    assertClose([metrics["reward/mean"]!], [all.reduce((n, c) => n + c.reward!, 0) / all.length], {
      tolerance: 1e-6,
    });
    assertClose([metrics["response_length/mean"]!], [tokens(groups) / all.length], {
      tolerance: 1e-6,
    });
    assertEquals(report.warnings, []);

    // The gradient is that of the prompts kept, with the sampler's log-probabilities brought along.
    const start = tinyPolicy(gpu, task);
    for (const [name, values] of before) start.parameters.write(name, values);
    const kept = trained.flat();
    const oldLogProbs = await start.score(
      kept.map((c) => c.promptIds),
      kept.map((c) => c.completionIds),
    );
    const { gradNorm, gradients } = await policyGradient(start, {
      prompts: kept.map((c) => c.promptIds),
      completions: kept.map((c) => c.completionIds),
      rewards: kept.map((c) => c.reward),
      oldLogProbs,
    }, { numGenerations: 4, lossScaleFactor: trainer.options.maxCompletionLength });
    assertClose([metrics["actor/grad_norm"]!], [gradNorm], { tolerance: 1e-5 });
    assert(metrics["rollout_corr/logp_diff_max"]! < 1e-4);
    const clip = Math.min(1, 1 / (gradNorm + 1e-6));
    const moments = await trainer.policy.parameters.read(trainer.optimizer.firstMoment);
    for (const [name, values] of gradients) {
      assertClose(moments.get(name)!, values.map((g) => 0.1 * clip * g), {
        tolerance: 1e-4,
        scale: 1e-3,
        label: name,
      });
    }
    start.destroy();
  });
});

test.onGpu("dynamic sampling makes do with what it has found at the cap, and says so", async (gpu) => {
  const rare = patchyTask((index) => index % 7 === 3);
  await withTrainer(gpu, rare, { maxGenBatches: 2, beta: 0.01 }, async (trainer) => {
    const report = await trainer.next();
    const { metrics, completions } = report;
    const about = (list: readonly string[]) => list.filter((w) => w.startsWith("Dynamic sampling"));
    const warnings = about(report.warnings);
    assertEquals(metrics["dynamic_sampling/gen_batches"], 2);
    assert(metrics["dynamic_sampling/prompts"]! < 6);
    assertEquals(completions.length, 2 * 6 * 4);
    assertEquals(warnings.length, 1);
    assert(/found \d of 6 prompts .* in maxGenBatches = 2 rollouts/.test(warnings[0]!));
    assertEquals(about((await trainer.next()).warnings), [], "the warning is repeated");
  });
  await withTrainer(gpu, patchyTask(() => false), { maxGenBatches: 3 }, async (trainer) => {
    const before = await readTensor(gpu, trainer.policy.parameters.values);
    const { metrics, step } = await trainer.next();
    assertEquals([step, metrics["dynamic_sampling/prompts"]], [1, 0]);
    assertEquals([metrics["actor/grad_norm"], trainer.optimizer.stepCount], [0, 0]);
    assertEquals(await readTensor(gpu, trainer.policy.parameters.values), before);
    for (const [name, value] of Object.entries(metrics)) assert(Number.isFinite(value), name);
  });
});

test.onGpu("every row of a list is asked once before any is asked again, however many rollouts a step takes", async (gpu) => {
  const rows = 64;
  const asked: number[] = [];
  const { problem, ...rest } = tinyTask({ maxCompletionLength: 12 });
  const fails = { once: true };
  const task: Task<TinyProblem & { row: number }> = {
    ...rest,
    problem(split, seed, index) {
      asked.push(index % rows);
      const { promptIds, metadata } = problem(split, seed, index);
      return { promptIds, metadata: { ...metadata, row: index % rows } };
    },
    demonstration: rest.demonstration!,
    verify: ({ row }, ids) => {
      if (row === 40 && fails.once) {
        fails.once = false;
        throw new Error("service unavailable");
      }
      return row % 3 === 0 ? ids.length % 2 : row % 2;
    },
  };
  await withTrainer(gpu, task, { maxGenBatches: 4 }, async (trainer) => {
    while (asked.length < rows) {
      const before = asked.length;
      try {
        await trainer.next();
      } catch (error) {
        assert((error as Error).message.includes("service unavailable"));
        asked.length = before; // the step is repeated, and asks the same
      }
    }
    assertEquals(trainer.nextProblem, asked.length);
  });
  assertEquals(asked, Array.from(asked, (_, i) => i % rows));
  assertEquals(fails.once, false);
});

test.onGpu("the learning rate follows the progress of training, also where steps are short of prompts", async (gpu) => {
  // Of each six prompts two can have a signal: one optimizer step of the three that were planned.
  const options = { maxGenBatches: 1, miniBatchSize: 8, maxSteps: 3 } as const;
  const last = async (lrScheduler: "cosine" | "linear") =>
    await withTrainer(gpu, patchyTask((index) => index % 3 === 0), {
      ...options,
      lrScheduler,
    }, async (trainer) => {
      for (let step = 0; step < 2; step++) await trainer.next();
      const { metrics } = await trainer.next();
      assert(metrics["dynamic_sampling/prompts"]! <= 2);
      return metrics["actor/lr"]! / trainer.options.learningRate;
    });
  assertClose([await last("cosine"), await last("linear")], [0.25, 1 / 3], { tolerance: 1e-6 });
});
