import { assert, assertEquals, assertRejects } from "@std/assert";
import { evaluate } from "../../src/rl/evaluation.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const G = 8;

/** Longer answers are worth more, and those of three tokens nobody can judge. */
const task = tinyTask({ verify: (_, ids) => ids.length === 3 ? null : ids.length });

const OPTIONS = { maxSteps: 2, learningRate: 1e-2, promptsPerStep: 6, numGenerations: G };

test.onGpu("completions that the verifier cannot judge count in no figure and in no gradient", async (gpu) => {
  for (const dynamicSampling of [false, true]) {
    const policy = tinyPolicy(gpu, task);
    const before = tinyPolicy(gpu, task);
    const trainer = await Trainer.create(policy, task, { ...OPTIONS, dynamicSampling });
    const { completions, metrics } = await trainer.next();
    const unjudged = completions.filter(({ reward }) => reward === null);
    assert(unjudged.length > 0 && unjudged.length < completions.length / 2);
    for (const { completionIds, advantage } of unjudged) {
      assertEquals([completionIds.length, advantage], [3, 0]);
    }
    const rewards = completions.flatMap(({ reward }) => reward === null ? [] : [reward]);
    assertClose([metrics["reward/mean"]!], [rewards.reduce((a, b) => a + b, 0) / rewards.length], {
      tolerance: 1e-12,
    });
    assertClose([metrics["reward/frac_unjudged"]!], [unjudged.length / completions.length], {
      tolerance: 1e-12,
    });
    assertEquals(
      metrics["actor/loss_tokens"],
      completions.reduce((n, c) => n + (c.reward === null ? 0 : c.completionIds.length), 0),
    );

    const prompts = completions.map((c) => c.promptIds);
    const completionIds = completions.map((c) => c.completionIds);
    const { gradNorm } = await policyGradient(before, {
      prompts,
      completions: completionIds,
      rewards: completions.map((c) => c.reward),
      oldLogProbs: await before.score(prompts, completionIds),
    }, { numGenerations: G, lossScaleFactor: 5 });
    assertClose([metrics["actor/grad_norm"]!], [gradNorm], { tolerance: 1e-5 });
    for (const part of [trainer, policy, before]) part.destroy();
  }
});

test.onGpu("an evaluation is over what was judged, and says where that is nothing", async (gpu) => {
  const policy = tinyPolicy(gpu, task);
  const { meanAtN, unjudged, greedy } = await evaluate(policy, task, {
    prompts: 8,
    numGenerations: G,
  });
  assert(unjudged! > 0 && unjudged! < 0.5, `${unjudged}`);
  assert(meanAtN > 3 && meanAtN <= 5 && Number.isFinite(greedy));
  const silent = tinyTask({ verify: () => null });
  const none = "judged none of the";
  await assertRejects(() => evaluate(policy, silent, { prompts: 2 }), Error, none);
  const trainer = await Trainer.create(policy, silent, OPTIONS);
  await assertRejects(() => trainer.next(), Error, `The verifier ${none} 48 completions of step 1`);
  assertEquals(trainer.completedSteps, 0);
  trainer.destroy();
  policy.destroy();
});
