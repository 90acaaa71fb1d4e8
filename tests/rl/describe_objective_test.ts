import { assertEquals, assertMatch } from "@std/assert";
import { describeObjective } from "../../src/rl/describe_objective.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import type { ChoiceSetting } from "../../src/rl/setting_kinds.ts";
import { settingOf } from "../../src/rl/settings.ts";

const describe = (options: Partial<TrainOptions>) =>
  Object.fromEntries(
    describeObjective(resolveTrainOptions({ maxSteps: 1, learningRate: 1e-3, ...options }, 128)),
  );

Deno.test("describeObjective() shows ΔL Normalization as its authors run it", () => {
  assertEquals(describe({ preset: "deltaL" }), {
    sampling: "32 prompts, 16 responses each",
    advantage: "A = (r - mean of the group) / (σ of the group + 1e-6)",
    surrogate: "ℓ = max(-A ρ, -A clip(ρ, 0.8, 1.3)), at most 3 |A| where A < 0",
    weights:
      "x = 1 / (N 128) · L^-1 / (mean of L^-1 over the rollout batch) over the N responses of " +
      "an optimizer step (deltaL)",
    loss: "Σ_i x_i Σ_t ℓ",
  });
});

Deno.test("describeObjective() shows what shapes rewards, batches and the loss", () => {
  const dapo = describe({ preset: "dapo", beta: 0.01, klInReward: true, entropyCoef: 0.002 });
  assertEquals(
    dapo.sampling,
    "32 prompts with differing rewards out of at most 320, 16 responses each",
  );
  assertEquals(
    dapo.reward,
    "r = verifier - 1 · max(0, L - 103) / 25 - 0.01 · Σ_t KL_k1(π ‖ π_ref)",
  );
  assertEquals(dapo.surrogate, "ℓ = max(-A ρ, -A clip(ρ, 0.8, 1.28)), at most 3 |A| where A < 0");
  assertEquals(dapo.weights, "x = 1 / Σ L over the N responses of an optimizer step (dapo)");
  assertEquals(dapo.loss, "Σ_i x_i Σ_t (ℓ - 0.002 H)");
  const other = describe({
    advantageEstimator: "drGrpo",
    beta: 0.1,
    entropyCoef: -1,
    overlongFiltering: true,
    maskTruncatedCompletions: true,
    lossScope: "miniBatch",
    lossAlpha: 0.75,
  });
  assertEquals(other.advantage, "A = r - mean of the group; 0 where L = 128");
  assertEquals(other.loss, "Σ_i x_i Σ_t (ℓ + 0.1 KL_k3(π ‖ π_ref) + 1 H)");
  assertMatch(
    other.weights!,
    /^x = L\^-0\.75 \/ \(128 Σ L\^-0\.75\) .*, without responses cut off/,
  );
});

Deno.test("describeObjective() has a text of its own for every choice", () => {
  for (const name of ["advantageEstimator", "policyLoss", "lossAggregation", "lossScope"]) {
    const choices = Object.keys((settingOf(name) as ChoiceSetting).choices);
    const texts = choices.map((choice) => JSON.stringify(describe({ [name]: choice })));
    assertEquals(new Set(texts).size, choices.length, name);
    for (const text of texts) assertEquals(/undefined|NaN|\[object/.test(text), false, text);
  }
});
