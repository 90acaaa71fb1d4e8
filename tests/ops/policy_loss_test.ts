import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { POLICY_LOSS_STATS, policyLoss } from "../../src/ops/policy_loss.ts";
import type { PolicyLossInputs, PolicyLossNumbers } from "../../src/ops/policy_loss_inputs.ts";
import { KL_ESTIMATORS, klEstimate, type KlEstimator } from "../../src/objective/kl.ts";
import { responsePolicyLoss } from "../../src/objective/policy_loss.ts";
import {
  type PolicyLoss,
  type PolicyLossSettings,
  SURROGATES,
} from "../../src/objective/surrogate.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomUniform, uniformStream } from "../helpers/random.ts";
import { atScoredTokens, loadTinyQwen2, scoredTokens } from "../helpers/tiny_qwen2.ts";
import { idsSideBySide } from "../helpers/side_by_side.ts";
import { test } from "../helpers/test.ts";

const M = 150;

/** Responses of the given lengths; b of each is its index, 0 for none of its tokens in the batch. */
function makeBatch(seed: number, lengths: number[], spread: number, extremes = false) {
  const sequences = lengths.flatMap((length, b) => new Array<number>(length).fill(b));
  const positions = lengths.flatMap((length) => Array.from({ length }, (_, t) => t));
  const n = sequences.length;
  const logProbs = randomUniform(seed, n, -4, -0.05);
  const oldLogProbs = randomUniform(seed + 1, lengths.length * M, -4, 0);
  const refLogProbs = randomUniform(seed + 2, lengths.length * M, -4, 0);
  const next = uniformStream(seed + 3);
  for (let i = 0; i < n; i++) {
    const at = sequences[i]! * M + positions[i]!;
    oldLogProbs[at] = logProbs[i]! + spread * (next() - 0.5);
    refLogProbs[at] = logProbs[i]! + 2 * (next() - 0.5);
  }
  // Log-ratios beyond their bound, on both sides.
  if (extremes && n > 20) {
    oldLogProbs[sequences[11]! * M + positions[11]!] = logProbs[11]! - 25;
    oldLogProbs[sequences[17]! * M + positions[17]!] = logProbs[17]! + 25;
    refLogProbs[sequences[13]! * M + positions[13]!] = logProbs[13]! + 4;
    refLogProbs[sequences[5]! * M + positions[5]!] = logProbs[5]! + 25;
  }
  const advantages = randomUniform(seed + 4, lengths.length, 0.2, 2)
    .map((a, b) => b === 3 ? 0 : b % 2 === 0 ? a : -a);
  const ends = lengths.map((_, b) => lengths.slice(0, b + 1).reduce((sum, l) => sum + l, 0));
  return {
    lengths,
    sequences,
    positions,
    logProbs,
    oldLogProbs,
    refLogProbs,
    advantages,
    entropies: randomUniform(seed + 5, n, 0, 3),
    weights: randomUniform(seed + 6, lengths.length, 0.2, 1),
    ranges: lengths.flatMap((length, b) => [ends[b]! - length, ends[b]!]),
  };
}

type Batch = ReturnType<typeof makeBatch>;

/** A plan with the loss in it, and the gradients it leaves. */
async function record(gpu: Gpu, batch: Batch, options: PolicyLossNumbers, spareItems = 0) {
  const plan = new Plan(gpu, "test", { gradients: true });
  const n = batch.sequences.length;
  const b = batch.lengths.length;
  const items = new Dim("items", n + spareItems);
  const perItem = (name: "logProbs" | "entropies") => {
    const tensor = gpu.tensor([n + spareItems], { data: batch[name], name });
    plan.requireGradient(tensor);
    return tensor;
  };
  const u32 = (data: number[], shape = [n + spareItems]) =>
    gpu.tensor(shape, { data, dtype: "u32" });
  const inputs = {
    logProbs: perItem("logProbs"),
    entropies: perItem("entropies"),
    ...idsSideBySide(gpu, n + spareItems, {
      itemSequences: batch.sequences,
      itemPositions: batch.positions,
    }),
    items,
    oldLogProbs: gpu.tensor([b, M], { data: batch.oldLogProbs }),
    refLogProbs: gpu.tensor([b, M], { data: batch.refLogProbs }),
    advantages: gpu.tensor([b], { data: batch.advantages }),
    weights: gpu.tensor([b], { data: batch.weights }),
    itemRanges: u32(batch.ranges, [b, 2]),
  } satisfies PolicyLossInputs;
  const { stats } = policyLoss(plan, inputs, options);
  plan.backward();
  items.value = n;
  const gradients: Record<string, Tensor> = {};
  for (const name of ["logProbs", "entropies"] as const) {
    const gradient = plan.gradientOf(inputs[name]);
    if (gradient) gradients[name] = plan.keep(gradient);
  }
  await plan.compile();
  return { plan, stats, gradients, inputs };
}

