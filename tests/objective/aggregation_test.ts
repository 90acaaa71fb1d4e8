import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AGGREGATIONS,
  lengthWeights,
  type LossAggregation,
} from "../../src/objective/aggregation.ts";
import { type LossWeightOptions, lossWeights } from "../../src/objective/loss_weights.ts";
import { findRule } from "../../src/objective/rule.ts";
import {
  effectiveSampleSize,
  estimatorStatistics,
} from "../../src/objective/estimator_statistics.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";

const exact = { tolerance: 1e-13 };
const M = 64;
const RULES = Object.keys(AGGREGATIONS) as LossAggregation[];
const ALPHAS = [0, 0.5, 0.75, 1, 2];
const sum = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0);

/** 12 lengths in 1 … 64. */
const lengths = [...randomIntegers(1, 12, 64)].map((x) => x + 1);
const options = { lossScaleFactor: M, numGenerations: 4 };
const weightsOf = (lossAggregation: LossAggregation, rest: LossWeightOptions = {}) =>
  lossWeights(lengths, { ...options, lossAggregation, ...rest });

Deno.test("lossWeights() computes each rule as written", () => {
  const small = [1, 3, 4, 8];
  const of = (lossAggregation: LossAggregation, rest: LossWeightOptions = {}) =>
    lossWeights(small, { lossAggregation, lossScaleFactor: 10, numGenerations: 2, ...rest });
  assertClose(of("grpo"), [1 / 4, 1 / 12, 1 / 16, 1 / 32], exact);
  assertClose(of("dapo"), [1 / 16, 1 / 16, 1 / 16, 1 / 16], exact);
  assertClose(of("drGrpo"), [1 / 40, 1 / 40, 1 / 40, 1 / 40], exact);
  assertClose(of("seqSum"), [1 / 4, 1 / 4, 1 / 4, 1 / 4], exact);
  assertClose(of("promptMean"), [1 / 8, 1 / 8, 1 / 24, 1 / 24], exact);
  assertClose(of("dapoMicroBatch"), of("dapo"), exact);
  assertClose(of("dapoMicroBatch", { lossMicroBatchSize: 2 }), of("promptMean"), exact);
  assertClose(of("dapoMicroBatch", { lossMicroBatchSize: 1 }), of("grpo"), exact);
  const threeAndOne = { lossAggregation: "dapoMicroBatch", lossMicroBatchSize: 3 } as const;
  assertClose(lossWeights([1, 2, 3, 5], threeAndOne), [1 / 12, 1 / 12, 1 / 12, 1 / 10], exact);
  // An empty micro-batch does not count, and micro-batches begin with the mini-batch.
  const last = { ...threeAndOne, miniBatch: { start: 1, end: 7 } };
  assertClose(lossWeights([9, 0, 0, 0, 1, 1, 2, 9], last), [0, 0, 0, 1 / 4, 1 / 4, 1 / 4], exact);
  // Σ 1/L = 1 + 1/3 + 1/4 + 1/8 = 41/24.
  assertClose(of("deltaL"), [24, 8, 6, 3].map((x) => x / 410), exact);
  const group = of("deltaL", { lossScope: "group" });
  assertClose(group, [3 / 80, 1 / 80, 2 / 60, 1 / 60], exact);
});

Deno.test("λ-GRPO: dapo at λ = 0, its formula by hand, and longer responses preferred for λ > 0", () => {
  const rule = { lossAggregation: "lambdaGrpo", numGenerations: 2 } as const;
  assertClose(
    lossWeights([1, 3, 4, 8], { ...rule, lossLambda: 0 }),
    [1, 1, 1, 1].map((x) => x / 16),
    exact,
  );
  // Two different lengths have z = -1 and 1, so h = 0.9 and 1.1; at λ = 2 the softmax is of 0.81 and 1.21.
  const [short, long] = [2 / (1 + Math.exp(0.4)), 2 / (1 + Math.exp(-0.4))];
  const weights = lossWeights([1, 3, 4, 8], { ...rule, lossLambda: 2 });
  assertClose(weights, [short, long, short, long].map((f) => f / 16), exact);
  // Equal lengths, and a mini-batch that cuts a group: the group decides f, the mini-batch the tokens.
  assertClose(lossWeights([5, 5], rule), [1 / 10, 1 / 10], exact);
  const cut = lossWeights([1, 3, 4, 8], {
    ...rule,
    lossLambda: 2,
    miniBatch: { start: 1, end: 3 },
  });
  assertClose(cut, [long / 7, short / 7], exact);
  const [a, b] = lossWeights([2, 9], { ...rule, lossLambda: -3 });
  assert(a! > b!, "λ < 0 prefers short responses");
});

