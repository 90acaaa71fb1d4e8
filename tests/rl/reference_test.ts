import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/gpu/device.ts";
import { readTensor } from "../../src/gpu/submit.ts";
import { Policy } from "../../src/model/policy.ts";
import { klEstimate } from "../../src/objective/kl.ts";
import { Reference } from "../../src/rl/reference.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import type { StepReport } from "../../src/rl/step_report.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { loadTinyQwen2, tinyQwen2Folder } from "../helpers/tiny_qwen2.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const SMALL: TrainOptions = {
  maxSteps: 20,
  learningRate: 2e-2,
  promptsPerStep: 8,
  numGenerations: 16,
};

test.onDevices("a reference scores rollouts with the weights it was made of", async (gpu) => {
  const { oracle } = loadTinyQwen2();
  const P = oracle.prompt_length;
  const G = oracle.num_generations;
  const prompts = oracle.tokens.map((row) => row.slice(0, P));
  const completions = oracle.tokens.map((row, b) => row.slice(P, P + oracle.response_lengths[b]!));
  const M = Math.max(...oracle.response_lengths) + 3;
  const policy = await Policy.load(gpu, fileURLToPath(tinyQwen2Folder));
  const temperature = 0.9;
  const expected = await policy.score(prompts, completions, { temperature });
  const oldLogProbs = gpu.tensor([completions.length, M], {
    data: Array.from({ length: completions.length * M }, (_, i) => -(i % 7) / 3),
  });
  const old = await readTensor(gpu, oldLogProbs);
  const groups = prompts.filter((_, b) => b % G === 0).map((prompt, p) => ({
    prompt,
    responses: completions.slice(p * G, (p + 1) * G)
      .map((tokens, g) => ({ sequence: p * G + g, tokens })),
  }));
  for (const maxTokens of [500, 60]) {
    for (const klEstimator of ["k1", "k3"] as const) {
      const reference = await Reference.create(policy, oldLogProbs, {
        temperature,
        maxTokens,
        klEstimator,
      });
      // What happens to the policy later does not matter.
      const norm = policy.parameters.finalNorm;
      const weights = await readTensor(gpu, norm);
      gpu.write(norm, weights.map((w) => 2 * w));
      reference.score(groups);
      const scores = await readTensor(gpu, reference.logProbs);
      const divergence = await reference.divergence(completions.map((c) => c.length));
      completions.forEach((c, b) => {
        const row = scores.subarray(b * M, b * M + c.length);
        assertClose(row, expected[b]!, { tolerance: 1e-5, label: `response ${b}` });
        assertEquals(
          [...scores.subarray(b * M + c.length, (b + 1) * M)].every((x) => x === 0),
          true,
        );
      });
      const wanted = completions.map((c, b) =>
        c.reduce(
          (sum, _, t) => sum + klEstimate(old[b * M + t]!, expected[b]![t]!, klEstimator).value,
          0,
        )
      );
      assertClose(divergence, wanted, { tolerance: 1e-5, label: klEstimator });
      // Unless it is told to take over.
      reference.synchronise();
      reference.score(groups);
      assertNotEquals(await readTensor(gpu, reference.logProbs), scores);
      gpu.write(norm, weights);
      reference.destroy();
    }
  }
  policy.destroy();
});

async function train(
  gpu: Gpu,
  options: Partial<TrainOptions>,
  steps: number,
): Promise<{ reports: StepReport[]; weights: Float32Array; peak: number }> {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const before = gpu.counters.bytesAllocated;
  const trainer = await Trainer.create(policy, task, { ...SMALL, ...options });
  const peak = gpu.counters.bytesAllocated - before;
  const reports = [];
  for (let i = 0; i < steps; i++) reports.push(await trainer.next());
  const weights = await readTensor(gpu, policy.parameters.values) as Float32Array;
  trainer.destroy();
  policy.destroy();
  return { reports, weights, peak };
}

test.onGpu("the divergence is 0 at first, grows with training, and a larger beta keeps it small", async (gpu) => {
  for (const klInReward of [false, true]) {
    const kl = async (beta: number) => {
      const { reports } = await train(gpu, { beta, klInReward }, 12);
      return reports.map((r) => r.metrics["actor/kl"]!);
    };
    const [loose, tight] = [await kl(1e-4), await kl(10)];
    for (const values of [loose, tight]) {
      assert(Math.abs(values[0]!) < 1e-5, `divergence of the first step ${values[0]}`);
    }
    const [far, near] = [loose.at(-1)!, tight.at(-1)!];
    assert(far > 1, `divergence without much of a penalty: ${far}`);
    assert(near < 0.1, `divergence with a penalty: ${near}, without ${far}`);
  }
});

