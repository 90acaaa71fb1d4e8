import { assertEquals, assertThrows } from "@std/assert";
import { verlSettings } from "../../src/export/verl_settings.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";

const settingsOf = (options: Partial<TrainOptions> = {}) =>
  verlSettings(resolveTrainOptions({ maxSteps: 10, learningRate: 1e-6, ...options }, 1024));

/** Overrides without their usual prefix. */
function overridesOf(options: Partial<TrainOptions>): Record<string, string> {
  return Object.fromEntries(
    [...settingsOf(options).overrides].map(([key, value]) =>
      [key.replace(/^actor_rollout_ref\.(actor\.)?/, ""), value] as const
    ),
  );
}

Deno.test("verlSettings(): ΔL is a registered advantage and a constant divisor", () => {
  const { overrides, weights, limits } = settingsOf({ lossAlpha: 0.75 });
  assertEquals(overrides.get("algorithm.adv_estimator"), "deltal");
  assertEquals(overrides.get("actor_rollout_ref.actor.loss_agg_mode"), "seq-mean-token-sum-norm");
  assertEquals(overrides.get("actor_rollout_ref.actor.loss_scale_factor"), "1024");
  assertEquals(weights, {
    advantage: { estimator: "grpo", divisor: "group" },
    aggregation: "deltaL",
    alpha: 0.75,
    scope: "batch",
    scale_factor: 1024,
    loss_agg_mode: "seq-mean-token-sum-norm",
    agg_scale_factor: 1024,
    overlong_filtering: false,
    max_response_length: 1024,
  });
  assertEquals(limits, []);
});

Deno.test("verlSettings(): what verl has itself needs nothing registered", () => {
  const cases: [options: Partial<TrainOptions>, estimator: string, std: string, mode: string][] = [
    [{ lossAggregation: "grpo" }, "grpo", "True", "seq-mean-token-mean"],
    [{ lossAggregation: "dapo" }, "grpo", "True", "token-mean"],
    [{ preset: "drGrpo" }, "grpo", "False", "seq-mean-token-sum-norm"],
    [{ lossAggregation: "seqSum", scaleRewards: "none" }, "grpo", "False", "seq-mean-token-sum"],
    [
      { lossAggregation: "grpo", advantageEstimator: "rloo" },
      "rloo",
      "True",
      "seq-mean-token-mean",
    ],
    [
      { lossAggregation: "grpo", advantageEstimator: "passK" },
      "grpo_passk",
      "True",
      "seq-mean-token-mean",
    ],
    [{ preset: "gspo" }, "grpo", "True", "seq-mean-token-mean"],
    [{ preset: "cispo" }, "grpo", "True", "token-mean"],
  ];
  for (const [options, estimator, std, mode] of cases) {
    const { overrides, weights } = settingsOf(options);
    assertEquals(weights, undefined, JSON.stringify(options));
    assertEquals(
      [
        overrides.get("algorithm.adv_estimator"),
        overrides.get("algorithm.norm_adv_by_std_in_grpo"),
        overrides.get("actor_rollout_ref.actor.loss_agg_mode"),
      ],
      [estimator, std, mode],
      JSON.stringify(options),
    );
  }
});

Deno.test("verlSettings(): what verl lacks is registered", () => {
  const advantage = (options: Partial<TrainOptions>) => settingsOf(options).weights?.advantage;
  assertEquals(advantage({ lossAggregation: "grpo", scaleRewards: "batch" }), {
    estimator: "grpo",
    divisor: "batch",
  });
  assertEquals(advantage({ lossAggregation: "grpo", advantageEstimator: "maxRl" }), {
    estimator: "maxRl",
  });
  assertEquals(advantage({ advantageEstimator: "opo" }), { estimator: "verl", name: "opo" });
  assertEquals(advantage({ advantageEstimator: "passK", scaleRewards: "none" }), {
    estimator: "verl",
    name: "grpo_passk",
    norm_adv_by_std_in_grpo: false,
  });
  // gspo averages tokens in verl, so the other rules are folded into the advantages.
  const { weights } = settingsOf({ policyLoss: "gspo", lossAggregation: "drGrpo" });
  assertEquals([weights!.aggregation, weights!.loss_agg_mode], ["drGrpo", "seq-mean-token-mean"]);
});