Deno.test("every rule applied to a constant loss per token gives the mean it stands for", () => {
  const total = (weights: Float64Array) => sum(weights.map((x, i) => x * lengths[i]!));
  const tokens = sum(lengths);
  assertClose([total(weightsOf("grpo"))], [1], exact);
  assertClose([total(weightsOf("dapo"))], [1], exact);
  assertClose([total(weightsOf("promptMean"))], [1], exact);
  assertClose([total(weightsOf("seqSum"))], [tokens / 12], exact);
  assertClose([total(weightsOf("drGrpo"))], [tokens / 12 / M], exact);
});

Deno.test("ΔL at α = 0 is Dr. GRPO's aggregation, in every scope", () => {
  const expected = weightsOf("drGrpo");
  for (const lossScope of ["batch", "miniBatch", "group"] as const) {
    assertClose(weightsOf("deltaL", { lossAlpha: 0, lossScope }), expected, exact);
  }
});

Deno.test("ΔL at α = 1 is GRPO times H/M, and DAPO is Dr. GRPO times M/mean(L)", () => {
  const harmonic = 12 / sum(lengths.map((L) => 1 / L));
  const deltaL = weightsOf("deltaL", { lossAlpha: 1 });
  assertClose(deltaL, weightsOf("grpo").map((x) => x * harmonic / M), exact);
  const arithmetic = sum(lengths) / 12;
  assertClose(weightsOf("dapo"), weightsOf("drGrpo").map((x) => x * M / arithmetic), exact);
});

Deno.test("ΔL at α = 1 is a multiple of GRPO in every mini-batch of the rollout", () => {
  const harmonic = 12 / sum(lengths.map((L) => 1 / L));
  for (const miniBatch of [{ start: 0, end: 5 }, { start: 5, end: 12 }]) {
    const deltaL = weightsOf("deltaL", { lossAlpha: 1, miniBatch });
    const grpo = weightsOf("grpo", { miniBatch });
    assertClose(deltaL, grpo.map((x) => x * harmonic / M), exact);
  }
});

Deno.test("ΔL weights sum to 1/M and relative weights have mean 1, for every α", () => {
  for (const lossAlpha of ALPHAS) {
    assertClose([sum(weightsOf("deltaL", { lossAlpha }))], [1 / M], exact);
    assertClose([sum(weightsOf("deltaL", { lossAlpha, lossScope: "group" }))], [1 / M], exact);
    assertClose([sum(lengthWeights(lengths, lossAlpha)) / 12], [1], exact);
    for (const miniBatch of [{ start: 0, end: 5 }, { start: 5, end: 12 }]) {
      const weights = weightsOf("deltaL", { lossAlpha, miniBatch, lossScope: "miniBatch" });
      assertClose([sum(weights)], [1 / M], exact);
    }
  }
});

Deno.test("mini-batches of one rollout keep Σ x = 1/M on average under the batch scope", () => {
  for (const lossAlpha of ALPHAS) {
    const factors = [0, 3, 6, 9].map((start) =>
      sum(weightsOf("deltaL", { lossAlpha, miniBatch: { start, end: start + 3 } }))
    );
    assertClose([sum(factors) / 4], [1 / M], exact);
    assertEquals(Math.max(...factors) > 1.1 / M, lossAlpha > 0);
  }
});

Deno.test("ΔL weights do not change when all lengths are scaled", () => {
  for (const lossAlpha of ALPHAS) {
    const scaled = lossWeights(lengths.map((L) => 17 * L), { ...options, lossAlpha });
    assertClose(scaled, weightsOf("deltaL", { lossAlpha }), exact);
  }
});

Deno.test("equal lengths make ΔL, Dr. GRPO and, up to M/L, GRPO and DAPO the same", () => {
  const equal = new Array(6).fill(8);
  assertEquals([...lengthWeights(equal, 0.75)], new Array(6).fill(1));
  const of = (lossAggregation: LossAggregation) =>
    lossWeights(equal, { ...options, lossAggregation, numGenerations: 3 });
  assertClose(of("deltaL"), of("drGrpo"), exact);
  for (const rule of ["grpo", "dapo", "promptMean"] as const) {
    assertClose(of(rule), of("drGrpo").map((x) => x * M / 8), exact);
  }
});

Deno.test("weights follow a permutation of the responses", () => {
  const order = [7, 4, 5, 6, 1, 0, 3, 2, 11, 8, 9, 10];
  for (const lossAggregation of RULES) {
    // Groups of four go as wholes: promptMean looks at them.
    const permuted = lossWeights(order.map((i) => lengths[i]!), { ...options, lossAggregation });
    const straight = weightsOf(lossAggregation);
    const expected = order.map((i) => straight[i]!);
    assertClose(permuted, expected, { ...exact, label: lossAggregation });
  }
});

