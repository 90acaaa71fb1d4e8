import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { aggregationNoise, type RuleNoise } from "../../src/lab/aggregation_noise.ts";
import { aggregationRules, deltaLId } from "../../src/lab/aggregation_rules.ts";
import type { Gram } from "../../src/lab/gradient_pool.ts";
import { lengthBins, lengthProfile } from "../../src/lab/length_profile.ts";
import { randomHalves } from "../../src/lab/prompt_products.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };

/** Scalar products of vectors. */
function gramOf(rows: readonly (readonly number[])[]): Gram {
  const size = rows.length;
  const products = new Float64Array(size * size);
  for (const [i, a] of rows.entries()) {
    for (let j = 0; j <= i; j++) {
      const b = rows[j]!;
      let product = 0;
      for (let d = 0; d < a.length; d++) product += a[d]! * b[d]!;
      products[i * size + j] = products[j * size + i] = product;
    }
  }
  return { size, products };
}

const ALPHAS = [0, 0.5, 0.75, 1];

function measure(
  rows: readonly (readonly number[])[],
  lengths: readonly number[],
  settings: { batchPrompts: number; M: number; V?: number; G?: number; alphas?: number[] },
): Map<string, RuleNoise> {
  const { batchPrompts, M, V = 1, G = 1, alphas = ALPHAS } = settings;
  const prompts = rows.length / G;
  const { rules } = aggregationNoise(gramOf(rows), {
    numGenerations: G,
    lengths,
    deviations: new Float64Array(prompts).fill(1),
    batchPrompts,
    lossScaleFactor: M,
    alphas,
    halves: randomHalves(prompts, 20, 1),
    tokenVariance: V,
    seed: 1,
    partitions: 40,
  });
  return new Map(rules.map((rule) => [rule.id, rule]));
}

Deno.test("the paper's counter-example: ΔL is biased exactly where the gradient depends on the length", () => {
  const { dependent_types, independent_types, target, dependent, independent } =
    vectors.unbiasedness_caveat;
  const cases = [
    { types: dependent_types, expected: dependent as Record<string, number> },
    { types: independent_types, expected: independent as Record<string, number> },
  ];
  const meanGradient = 0.25;
  for (const { types, expected } of cases) {
    // Every type as often as it is probable.
    const pool = types.flatMap(([probability, length, gradient]) =>
      Array.from({ length: 240 * probability! }, () => ({ length: length!, gradient: gradient! }))
    );
    const noise = measure(
      pool.map(({ gradient }) => [gradient]),
      pool.map(({ length }) => length),
      { batchPrompts: 2, M: 4 },
    );
    for (const alpha of ALPHAS) {
      const { bias, biasClosed, biasRatio } = noise.get(deltaLId(alpha))!;
      const truth = expected[alpha.toFixed(alpha * 4 % 2 === 0 ? 1 : 2)]!;
      // Pairs of a finite pool without replacement are off by about Var / (pool · mean²), 4 % here.
      assertAlmostEquals(bias.mean * meanGradient, truth, 0.06 * truth);
      assertAlmostEquals(biasClosed * meanGradient, target, 1e-12);
      assertAlmostEquals(biasRatio.mean, truth / target, 0.06 * truth / target);
    }
  }
});

/** Gradients as the paper's model has them: mean (1, 0, …), variance V L spread over the dimensions. */
function modelPool(responses: number, V: number, dimensions: number) {
  const random = new Random(5);
  const lengths = Array.from({ length: responses }, () => 2 + random.integer(60));
  const rows = lengths.map((length) =>
    Array.from(
      { length: dimensions },
      (_, d) => (d === 0 ? 1 : 0) + Math.sqrt(V * length / dimensions) * random.normal(),
    )
  );
  return { lengths, rows };
}

Deno.test("on gradients of the paper's model the measurement agrees with its closed forms", () => {
  const V = 0.5;
  const { lengths, rows } = modelPool(512, V, 48);
  const noise = measure(rows, lengths, { batchPrompts: 16, M: 64, V });
  for (const [id, rule] of noise) {
    assertAlmostEquals(rule.biasRatio.mean, 1, 0.05, `${id} bias`);
    if (rule.varianceClosed === null || rule.cvClosed === null) continue;
    // The closed form holds lengths fixed; where Σ x changes with them, the mean's square moves too.
    const ofLengths = (rule.biasSpread * rule.biasClosed) ** 2;
    const expected = rule.varianceClosed + ofLengths;
    assertAlmostEquals(rule.variance.mean / expected, 1, 0.08, `${id} variance`);
    assertAlmostEquals(rule.varianceIndependent / rule.varianceClosed, 1, 0.05, `${id} each`);
    const cv = Math.sqrt(expected / rule.varianceClosed) * rule.cvClosed;
    assertAlmostEquals(rule.cv.mean / cv, 1, 0.1, `${id} cv`);
    assert(rule.cosine.mean > 0.98, `${id}: cosine ${rule.cosine.mean}`);
  }
  const cv = (id: string) => noise.get(id)!.cv.mean;
  // ΔL(1) and GRPO differ by one factor per batch, ΔL(0), Dr. GRPO and DAPO likewise.
  assert(cv("grpo") > cv(deltaLId(1)) && cv("grpo") < 1.2 * cv(deltaLId(1)));
  assertAlmostEquals(cv("dr-grpo-std"), cv(deltaLId(0)), 1e-12);
  assert(cv(deltaLId(1)) < cv(deltaLId(0.5)) && cv(deltaLId(0.5)) < cv(deltaLId(0)));
  assertEquals(noise.get(deltaLId(1))!.cvRatio.mean, 1);
  assert(noise.get("grpo")!.biasSpread > 0.1, "Σ x of GRPO varies with the lengths of a batch");
  assertAlmostEquals(noise.get(deltaLId(0.75))!.biasSpread, 0, 1e-6);
});