Deno.test("verlSettings(): batches, optimizer, clipping, divergence and DAPO's parts", () => {
  const some = overridesOf({
    promptsPerStep: 64,
    numGenerations: 8,
    miniBatchSize: 128,
    numIterations: 2,
    maxGradNorm: 0,
    warmupSteps: 5,
    lrScheduler: "cosine",
    weightDecay: 0.01,
    beta: 0.05,
    klEstimator: "k3",
    entropyCoef: 0.001,
    epsilonHigh: 0.3,
    dualClip: 0,
    evalSteps: 25,
    temperature: 0.9,
  });
  const expected: Record<string, string> = {
    "data.train_batch_size": "64",
    "rollout.n": "8",
    ppo_mini_batch_size: "16",
    ppo_epochs: "2",
    grad_clip: "1e9",
    "optim.lr": "0.000001",
    "optim.lr_warmup_steps": "5",
    "optim.lr_scheduler_type": "cosine",
    "optim.weight_decay": "0.01",
    "optim.betas": "[0.9,0.999]",
    use_kl_loss: "True",
    kl_loss_coef: "0.05",
    kl_loss_type: "low_var_kl",
    entropy_coeff: "0.001",
    clip_ratio_low: "0.2",
    clip_ratio_high: "0.3",
    clip_ratio_c: "1e9",
    "rollout.temperature": "0.9",
    "trainer.test_freq": "25",
    "trainer.total_training_steps": "10",
  };
  for (const [key, value] of Object.entries(expected)) assertEquals(some[key], value, key);

  const dapo = overridesOf({ preset: "dapo" });
  assertEquals(dapo["algorithm.filter_groups.enable"], "True");
  assertEquals(dapo["reward.reward_manager.name"], "dapo");
  assertEquals(dapo["+reward.reward_kwargs.max_resp_len"], "1024");
  assertEquals(Number(dapo["+reward.reward_kwargs.overlong_buffer_cfg.len"]) > 0, true);
  const inReward = overridesOf({ beta: 0.01, klInReward: true });
  assertEquals(
    [
      inReward.use_kl_loss,
      inReward["algorithm.use_kl_in_reward"],
      inReward["algorithm.kl_penalty"],
    ],
    ["False", "True", "kl"],
  );
});

Deno.test("verlSettings(): SAPO's temperatures and low-rank adapters", () => {
  const sapo = overridesOf({ policyLoss: "sapo", sapoTemperatureNeg: 2 });
  assertEquals([sapo.tau_pos, sapo.tau_neg], ["1", "2"]);
  const lora = overridesOf({ loraRank: 4, loraTargetModules: "query-value" });
  assertEquals(
    [lora["model.lora_rank"], lora["model.lora_alpha"], lora["model.target_modules"]],
    ["4", "8", "[q_proj,v_proj]"],
  );
  assertEquals(overridesOf({})["model.lora_rank"], undefined);
});

Deno.test("verlSettings() says what verl does in another way", () => {
  const limits = (options: Partial<TrainOptions>) => settingsOf(options).limits.join(" ");
  assertEquals(limits({ preset: "dapoDeltaL" }).includes("maxGenBatches = 10"), true);
  assertEquals(limits({ beta: 0.1 }).includes("divergence and entropy terms"), true);
  assertEquals(limits({ beta: 0.1, lossAggregation: "grpo" }), "");
  assertEquals(limits({ beta: 0.1, klInReward: true }).includes("off the reward"), true);
});

Deno.test("verlSettings() refuses what verl cannot do, and says what it can", () => {
  const cases: [options: Partial<TrainOptions>, message: string][] = [
    [{ policyLoss: "gmpo" }, "policyLoss is gmpo"],
    [{ lossAggregation: "dapoMicroBatch" }, "lossAggregation is dapoMicroBatch"],
    [{ lossAggregation: "lambdaGrpo" }, "lossAggregation is lambdaGrpo"],
    [{ maskTruncatedCompletions: true }, "choose overlongFiltering"],
    [{ beta: 0.1, refSyncSteps: 10 }, "refSyncSteps is 10"],
    [{ lossScope: "miniBatch", miniBatchSize: 16 }, "lossScope is miniBatch"],
    [{ policyLoss: "gspo", lossAggregation: "dapo", miniBatchSize: 16 }, "choose grpo"],
    [{ lossAggregation: "dapo", overlongFiltering: true }, "overlongFiltering is true"],
    [{ lossAggregation: "dapo", advantageEstimator: "maxRl" }, "advantageEstimator is maxRl"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => settingsOf(options), RangeError, message);
  }
});

Deno.test("verlSettings(): rollouts and validation sample among the same tokens", () => {
  const all = overridesOf({});
  assertEquals([all["rollout.top_k"], all["rollout.top_p"]], ["-1", "1"]);
  const some = overridesOf({ topK: 20, topP: 0.8 });
  assertEquals([some["rollout.top_k"], some["rollout.top_p"]], ["20", "0.8"]);
  assertEquals([some["rollout.val_kwargs.top_k"], some["rollout.val_kwargs.top_p"]], ["20", "0.8"]);
  assertThrows(() => settingsOf({ minP: 0.1 }), RangeError, "minP is 0.1, which verl cannot do");
});
