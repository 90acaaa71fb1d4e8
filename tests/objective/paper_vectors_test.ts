/**
 * Advantages, weights, losses and gradients against values executed with the published code of
 * arXiv 2509.07558, in float64.
 */

import { assert, assertEquals } from "@std/assert";
import { type AdvantageOptions, groupAdvantages } from "../../src/objective/advantage.ts";
import { lengthWeights } from "../../src/objective/aggregation.ts";
import { type LossWeightOptions, lossWeights } from "../../src/objective/loss_weights.ts";
import { estimatorStatistics } from "../../src/objective/estimator_statistics.ts";
import { klEstimate } from "../../src/objective/kl.ts";
import { policyLossSettings, responsePolicyLoss } from "../../src/objective/policy_loss.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";

/** The vectors are printed to 12 digits, and their token means add 1e-8 to the token count. */
const near = { tolerance: 1e-9 };
const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);

Deno.test("paper vectors: ΔL weights, shares and coefficients", () => {
  const { lengths, M, by_alpha } = vectors.weights;
  assertEquals(Object.keys(by_alpha).length, 4);
  for (const [alpha, expected] of Object.entries(by_alpha)) {
    const lossAlpha = Number(alpha);
    const weights = lengthWeights(lengths, lossAlpha);
    assertClose(weights, expected.code_weight, { ...near, label: `weights at α = ${alpha}` });
    assertClose(weights.map((w) => w / lengths.length), expected.share, near);
    assertClose(lossWeights(lengths, { lossAlpha, lossScaleFactor: M }), expected.x, near);
  }
});

Deno.test("paper vectors: bias, variance and coefficient of variation of every rule", () => {
  const { lengths, M } = vectors.weights;
  const { closed_forms, ...rules } = vectors.estimator_statistics;
  let checked = 0;
  for (const [name, expected] of Object.entries(rules)) {
    if (typeof expected === "string") continue;
    const weights = lossWeights(lengths, { ...ruleOf(name), lossScaleFactor: M });
    assertClose(weights, expected.x, { ...near, label: name });
    const { meanFactor, variance, coefficientOfVariation } = estimatorStatistics(lengths, weights);
    assertClose([meanFactor], [expected.mean_factor], { ...near, label: name });
    assertClose([variance], [expected.variance_over_V], { ...near, label: name });
    const cv = expected.cv_times_gradnorm_over_sqrtV;
    assertClose([coefficientOfVariation], [cv], { ...near, label: name });
    checked++;
  }
  assertEquals(checked, 7);

  const statistics = (options: LossWeightOptions) =>
    estimatorStatistics(lengths, lossWeights(lengths, { ...options, lossScaleFactor: M }));
  assertClose(
    [
      statistics({ lossAggregation: "grpo" }).coefficientOfVariation,
      statistics({ lossAggregation: "dapo" }).coefficientOfVariation,
      statistics({ lossAggregation: "drGrpo" }).coefficientOfVariation,
      statistics({ lossAlpha: 1 }).variance,
    ],
    [
      closed_forms["cv_grpo = (sum 1/L)^-1/2"],
      closed_forms["cv_dapo = cv_dr_grpo = sqrt(sum L)/G"],
      closed_forms["cv_dapo = cv_dr_grpo = sqrt(sum L)/G"],
      closed_forms["min_variance_over_V at alpha=1 = 1/(M^2 sum 1/L)"],
    ],
    near,
  );
  const byAlpha = closed_forms["cv_delta_l(a) = sqrt(sum L^(1-2a))/sum L^-a"];
  for (const [alpha, cv] of Object.entries(byAlpha)) {
    const { coefficientOfVariation } = statistics({ lossAlpha: Number(alpha) });
    assertClose([coefficientOfVariation], [cv], near);
  }
});

Deno.test("paper vectors: aggregated losses, whatever stands in the padding", () => {
  const { lengths, W, pg_losses, results, row_sums } = vectors.aggregation;
  const sums = pg_losses.map((row, i) => sum(row.slice(0, lengths[i]!)));
  assertClose(sums, row_sums, near);
  const N = lengths.length;
  for (const [name, expected] of Object.entries(results)) {
    const weights = lossWeights(lengths, { ...ruleOf(name), lossScaleFactor: W });
    const loss = sum(sums.map((s, i) => weights[i]! * s)) * upstreamFactor(name, N);
    assertClose([loss], [expected], { ...near, label: name });
  }
});

