import { assert, assertEquals, assertThrows } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { groupAdvantages } from "../../src/objective/advantage.ts";
import { softOverlongPunishment } from "../../src/objective/overlong.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

const near = { tolerance: 1e-12 };

Deno.test("paper vectors: soft overlong punishment", () => {
  const cases = [
    ["scripts(max 3072,buf 2048,factor 1)", 3072, 2048],
    ["dapo paper (20480,4096,1)", 20480, 4096],
  ] as const;
  for (const [name, maxCompletionLength, softOverlongBuffer] of cases) {
    const expected = Object.entries(vectors.overlong_soft_punishment[name]);
    assert(expected.length > 2);
    const options = { maxCompletionLength, softOverlongBuffer, softOverlongPenalty: 1 };
    assertClose(
      expected.map(([length]) => softOverlongPunishment(Number(length), options)),
      expected.map(([, punishment]) => punishment),
      near,
    );
  }
});

Deno.test("soft overlong punishment scales with its penalty and is off without a buffer", () => {
  const options = { maxCompletionLength: 10, softOverlongBuffer: 4, softOverlongPenalty: 0.5 };
  const punished = (change: object) =>
    [5, 6, 7, 8, 10].map((length) => softOverlongPunishment(length, { ...options, ...change }));
  assertClose(punished({}), [0, 0, -0.125, -0.25, -0.5], near);
  assertEquals(punished({ softOverlongBuffer: 0 }), [0, 0, 0, 0, 0]);
  assertClose(punished({ softOverlongPenalty: 0 }), [0, 0, 0, 0, 0], near);
  assertThrows(() => softOverlongPunishment(NaN, options), RangeError, "length must be a finite");
});

/** The first step of a training run on the tiny task, where half the responses are cut off. */
async function firstStep(options: Partial<TrainOptions>) {
  const gpu = await openGpu();
  const task = tinyTask({ verify: (_, ids) => ids.filter((id) => id > 4).length / 5 });
  const policy = tinyPolicy(gpu, task);
  const trainer = await Trainer.create(policy, task, {
    maxSteps: 3,
    learningRate: 1e-2,
    promptsPerStep: 4,
    numGenerations: 8,
    ...options,
  });
  const report = await trainer.next();
  const moment = await policy.parameters.read(trainer.optimizer.firstMoment);
  trainer.destroy();
  policy.destroy();
  await gpu.close();
  return { ...report, moment };
}

Deno.test("soft overlong punishment comes off the rewards before they become advantages", async () => {
  const { completions, metrics } = await firstStep({
    softOverlongBuffer: 3,
    softOverlongPenalty: 2,
    advantageEstimator: "drGrpo",
  });
  const shaped = completions.map(({ reward, completionIds: { length } }) =>
    reward! - Math.max(0, length - 2) / 3 * 2
  );
  assert(new Set(completions.map((c) => c.completionIds.length)).size > 2);
  assertClose(
    completions.map((c) => c.advantage),
    groupAdvantages(shaped, 8, { advantageEstimator: "drGrpo" }),
    { tolerance: 1e-6 }, // what is recorded is what the kernel computed, in float32
  );
  const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;
  assertClose([metrics["reward/shaped_mean"]!], [mean(shaped)], near);
  assertClose([metrics["reward/mean"]!], [mean(completions.map((c) => c.reward!))], near);
});

Deno.test("paper vectors: overlong filtering takes the advantage of responses that fill the limit", async () => {
  // The published code looks at the last column, which is not padding only where a response fills the limit.
  const { before, after } = vectors.overlong_filtering;
  before.forEach((row, i) => {
    const filled = row.at(-1) !== 0;
    assertEquals(after[i], filled ? [0, 0, 0, 0] : row);
  });

  for (const entropyCoef of [0, 0.01]) {
    const plain = await firstStep({ entropyCoef });
    const filtered = await firstStep({ entropyCoef, overlongFiltering: true });
    const limit = 5;
    const fills = plain.completions.map((c) => c.completionIds.length === limit);
    // Those that end right at the limit are among them, unlike with maskTruncatedCompletions.
    assert(plain.completions.some((c, b) => fills[b] && !c.truncated));
    assert(plain.completions.some((c, b) => fills[b] && c.advantage !== 0));
    assertEquals(
      filtered.completions.map((c) => c.advantage),
      plain.completions.map((c, b) => fills[b] ? 0 : c.advantage),
    );
    // All stay in the sums of the weights.
    for (const name of ["loss/weight_max", "loss/weight_ess"]) {
      assertEquals(filtered.metrics[name], plain.metrics[name]);
    }
    assert(filtered.metrics["actor/grad_norm"] !== plain.metrics["actor/grad_norm"]);
    const tokens = (keep: (b: number) => boolean) =>
      plain.completions.reduce((n, c, b) => n + (keep(b) ? c.completionIds.length : 0), 0);
    const trained = (b: number) => !fills[b] && plain.completions[b]!.advantage !== 0;
    assertEquals(filtered.metrics["actor/loss_tokens"], tokens(entropyCoef ? () => true : trained));
  }
});

Deno.test("with an entropy bonus, overlong filtering gives the gradient of advantage 0 on the GPU too", async () => {
  // Without a bonus the responses are not computed at all; a tiny one must hardly change the gradient.
  const none = await firstStep({ overlongFiltering: true });
  const tiny = await firstStep({ overlongFiltering: true, entropyCoef: 1e-7 });
  for (const [name, values] of none.moment) {
    assertClose(tiny.moment.get(name)!, values, { tolerance: 1e-4, label: name });
  }
});
