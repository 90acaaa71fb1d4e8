import { assertEquals, assertThrows } from "@std/assert";
import { trlSettings, yaml } from "../../src/export/trl_settings.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";

const settingsOf = (options: Partial<TrainOptions> = {}) =>
  trlSettings(resolveTrainOptions({ maxSteps: 10, learningRate: 1e-6, ...options }, 1024));

Deno.test("trlSettings(): every surrogate and aggregation in TRL's words", () => {
  const cases: [options: Partial<TrainOptions>, type: string, level: string, mode: string][] = [
    [{}, "dr_grpo", "token", "seq-mean-token-sum-norm"],
    [{ lossAggregation: "promptMean" }, "dr_grpo", "token", "seq-mean-token-sum-norm"],
    [{ lossAggregation: "grpo" }, "grpo", "token", "seq-mean-token-mean"],
    [{ lossAggregation: "dapo" }, "dapo", "token", "token-mean"],
    [{ preset: "drGrpo" }, "dr_grpo", "token", "seq-mean-token-sum-norm"],
    [{ preset: "gspo" }, "grpo", "sequence", "seq-mean-token-mean"],
    [{ preset: "cispo" }, "cispo", "token", "token-mean"],
    [{ policyLoss: "luspo" }, "luspo", "sequence", "seq-mean-token-mean"],
    [{ policyLoss: "vespo" }, "vespo", "token", "token-mean"],
    [{ policyLoss: "sapo" }, "sapo", "token", "seq-mean-token-mean"],
  ];
  for (const [options, type, level, mode] of cases) {
    const { config, weights } = settingsOf(options);
    assertEquals(
      [config.loss_type, config.importance_sampling_level, weights.loss_agg_mode],
      [type, level, mode],
      JSON.stringify(options),
    );
  }
});

Deno.test("trlSettings(): batches, optimizer, clipping and what is beside the loss", () => {
  const { config, weights } = settingsOf({
    promptsPerStep: 64,
    numGenerations: 8,
    miniBatchSize: 128,
    numIterations: 2,
    maxGradNorm: 0,
    warmupSteps: 5,
    lrScheduler: "cosine",
    beta: 0.05,
    refSyncSteps: 3,
    evalSteps: 25,
    minP: 0.1,
    softOverlongBuffer: 100,
    loraRank: 4,
  });
  const expected: Record<string, unknown> = {
    num_generations: 8,
    epsilon: 0.2,
    epsilon_high: 0.28,
    delta: 3,
    beta: 0.05,
    // A rollout is 4 mini-batches, twice.
    max_steps: 80,
    ref_model_sync_steps: 24,
    ref_model_mixup_alpha: 1,
    eval_steps: 200,
    lr_scheduler_type: "cosine",
    warmup_steps: 5,
    max_grad_norm: 0,
    min_p: 0.1,
    max_completion_length: 1024,
  };
  for (const [name, value] of Object.entries(expected)) assertEquals(config[name], value, name);
  assertEquals([weights.batch, weights.mini_batch, weights.soft_overlong_buffer], [512, 128, 100]);
  assertEquals([weights.lora!.r, weights.lora!.lora_alpha], [4, 8]);
});

Deno.test("trlSettings() says what TRL does in another way, and refuses what it cannot do", () => {
  const limits = (options: Partial<TrainOptions>) => settingsOf(options).limits.join(" ");
  assertEquals(limits({}), "");
  assertEquals(limits({ miniBatchSize: 16 }).includes("shuffles"), true);
  assertEquals(limits({ beta: 0.1 }).includes("averaged as dr_grpo does"), true);
  assertEquals(limits({ beta: 0.1, lossAggregation: "grpo" }), "");
  assertEquals(limits({ warmupSteps: 1 }).includes("learning rate 0"), true);
  assertEquals(limits({ weightDecay: 0.1 }).includes("norms and biases"), true);
  assertEquals(limits({ weightDecay: 0.1, loraRank: 4 }), "");
  const cases: [options: Partial<TrainOptions>, message: string][] = [
    [{ policyLoss: "gmpo" }, "choose ppo, gspo, luspo, cispo, sapo or vespo"],
    [{ policyLoss: "cispo", epsilon: 0.5 }, "epsilon is 0.5"],
    [{ advantageEstimator: "opo" }, "advantageEstimator is opo, which TRL cannot do"],
    [{ lossAggregation: "lambdaGrpo" }, "choose dapo"],
    [{ lossScope: "miniBatch", miniBatchSize: 16 }, "lossScope is miniBatch"],
    [{ preset: "dapo" }, "export to verl"],
    [{ beta: 0.1, klInReward: true }, "klInReward is true"],
    [{ beta: 0.1, klEstimator: "k2" }, "choose k3"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => settingsOf(options), RangeError, message);
  }
});

Deno.test("yaml(): no is a word, and 1e-7 a number", () => {
  assertEquals(
    yaml({ eval_strategy: "no", learning_rate: 1e-7, beta: 0.5, sync: false }),
    'eval_strategy: "no"\nlearning_rate: 1.0e-7\nbeta: 0.5\nsync: false\n',
  );
});