Deno.test("paper vectors: rewards to advantages to losses to gradients", () => {
  const { lengths, W, rewards, old_log_prob, delta, cases } = vectors.full_path;
  const tokens = sum(lengths);
  const groups = [3, 2];
  assertEquals(Object.keys(cases).length, 9);
  for (const [name, expected] of Object.entries(cases)) {
    const label = { ...near, label: name };
    const rule = ruleOf(name);
    const advantages = groupAdvantages(rewards, groups, {
      scaleRewards: /no std/i.test(name) ? "none" : "group",
    });
    const relative = rule.lossAggregation === "deltaL"
      ? lengthWeights(lengths, rule.lossAlpha!)
      : new Float64Array(lengths.length).fill(1);
    const folded = advantages.map((a, i) => a * relative[i]!);
    assertClose(folded, expected.advantage_per_response, label);

    const settings = policyLossSettings({
      epsilon: 0.2,
      epsilonHigh: 0.3,
      dualClip: expected.clip_ratio_c,
    });
    const weights = lossWeights(lengths, { ...rule, lossScaleFactor: W })
      .map((x) => x * upstreamFactor(name, lengths.length));
    const clips = { none: 0, ratio: 0, dual: 0 };
    let loss = 0;
    let kl = 0;
    const gradients = lengths.map((length, i) => {
      const old = old_log_prob[i]!.slice(0, length);
      const logProbs = old.map((logProb, t) => logProb + delta[i]![t]!);
      const response = responsePolicyLoss(logProbs, old, advantages[i]!, settings);
      loss += weights[i]! * sum(response.losses);
      kl -= sum(delta[i]!.slice(0, length)) / tokens;
      for (const clip of response.clips) clips[clip] += 1 / tokens;
      return response.dLogProbs.map((d) => weights[i]! * d);
    });
    assertClose([loss], [expected.loss], label);
    assertClose([kl], [expected.ppo_kl], label);
    assertClose([clips.ratio, clips.dual], [
      expected.pg_clipfrac,
      expected.pg_clipfrac_lower,
    ], label);
    assertClose(gradients.map(sum), expected.grad_row_sums, label);
    gradients.forEach((row, i) => assertClose(row.subarray(0, 3), expected.grad_first3[i]!, label));
    const norm = Math.hypot(...gradients.map((row) => Math.hypot(...row)));
    assertClose([norm], [expected.grad_norm], label);
  }
});

Deno.test("paper vectors: clip-higher and dual clip", () => {
  const { log_ratio, advantage, "c=3.0": three, "c=10.0": ten } = vectors.dual_clip;
  for (const [dualClip, expected] of [[3, three], [10, ten]] as const) {
    const settings = policyLossSettings({ epsilon: 0.2, epsilonHigh: 0.3, dualClip });
    const zeros = new Float64Array(10);
    const rows = log_ratio.map((row, i) => responsePolicyLoss(row, zeros, advantage[i]!, settings));
    assertClose([sum(rows.map((row) => sum(row.losses))) / 20], [expected.loss], near);
    rows.forEach((row, i) =>
      assertClose(row.dLogProbs.map((d) => d / 20), expected.grad[i]!, near)
    );
    const share = (kind: string) => rows.flatMap((r) => r.clips).filter((c) => c === kind).length;
    assertClose([share("ratio") / 20], [expected.pg_clipfrac], near);
    assertClose([share("dual") / 20], [expected.pg_clipfrac_lower], near);
  }
});

Deno.test("paper vectors: weights and losses of mini-batches, whatever the micro-batches", () => {
  const { lengths, W, mini, micro, pg_losses, modes, ...weightTables } =
    vectors.minibatch_microbatch;
  const miniBatches = [{ start: 0, end: mini }, { start: mini, end: 2 * mini }];
  const tables = [
    ["batch", weightTables.code_weight_full_batch],
    ["miniBatch", weightTables["code_weight_if_per_minibatch(NOT what the code does)"]],
    ["group", weightTables["code_weight_if_per_group(NOT what the code does)"]],
  ] as const;
  for (const [lossScope, table] of tables) {
    for (const [alpha, expected] of Object.entries(table)) {
      const weights = miniBatches.flatMap((miniBatch) => [
        ...lossWeights(lengths, {
          lossAlpha: Number(alpha),
          lossScaleFactor: W,
          lossScope,
          numGenerations: 4,
          miniBatch,
        }),
      ]);
      const relative = weights.map((x) => x * mini * W);
      assertClose(relative, expected.flat(), { ...near, label: `${lossScope}, α = ${alpha}` });
    }
  }
  for (const [alpha, expected] of Object.entries(weightTables.sum_x_per_minibatch_times_M)) {
    const factors = miniBatches.map((miniBatch) =>
      W * sum(lossWeights(lengths, { lossAlpha: Number(alpha), lossScaleFactor: W, miniBatch }))
    );
    assertClose(factors, expected, near);
  }

  const sums = pg_losses.map((row, i) => sum(row.slice(0, lengths[i]!)));
  for (const [name, expected] of Object.entries(modes)) {
    const losses = miniBatches.map((miniBatch) => {
      const weights = lossWeights(lengths, { ...ruleOf(name), lossScaleFactor: W, miniBatch });
      const terms = Array.from(weights, (x, i) => x * sums[miniBatch.start + i]!);
      const microBatches = [sum(terms.slice(0, micro)), sum(terms.slice(micro))];
      return sum(microBatches) * upstreamFactor(name, mini);
    });
    assertClose(losses, expected.single_microbatch, { ...near, label: name });
    if (name === "token-mean") {
      // The published code runs the mean of each micro-batch; here that is a rule of its own.
      const published = miniBatches.map((miniBatch) => {
        const rule = { lossAggregation: "dapoMicroBatch", lossMicroBatchSize: micro } as const;
        const weights = lossWeights(lengths, { ...rule, miniBatch });
        return sum(weights.map((x, i) => x * sums[miniBatch.start + i]!));
      });
      assertClose(published, expected.effective_loss_per_minibatch, { ...near, label: name });
    } else if (name !== "seq-mean-token-sum-norm") {
      assertClose(losses, expected.effective_loss_per_minibatch, { ...near, label: name });
    }
  }
});