/** Everything the kernel computes, in float64 from the tables of rules. */
function expected(batch: Batch, options: PolicyLossNumbers) {
  const beta = Number(options.beta ?? 0);
  const entropyCoef = Number(options.entropyCoef ?? 0);
  const { lengths, ranges, weights, logProbs, oldLogProbs, refLogProbs, entropies } = batch;
  const wanted = {
    loss: 0,
    policyLoss: 0,
    gradients: { logProbs: new Float64Array(logProbs.length), entropies: [] as number[] },
  };
  lengths.forEach((length, b) => {
    const first = ranges[2 * b]!;
    const own = Float64Array.from({ length }, (_, t) => logProbs[first + t]!);
    const old = Float64Array.from({ length }, (_, t) => oldLogProbs[b * M + t]!);
    const { losses, dLogProbs } = responsePolicyLoss(
      own,
      old,
      batch.advantages[b]!,
      options as PolicyLossSettings,
    );
    for (let t = 0; t < length; t++) {
      const kl = options.klEstimator
        ? klEstimate(own[t]!, refLogProbs[b * M + t]!, options.klEstimator)
        : { value: 0, dLogProb: 0 };
      wanted.policyLoss += weights[b]! * losses[t]!;
      wanted.loss += weights[b]! *
        (losses[t]! + beta * kl.value - entropyCoef * entropies[first + t]!);
      wanted.gradients.logProbs[first + t] = weights[b]! * (dLogProbs[t]! + beta * kl.dLogProb);
      wanted.gradients.entropies[first + t] = -weights[b]! * entropyCoef;
    }
  });
  return wanted;
}

const NUMBERS = {
  epsilon: 0.2,
  epsilonHigh: 0.3,
  dualClip: 0,
  sapoTemperaturePos: 1,
  sapoTemperatureNeg: 1.05,
};

const CASES: PolicyLossNumbers[] = [
  // Every surrogate, with the estimators of the divergence in turn.
  ...(Object.keys(SURROGATES) as PolicyLoss[]).map((policyLoss, k): PolicyLossNumbers => {
    const estimators = Object.keys(KL_ESTIMATORS) as KlEstimator[];
    return { ...NUMBERS, policyLoss, klEstimator: estimators[k % estimators.length]!, beta: 0.3 };
  }),
  { ...NUMBERS, policyLoss: "ppo", dualClip: 1.5, klEstimator: "k3", beta: 0.05 },
  { ...NUMBERS, policyLoss: "sapo", sapoTemperatureNeg: 2, entropyCoef: 0.01 },
  { ...NUMBERS, policyLoss: "dppo", epsilon: 0.05, epsilonHigh: 0.1, dualClip: 1.4 },
  { ...NUMBERS, policyLoss: "gmpo", klEstimator: "k3", beta: 0.1, entropyCoef: 0.2 },
];