Deno.test("an empty response weighs 0 and changes no other weight", () => {
  const withEmpty = lengths.flatMap((L, i) => i % 4 === 1 ? [0, L] : [L]);
  for (const lossAggregation of RULES) {
    for (const lossScope of ["batch", "miniBatch", "group"] as const) {
      const rest = { ...options, lossAggregation, lossScope };
      const weights = lossWeights(withEmpty, { ...rest, numGenerations: 5, lossMicroBatchSize: 5 });
      weights.forEach((x, i) => assertEquals(x === 0, withEmpty[i] === 0));
      assertClose(weights.filter((x) => x !== 0), lossWeights(lengths, rest), exact);
    }
    assertEquals([...lossWeights([0, 0, 0, 0], { ...options, lossAggregation })], [0, 0, 0, 0]);
  }
  assertEquals([...lengthWeights([0, 5, 0], 1)], [0, 1, 0]);
  // A prompt whose responses are all empty is not counted among the prompts.
  const prompts = lossWeights([0, 0, 2, 2], { lossAggregation: "promptMean", numGenerations: 2 });
  assertEquals([...prompts], [0, 0, 0.25, 0.25]);
});

Deno.test("batch, mini-batch and group scope give different weights", () => {
  const miniBatch = { start: 0, end: 8 };
  const [batch, mini, group] = (["batch", "miniBatch", "group"] as const).map((lossScope) =>
    weightsOf("deltaL", { lossScope, miniBatch })
  );
  const differ = (a: Float64Array, b: Float64Array) =>
    a.some((x, i) => Math.abs(x - b[i]!) > 1e-3 * Math.abs(x));
  assert(differ(batch!, mini!) && differ(batch!, group!) && differ(mini!, group!));
  const onePrompt = lengths.slice(0, 4);
  const same = (["batch", "miniBatch", "group"] as const).map((lossScope) =>
    lossWeights(onePrompt, { ...options, lossScope })
  );
  assertClose(same[1]!, same[0]!, exact);
  assertClose(same[2]!, same[0]!, exact);
});

Deno.test("coefficient of variation falls with α up to 1 and rises beyond", () => {
  const cv = (lossAlpha: number) =>
    estimatorStatistics(lengths, weightsOf("deltaL", { lossAlpha })).coefficientOfVariation;
  for (let step = 0; step < 20; step++) {
    const alpha = step / 10;
    if (alpha < 1) assert(cv(alpha) > cv(alpha + 0.1), `${alpha}`);
    else assert(cv(alpha) < cv(alpha + 0.1), `${alpha}`);
  }
});

Deno.test("no weights with the same sum have less variance than ΔL at α = 1", () => {
  const optimal = weightsOf("deltaL", { lossAlpha: 1 });
  const least = estimatorStatistics(lengths, optimal).variance;
  assertClose([least], [1 / (M ** 2 * sum(lengths.map((L) => 1 / L)))], exact);
  for (let seed = 0; seed < 50; seed++) {
    const shift = Float64Array.from(randomArray(seed, 12, 1e-3));
    const mean = sum(shift) / 12;
    const moved = optimal.map((x, i) => x + shift[i]! - mean);
    const statistics = estimatorStatistics(lengths, moved);
    assertClose([statistics.meanFactor], [1 / M], { tolerance: 1e-12 });
    assert(statistics.variance > least);
  }
});

Deno.test("closed forms of bias and noise hold for random lengths", () => {
  for (let seed = 0; seed < 10; seed++) {
    const L = [...randomIntegers(seed, 9, 500)].map((x) => x + 1);
    const of = (lossAggregation: LossAggregation, lossAlpha = 1) =>
      estimatorStatistics(L, lossWeights(L, { lossAggregation, lossAlpha, lossScaleFactor: 512 }));
    const inverse = sum(L.map((l) => 1 / l));
    assertClose(
      [of("grpo").meanFactor, of("dapo").meanFactor, of("drGrpo").meanFactor],
      [inverse / 9, 9 / sum(L), 1 / 512],
      exact,
    );
    assertClose(
      [of("grpo").variance, of("dapo").variance, of("drGrpo").variance],
      [inverse / 81, 1 / sum(L), sum(L) / (81 * 512 ** 2)],
      exact,
    );
    for (const alpha of ALPHAS) {
      const power = (p: number) => sum(L.map((l) => l ** p));
      const cv = Math.sqrt(power(1 - 2 * alpha)) / power(-alpha);
      assertClose([of("deltaL", alpha).coefficientOfVariation], [cv], { tolerance: 1e-12 });
    }
  }
});