Deno.test("paper vectors: the other advantage estimators", () => {
  const { inputs, ...expected } = vectors.other_advantage_estimators;
  const { rewards, lengths } = inputs;
  const check = (options: AdvantageOptions, wanted: number[]) =>
    assertClose(groupAdvantages(rewards, 2, { lengths, ...options }), wanted, {
      // Whitening there adds 1e-8 to the token count.
      tolerance: 3e-9,
      label: JSON.stringify(options),
    });
  const firstTokens = (rows: number[][]) => rows.map((row) => row[0]!);
  check({}, expected.grpo);
  check({ scaleRewards: "none" }, expected.grpo_no_std);
  check({ advantageEstimator: "drGrpo" }, expected.grpo_no_std);
  check({ advantageEstimator: "rloo" }, expected.rloo);
  check({ advantageEstimator: "opo" }, expected.opo);
  check({ advantageEstimator: "passK" }, expected["grpo_passk norm_std=True"]);
  check(
    { advantageEstimator: "passK", scaleRewards: "none" },
    expected["grpo_passk norm_std=False"],
  );
  check(
    { advantageEstimator: "reinforcePlusPlusBaseline" },
    firstTokens(expected.reinforce_plus_plus_baseline),
  );
  check(
    { advantageEstimator: "reinforcePlusPlus" },
    firstTokens(expected["reinforce_plus_plus gamma=1.0"].advantages),
  );
  const alone = expected["grpo group of size one (mean 0,std 1)"];
  assertClose(groupAdvantages([1], 1), [alone[0]![0]!], near);
  const equal = expected["grpo all-equal group"];
  assertEquals([...groupAdvantages([0.7, 0.7], 2)], firstTokens(equal));
});

Deno.test("paper vectors: KL estimators with their clamps", () => {
  const { logprob, ref, ...expected } = vectors.kl_estimators;
  for (const estimator of ["k1", "k2", "k3"] as const) {
    const values = logprob.map((logProb, i) => klEstimate(logProb, ref[i]!, estimator).value);
    assertClose(values, expected[estimator], near);
  }
});

Deno.test("paper vectors: ΔL is unbiased when the gradient does not depend on the length", () => {
  const vectorsOfCaveat = vectors.unbiasedness_caveat;
  const expectation = (types: number[][], lossAlpha: number) => {
    let total = 0;
    for (const [p1, L1, g1] of types as [number, number, number][]) {
      for (const [p2, L2, g2] of types as [number, number, number][]) {
        const [x1, x2] = lossWeights([L1, L2], { lossAlpha, lossScaleFactor: 4 });
        total += p1 * p2 * (x1! * g1 + x2! * g2);
      }
    }
    return total;
  };
  const { dependent_types, independent_types, target } = vectorsOfCaveat;
  for (const alpha of ["0.0", "0.5", "0.75", "1.0"] as const) {
    const independent = expectation(independent_types, Number(alpha));
    assertClose([independent], [target], near);
    assertClose([independent], [vectorsOfCaveat.independent[alpha]], near);
    const dependent = expectation(dependent_types, Number(alpha));
    assertClose([dependent], [vectorsOfCaveat.dependent[alpha]], near);
    assertEquals(dependent > target + 0.01, Number(alpha) > 0);
  }
});

/** Rule and α meant by the name of a vector. */
function ruleOf(name: string): LossWeightOptions {
  const delta = /delta_l(?:_on_losses)? alpha=([\d.]+)/.exec(name);
  if (delta) return { lossAggregation: "deltaL", lossAlpha: Number(delta[1]) };
  if (/dr_grpo|allavg|sum-norm/.test(name)) return { lossAggregation: "drGrpo" };
  if (/seq-mean-token-sum/.test(name)) return { lossAggregation: "seqSum" };
  if (/grpo|seq-mean-token-mean/.test(name)) return { lossAggregation: "grpo" };
  assert(/dapo|token-mean/.test(name), name);
  return { lossAggregation: "dapo" };
}

/** verl once forgot the division by N in seq-mean-token-sum-norm; the vectors hold that version. */
function upstreamFactor(name: string, responses: number): number {
  return name.includes("seq-mean-token-sum-norm") ? responses : 1;
}