for (const options of CASES) {
  const extras = [options.klEstimator, options.entropyCoef ? "an entropy bonus" : undefined];
  const title = [options.policyLoss, options.dualClip ? "a dual clip" : undefined, ...extras]
    .filter(Boolean).join(" with ");
  test.onDevices(`policyLoss() matches float64 in value and gradient: ${title}`, async (gpu) => {
    for (const lengths of [[1], [3, 7, 2, 5, 65], [64, 0, 63, 4, 150, 1, 9]]) {
      // A ratio of e^20 that nothing bounds would drown the differences of the loss.
      const extremes = options.policyLoss !== "ppo" || options.dualClip !== 0;
      const batch = makeBatch(lengths.length, lengths, 1.2, extremes);
      const { plan, stats, gradients } = await record(gpu, batch, options, 5);
      submit(gpu, [plan]);
      const got = await readTensor(gpu, stats);
      const wanted = expected(batch, options);
      const label = `${title}, ${lengths.length} responses`;
      const absolute = { tolerance: 1e-5, label };
      // The sums may cancel: relative to the size of what is summed.
      const size = Math.max(Math.abs(wanted.loss), 1);
      assertClose([got[POLICY_LOSS_STATS.loss]!], [wanted.loss], { ...absolute, scale: size });
      assertClose([got[POLICY_LOSS_STATS.policyLoss]!], [wanted.policyLoss], {
        ...absolute,
        scale: size,
      });
      const n = batch.sequences.length;
      const actual = await readTensor(gpu, gradients.logProbs!);
      assertClose(actual.subarray(0, n), wanted.gradients.logProbs, {
        tolerance: 2e-5,
        label: `${label}: gradient of logProbs`,
      });
      assertEquals("entropies" in gradients, options.entropyCoef !== undefined);
      if (gradients.entropies) {
        const actual = await readTensor(gpu, gradients.entropies);
        assertClose(actual.subarray(0, n), wanted.gradients.entropies, {
          tolerance: 2e-5,
          label: `${label}: gradient of entropies`,
        });
      }
      plan.destroy();
    }
  });
}

Deno.test("policyLoss() gives PyTorch's losses of the tiny policy under every weighting", async (t) => {
  const fixture = loadTinyQwen2();
  const { truth, oracle } = fixture;
  const { sequences, positions } = scoredTokens(fixture);
  const lengths = oracle.response_lengths;
  const scored = (name: string) =>
    Float32Array.from(atScoredTokens(truth.get(name)!, { sequences, positions }));
  const wide = (name: string) => {
    const { data, shape } = truth.get(name)!;
    const values = new Float32Array(lengths.length * M);
    data.forEach((x, i) => {
      values[Math.floor(i / shape[1]!) * M + i % shape[1]!] = x;
    });
    return values;
  };
  const clip = {
    ...NUMBERS,
    policyLoss: "ppo",
    epsilon: oracle.clip_ratio_low,
    epsilonHigh: oracle.clip_ratio_high,
    dualClip: oracle.clip_ratio_c,
  } as const;
  const objectives: Record<string, { options: PolicyLossNumbers; advantages: string }> = {
    clip: { options: clip, advantages: "grpo" },
    reinforce: { options: { ...clip, policyLoss: "reinforce" }, advantages: "dr_grpo" },
    clip_kl_entropy: {
      options: {
        ...clip,
        klEstimator: "k3",
        beta: oracle.kl_coef,
        entropyCoef: oracle.entropy_coef,
      },
      advantages: "grpo",
    },
  };
  await onEveryDevice(t, async (gpu) => {
    let checked = 0;
    for (const [name, { loss }] of Object.entries(oracle.cases)) {
      const [objective, rule] = name.split(".", 1).concat(name.slice(name.indexOf(".") + 1));
      const chosen = objectives[objective!];
      if (!chosen) continue;
      const ends = lengths.map((_, b) => lengths.slice(0, b + 1).reduce((sum, l) => sum + l, 0));
      const batch: Batch = {
        lengths,
        sequences,
        positions,
        logProbs: scored("log_probs"),
        entropies: scored("entropy"),
        oldLogProbs: wide("old_log_probs"),
        refLogProbs: wide("ref_log_probs"),
        advantages: Float32Array.from(truth.get(`advantages.${chosen.advantages}`)!.data),
        weights: Float32Array.from(truth.get(`coefficients.${rule}`)!.data),
        ranges: lengths.flatMap((length, b) => [ends[b]! - length, ends[b]!]),
      };
      const { plan, stats } = await record(gpu, batch, chosen.options);
      submit(gpu, [plan]);
      const got = await readTensor(gpu, stats);
      assertClose([got[POLICY_LOSS_STATS.loss]!], [loss], { tolerance: 1e-5, label: name });
      plan.destroy();
      checked++;
    }
    assertEquals(checked, 21);
  });
});