Deno.test("the measurement finds an optimum that is not the paper's where the variance is not ∝ L", () => {
  const random = new Random(6);
  const lengths = Array.from({ length: 512 }, () => 1 + random.integer(40));
  // The same variance at any length: every response tells as much, equal weights are best.
  const rows = lengths.map(() =>
    Array.from({ length: 16 }, (_, d) => (d === 0 ? 1 : 0) + random.normal())
  );
  const gram = gramOf(rows);
  const { bestAlpha } = aggregationNoise(gram, {
    numGenerations: 1,
    lengths,
    deviations: new Float64Array(512).fill(1),
    batchPrompts: 16,
    lossScaleFactor: 40,
    alphas: [0, 0.25, 0.5, 0.75, 1, 1.25],
    halves: randomHalves(512, 20, 2),
    tokenVariance: 1,
    seed: 2,
    partitions: 40,
  });
  assert(bestAlpha.mean <= 0.25, `best α ${bestAlpha.mean}`);
  assert(bestAlpha.high < 1, `up to ${bestAlpha.high}`);
});

Deno.test("the laboratory's weights are those of training", () => {
  const { lengths } = modelPool(64, 1, 1);
  const M = 64;
  const rules = new Map(aggregationRules(ALPHAS).map((rule) => [rule.id, rule]));
  const expected = {
    "grpo": lossWeights(lengths, { lossAggregation: "grpo" }),
    "dapo": lossWeights(lengths, { lossAggregation: "dapo" }),
    "dr-grpo-std": lossWeights(lengths, { lossAggregation: "drGrpo", lossScaleFactor: M }),
    ...Object.fromEntries(ALPHAS.map((lossAlpha) => [
      deltaLId(lossAlpha),
      lossWeights(lengths, { lossAggregation: "deltaL", lossAlpha, lossScaleFactor: M }),
    ])),
  };
  for (const [id, weights] of Object.entries(expected)) {
    const { alpha, scale } = rules.get(id)!;
    const c = scale({
      responses: lengths.length,
      tokens: lengths.reduce((a, b) => a + b, 0),
      powers: lengths.reduce((sum, L) => sum + L ** -alpha, 0),
    }, M);
    for (const [i, weight] of weights.entries()) {
      assertAlmostEquals(c * lengths[i]! ** -alpha, weight, 1e-14, `${id} of length ${lengths[i]}`);
    }
  }
});

Deno.test("too few prompts for the batches are refused", () => {
  const { lengths, rows } = modelPool(12, 1, 2);
  assertThrows(
    () => measure(rows, lengths, { batchPrompts: 4, M: 64 }),
    RangeError,
    "give at least 16",
  );
});

Deno.test("bins have about equal counts and never split a length", () => {
  const lengths = [9, 9, 9, 9, 17, 25, 25, 33, 33, 41];
  const bins = lengthBins(lengths, 3);
  assertEquals(bins.map(({ from, to, members }) => [from, to, members.length]), [
    [9, 9, 4],
    [17, 25, 3],
    [33, 41, 3],
  ]);
  assertEquals(
    bins.flatMap(({ members }) => members).sort((a, b) => a - b),
    lengths.map((_, i) => i),
  );
});

Deno.test("the profile of gradients of the paper's model is its straight line", () => {
  const V = 0.5;
  const { lengths, rows } = modelPool(1024, V, 48);
  const profile = lengthProfile(gramOf(rows), 1, lengthBins(lengths, 8), randomHalves(1024, 40, 3));
  assertAlmostEquals(profile.slope.mean, V, 0.03);
  assert(profile.slope.low <= V && V <= profile.slope.high);
  assert(profile.rSquared.mean > 0.98, `R² ${profile.rSquared.mean}`);
  assertAlmostEquals(profile.exponent.mean, 1, 0.05);
  assertAlmostEquals(profile.signal.mean, 1, 0.1);
  for (const { projection } of profile.bins) {
    assertAlmostEquals(projection.mean, 1, 0.25);
    assert(projection.low < projection.mean && projection.mean < projection.high);
  }
});

Deno.test("the profile shows a mean that depends on the length, and no line where there is none", () => {
  const random = new Random(7);
  const lengths = Array.from({ length: 600 }, () => 5 + random.integer(50));
  const rows = lengths.map((length) =>
    Array.from({ length: 8 }, (_, d) => (d === 0 ? (length < 30 ? 2 : 0) : 0) + random.normal())
  );
  const profile = lengthProfile(gramOf(rows), 1, lengthBins(lengths, 6), randomHalves(600, 40, 3));
  assert(profile.bins[0]!.projection.low > 1.3);
  assert(profile.bins.at(-1)!.projection.high < 0.4);
  assert(profile.line.rSquared < 0.5, `R² ${profile.line.rSquared}`);
  assertAlmostEquals(profile.exponent.mean, 0, 0.1);
});