test.onGpu("without a coefficient no reference is kept", async (gpu) => {
  await train(gpu, {}, 0); // what the device keeps for all plans is made with the first
  const without = await train(gpu, {}, 2);
  const zero = await train(gpu, { beta: 0 }, 2);
  const one = await train(gpu, { beta: 0.01 }, 2);
  assertEquals(zero.weights, without.weights);
  assertEquals(zero.peak, without.peak);
  assert(one.peak > without.peak + without.weights.byteLength);
  assertEquals("actor/kl" in without.reports[0]!.metrics, false);
  assertNotEquals(one.weights, without.weights);
});

test.onGpu("the divergence comes off the rewards before they become advantages", async (gpu) => {
  const beta = 0.5;
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const start = tinyPolicy(gpu, task);
  const trainer = await Trainer.create(policy, task, {
    ...SMALL,
    beta,
    klInReward: true,
    advantageEstimator: "drGrpo",
  });
  await trainer.next();
  const sampledBy = (await policy.parameters.read()).entries();
  const current = tinyPolicy(gpu, task);
  for (const [name, values] of sampledBy) current.parameters.write(name, values);
  const { completions, metrics } = await trainer.next();
  const lists = [
    completions.map((c) => c.promptIds),
    completions.map((c) => c.completionIds),
  ] as const;
  const [old, ref] = [await current.score(...lists), await start.score(...lists)];
  const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);
  const shaped = completions.map((c, b) => c.reward! - beta * (sum(old[b]!) - sum(ref[b]!)));
  const expected = shaped.map((r, b) => {
    const group = shaped.slice(Math.floor(b / 16) * 16, Math.floor(b / 16) * 16 + 16);
    return r - sum(group) / 16;
  });
  assertClose(completions.map((c) => c.advantage), expected, { tolerance: 1e-5 });
  assertClose([metrics["reward/shaped_mean"]!], [sum(shaped) / shaped.length], { tolerance: 1e-5 });
  assertClose([metrics["reward/mean"]!], [sum(completions.map((c) => c.reward!)) / 128], {
    tolerance: 1e-6,
  });
  trainer.destroy();
  for (const p of [policy, start, current]) p.destroy();
});

test.onGpu("refSyncSteps makes the policy its own reference every so often", async (gpu) => {
  const { reports } = await train(gpu, { beta: 1e-3, refSyncSteps: 3 }, 7);
  const zero = reports.filter((r) => Math.abs(r.metrics["actor/kl"]!) < 1e-6).map((r) => r.step);
  assertEquals(zero, [1, 4, 7]);
});

test.onGpu("klAfterNormalization takes beta times the divergence, less its group's mean, off the advantages", async (gpu) => {
  const task = tinyTask();
  // Rewards that are all equal: before the normalization the divergence alone becomes advantages of order 1.
  const equal = { ...task, verify: () => 1 };
  const advantages = async (klAfterNormalization: boolean) => {
    const policy = tinyPolicy(gpu, task);
    const trainer = await Trainer.create(policy, equal, {
      ...SMALL,
      beta: 1e-6,
      klInReward: true,
      klAfterNormalization,
    });
    for (const tensor of [policy.parameters.finalNorm]) {
      gpu.write(tensor, (await readTensor(gpu, tensor)).map((w) => 1.5 * w));
    }
    const { completions, warnings, metrics } = await trainer.next();
    trainer.destroy();
    policy.destroy();
    const largest = Math.max(...completions.map((c) => Math.abs(c.advantage)));
    return { largest, warnings, withoutSignal: metrics["frac_reward_zero_std"]! };
  };
  const before = await advantages(false);
  const after = await advantages(true);
  assert(before.largest > 0.1, `${before.largest}`);
  // What is compared differs, though the verifier's rewards do not.
  assertEquals([before.withoutSignal, after.withoutSignal], [0, 1]);
  assert(before.warnings[0]!.startsWith("klInReward comes before the division"));
  assert(after.largest > 0 && after.largest < 1e-4, `${after.largest}`);
  assertEquals(after.warnings.filter((text) => text.startsWith("kl")), []);
});