test.onDevices("policyLoss() clips as the paper's published code does", async (gpu) => {
  const { log_ratio, advantage, "c=3.0": three, "c=10.0": ten } = vectors.dual_clip;
  const lengths = log_ratio.map((row) => row.length);
  const items = lengths[0]! * lengths.length;
  for (const [dualClip, expected] of [[3, three], [10, ten]] as const) {
    const batch: Batch = {
      lengths,
      sequences: log_ratio.flatMap((row, b) => row.map(() => b)),
      positions: log_ratio.flatMap((row) => row.map((_, t) => t)),
      logProbs: Float32Array.from(log_ratio.flat()),
      oldLogProbs: new Float32Array(lengths.length * M),
      refLogProbs: new Float32Array(lengths.length * M),
      entropies: new Float32Array(items),
      advantages: Float32Array.from(advantage),
      weights: new Float32Array(lengths.length).fill(1 / items),
      ranges: lengths.flatMap((length, b) => [b * length, (b + 1) * length]),
    };
    const options = { ...NUMBERS, policyLoss: "ppo", dualClip } as const;
    const { plan, stats, gradients } = await record(gpu, batch, options);
    submit(gpu, [plan]);
    const got = await readTensor(gpu, stats);
    const near = { tolerance: 1e-5 };
    const share = (stat: keyof typeof POLICY_LOSS_STATS) => got[POLICY_LOSS_STATS[stat]]! / items;
    assertClose([got[POLICY_LOSS_STATS.loss]!], [expected.loss], near);
    assertClose([share("ppoKlSum")], [expected.ppo_kl], near);
    assertClose([share("clippedLow") + share("clippedHigh")], [expected.pg_clipfrac], near);
    assertClose([share("dualClipped")], [expected.pg_clipfrac_lower], near);
    assertClose(await readTensor(gpu, gradients.logProbs!), expected.grad.flat(), near);
    plan.destroy();
  }
});

test.onDevices("policyLoss() reports sums, maxima and clips, and adds up over runs", async (gpu) => {
  const batch = makeBatch(7, [64, 63, 150, 65, 1], 1.2, true);
  const options = { ...NUMBERS, policyLoss: "ppo", dualClip: 1.5, klEstimator: "k1" } as const;
  const { plan, stats } = await record(gpu, batch, options);
  const wanted = new Array<number>(16).fill(0);
  wanted[POLICY_LOSS_STATS.policyLoss] =
    wanted[POLICY_LOSS_STATS.loss] =
      expected(batch, options)
        .loss;
  const add = (stat: keyof typeof POLICY_LOSS_STATS, value: number) =>
    wanted[POLICY_LOSS_STATS[stat]]! += value;
  const raise = (stat: keyof typeof POLICY_LOSS_STATS, value: number) =>
    wanted[POLICY_LOSS_STATS[stat]] = Math.max(wanted[POLICY_LOSS_STATS[stat]]!, value);
  batch.sequences.forEach((b, i) => {
    const at = b * M + batch.positions[i]!;
    const difference = batch.logProbs[i]! - batch.oldLogProbs[at]!;
    const ratio = Math.exp(Math.min(20, Math.max(-20, difference)));
    const advantage = batch.advantages[b]!;
    add("items", 1);
    add("entropySum", batch.entropies[i]!);
    add("klSum", batch.logProbs[i]! - batch.refLogProbs[at]!);
    add("ppoKlSum", -difference);
    add("logProbDiffSum", Math.abs(difference));
    add("clippedLow", advantage < 0 && ratio < 0.8 ? 1 : 0);
    add("clippedHigh", advantage > 0 && ratio > 1.3 ? 1 : 0);
    add("dualClipped", advantage < 0 && ratio > 1.5 ? 1 : 0);
    add("ratioSum", ratio);
    raise("logProbDiffMax", Math.abs(difference));
    raise("ratioMax", ratio);
  });
  assert(wanted[POLICY_LOSS_STATS.clippedLow]! > 3, "too few clipped to tell");
  assert(wanted[POLICY_LOSS_STATS.clippedHigh]! > 3, "too few clipped to tell");
  assert(wanted[POLICY_LOSS_STATS.dualClipped]! > 3, "too few clipped to tell");
  submit(gpu, [plan]);
  const once = await readTensor(gpu, stats);
  wanted.forEach((value, k) =>
    assertClose([once[k]!], [value], { tolerance: 2e-5, label: `${k}` })
  );
  submit(gpu, [{ plan, times: 2 }]);
  const thrice = await readTensor(gpu, stats);
  wanted.forEach((value, k) =>
    assertClose([thrice[k]!], [k < 12 ? 3 * value : value], { tolerance: 2e-5, label: `${k}` })
  );
  submit(gpu, [{ clear: stats }, plan]);
  assertEquals(await readTensor(gpu, stats), once);
});