Deno.test("effectiveSampleSize() counts equal weights and sees one that dominates", () => {
  assertEquals(effectiveSampleSize([0.5, 0.5, 0.5, 0.5]), 4);
  assertEquals(effectiveSampleSize([3, 0, 0]), 1);
  assertEquals(effectiveSampleSize([0, 0]), 0);
  for (const bad of [null, undefined, NaN, "1"]) {
    assertThrows(
      () => effectiveSampleSize([1, bad as number]),
      RangeError,
      "weights[1] must be a finite number",
    );
    assertThrows(
      () => estimatorStatistics([2, bad as number], [1, 1]),
      RangeError,
      "lengths[1] must be a finite number",
    );
  }
  assertClose([effectiveSampleSize([1, 3])], [1.6], exact);
});

Deno.test("extreme lengths and exponents stay finite and positive", () => {
  const extreme = [1, 2, 1_000_000];
  const steep = lengthWeights(extreme, 40);
  assertClose(steep, [3, 0, 0], { tolerance: 1e-11 });
  assert(steep.every(Number.isFinite));
  assertClose(
    lengthWeights([900_000, 1_000_000], 60),
    [2, 2 * 0.9 ** 60].map((w) => w / (1 + 0.9 ** 60)),
    { tolerance: 1e-12 },
  );
});

Deno.test("a rule is found by its name, hyphenated or not, and by its aliases", () => {
  const find = (name: string) => findRule(AGGREGATIONS, "lossAggregation", name);
  for (const rule of RULES) assertEquals(find(rule), rule);
  const spellings: [string, LossAggregation][] = [
    ["delta-l", "deltaL"],
    ["vlNorm", "deltaL"],
    ["VL-Norm", "deltaL"],
    ["ΔL", "deltaL"],
    ["dr-grpo", "drGrpo"],
    ["seq-mean-token-sum-norm", "drGrpo"],
    ["seq-mean-token-mean", "grpo"],
    ["token-mean", "dapo"],
    ["seq-mean-token-sum", "seqSum"],
    ["seq-sum", "seqSum"],
    ["luspo", "seqSum"],
    ["prompt-mean", "promptMean"],
    ["bnpo", "dapoMicroBatch"],
    ["λ-GRPO", "lambdaGrpo"],
    ["lambda-grpo", "lambdaGrpo"],
  ];
  for (const [name, rule] of spellings) assertEquals(find(name), rule);
  assertThrows(() => find("mean"), RangeError, "choose one of grpo, dapo");
});

Deno.test("lossWeights() refuses what it cannot weigh", () => {
  const refuse = (lengths: number[], rest: LossWeightOptions, message: string) =>
    assertThrows(() => lossWeights(lengths, { ...options, ...rest }), RangeError, message);
  refuse([1, -2], {}, "length of response 1 is -2");
  refuse([1.5], {}, "length of response 0 is 1.5");
  refuse([1, 2], { lossAlpha: -1 }, "lossAlpha is -1");
  refuse([1, 2], { lossAlpha: NaN }, "lossAlpha is NaN");
  refuse([1, 2], { lossScaleFactor: 0 }, "lossScaleFactor is 0");
  refuse([1, 2], { miniBatch: { start: 1, end: 3 } }, "miniBatch is 1 … 3");
  refuse([1, 2, 3], { lossAggregation: "promptMean" }, "does not divide 3 responses");
  const microBatch = { lossAggregation: "dapoMicroBatch", lossMicroBatchSize: 0 } as const;
  refuse([1], microBatch, "lossMicroBatchSize is 0: dapoMicroBatch needs a whole number >= 1");
  const lambda = { lossAggregation: "lambdaGrpo", numGenerations: 1 } as const;
  refuse([1], { ...lambda, lossLambda: NaN }, "lossLambda is NaN");
  refuse([1], { ...lambda, lossLambdaSpread: -1 }, "lossLambdaSpread is -1");
  refuse([1], { lossAggregation: "mean" as LossAggregation }, "choose one of grpo");
  refuse([1], { lossScope: "step" as "batch" }, "choose one of batch");
  assertThrows(() => lossWeights([1, 2]), RangeError, "deltaL needs a number > 0");
  const prompts = { lossAggregation: "promptMean" } as const;
  assertThrows(() => lossWeights([1, 2], prompts), RangeError, "needs numGenerations");
  assertThrows(() => estimatorStatistics([1], [1, 2]), RangeError, "1 lengths for 2 weights");
});