test.onDevices("policyLoss() holds log-ratios to 20, with no gradient beyond", async (gpu) => {
  for (const policyLoss of ["ppo", "gspo"] as const) {
    for (const [logRatio, gradient] of [[19.5, 2 * Math.exp(19.5)], [20.5, 0]] as const) {
      const batch = makeBatch(1, [1], 0);
      batch.advantages[0] = -2;
      batch.weights[0] = 1;
      batch.logProbs[0] = -0.25;
      batch.oldLogProbs[0] = -0.25 - logRatio;
      const run = await record(gpu, batch, { ...NUMBERS, policyLoss });
      submit(gpu, [run.plan]);
      assertClose(await readTensor(gpu, run.gradients.logProbs!), [gradient], { tolerance: 1e-5 });
      const stats = await readTensor(gpu, run.stats);
      assertClose([stats[0]!], [2 * Math.exp(Math.min(20, logRatio))], { tolerance: 1e-5 });
      run.plan.destroy();
    }
  }
});

test.onDevices("policyLoss() shows values that are not finite", async (gpu) => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const batch = makeBatch(8, [3, 140], 0.1);
    batch.logProbs[70] = bad;
    const { plan, stats } = await record(gpu, batch, { ...NUMBERS, policyLoss: "ppo" });
    submit(gpu, [plan]);
    const got = await readTensor(gpu, stats);
    assertEquals(got[POLICY_LOSS_STATS.notFinite], 1);
    assert(got[POLICY_LOSS_STATS.logProbDiffMax]! > 3e38);
    plan.destroy();
  }
});

test.onDevices("policyLoss() reads numbers anew for each run and does nothing for no items", async (gpu) => {
  const batch = makeBatch(9, [20, 30], 0.1);
  let beta = 0;
  const { plan, stats, inputs } = await record(gpu, batch, {
    ...NUMBERS,
    policyLoss: "reinforce",
    klEstimator: "k1",
    beta: () => beta,
  });
  submit(gpu, [plan]);
  const [without] = await readTensor(gpu, stats);
  beta = 1;
  submit(gpu, [{ clear: stats }, plan]);
  const got = await readTensor(gpu, stats);
  const kl = batch.sequences.reduce((sum, b, i) =>
    sum + batch.weights[b]! *
      (batch.logProbs[i]! - batch.refLogProbs[b * M + batch.positions[i]!]!), 0);
  assertAlmostEquals(got[0]! - without!, kl, 1e-4);
  inputs.items.value = 0;
  submit(gpu, [{ clear: stats }, plan]);
  assertEquals(Array.from(await readTensor(gpu, stats)), new Array(16).fill(0));
});

test.onDevices("policyLoss() refuses shapes that do not fit and inputs that are missing", (gpu) => {
  const plan = new Plan(gpu, "p");
  const items = new Dim("items", 4);
  const item = () => gpu.tensor([4]);
  const inputs = {
    logProbs: item(),
    entropies: item(),
    ...idsSideBySide(gpu, 4, { itemSequences: [], itemPositions: [] }),
    items,
    oldLogProbs: gpu.tensor([2, 8]),
    advantages: gpu.tensor([2]),
    weights: gpu.tensor([2]),
  };
  const options = { ...NUMBERS, policyLoss: "ppo" } as const;
  const refuse = (
    changed: Partial<PolicyLossInputs>,
    message: string,
    changedOptions: Partial<PolicyLossNumbers> = {},
  ) =>
    assertThrows(
      () => policyLoss(plan, { ...inputs, ...changed }, { ...options, ...changedOptions }),
      RangeError,
      message,
    );
  refuse({ entropies: gpu.tensor([3]) }, "needs entropies of 4 items");
  refuse({ weights: gpu.tensor([3]) }, "weights (B)");
  refuse({ refLogProbs: gpu.tensor([2, 7]) }, "refLogProbs (B, M)");
  refuse({}, "needs refLogProbs", { klEstimator: "k3" });
  refuse({}, "needs itemRanges", { policyLoss: "gspo" });
  refuse({ itemRanges: gpu.tensor([4]) }, "itemRanges (S, 2)", { policyLoss: "gmpo" });
});
