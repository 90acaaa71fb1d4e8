/** The single-operation references against closed forms. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray, randomIntegers, randomUniform } from "../helpers/random.ts";
import { adamwStep, clipCoefficient, globalNorm } from "./adamw.ts";
import { attention } from "./attention.ts";
import { embedding, embeddingGradient } from "./embedding.ts";
import { finiteDifference } from "./finite_difference.ts";
import { logProb } from "./log_prob.ts";
import { matmul } from "./matmul.ts";
import { klEstimate, policyLoss, type Surrogate, surrogateLosses } from "./policy_loss.ts";
import { max, sum, sumOfSquares } from "./reduce.ts";
import { rmsNorm } from "./rms_norm.ts";
import { rope } from "./rope.ts";
import { argmax, gumbelMax } from "./sample.ts";
import { packSegments, readSegments, segmentPositions } from "./segments.ts";
import { logSoftmax, softmax } from "./softmax.ts";
import { swiglu } from "./swiglu.ts";

const exact = { tolerance: 1e-13 };
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((total, x, i) => total + x * b[i]!, 0);

Deno.test("assertClose() names the worst pair and refuses NaN, lengths and emptiness", () => {
  assertClose([100, 1e-4], [100, 0], { tolerance: 1e-6 });
  assertThrows(() => assertClose([1, 2, 4], [1, 2, 3], { tolerance: 0.3 }), Error, "at [2]");
  assertThrows(() => assertClose([NaN], [NaN], { tolerance: 1 }), Error, "[0]");
  assertThrows(() => assertClose([1, 2], [1, Infinity], { tolerance: 1 }), Error, "[1]");
  assertThrows(() => assertClose([1], [1, 1], { tolerance: 1 }), Error, "1 elements, expected 2");
  assertThrows(() => assertClose([], [], { tolerance: 1 }), Error, "nothing");
});

Deno.test("random helpers repeat with the seed and have the moments they claim", () => {
  assertEquals(randomArray(1, 9), randomArray(1, 9));
  assert(randomArray(1, 9)[0] !== randomArray(2, 9)[0]);
  const normal = randomArray(3, 40_000, 2);
  assert(Math.abs(sum(normal, 1, normal.length)[0]! / normal.length) < 0.05);
  assert(Math.abs(sumOfSquares(normal) / normal.length - 4) < 0.1);
  const uniform = randomUniform(4, 40_000, -1, 3);
  assert(Math.abs(sum(uniform, 1, uniform.length)[0]! / uniform.length - 1) < 0.05);
  assertEquals(new Set(randomIntegers(5, 1000, 7)).size, 7);
});

Deno.test("matmul() computes a hand-worked product in every layout", () => {
  const expected = [1 * 5 + 2 * 7 + 1, 1 * 6 + 2 * 8 - 1, 3 * 5 + 4 * 7 + 1, 3 * 6 + 4 * 8 - 1];
  const bias = [1, -1];
  const size = { m: 2, n: 2, k: 2, bias };
  assertClose(matmul([1, 2, 3, 4], [5, 6, 7, 8], size), expected, exact);
  assertClose(matmul([1, 3, 2, 4], [5, 6, 7, 8], { ...size, transA: true }), expected, exact);
  assertClose(matmul([1, 2, 3, 4], [5, 7, 6, 8], { ...size, transB: true }), expected, exact);
});

Deno.test("matmul() gradients are dy · W and dyᵀ · x", () => {
  const [m, n, k] = [3, 4, 5];
  const x = Float64Array.from(randomArray(1, m * k));
  const w = Float64Array.from(randomArray(2, n * k));
  const dy = randomArray(3, m * n);
  const loss = () => dot(matmul(x, w, { m, n, k, transB: true }), dy);
  const near = { tolerance: 1e-9 };
  assertClose(matmul(dy, w, { m, n: k, k: n }), finiteDifference(loss, x), near);
  assertClose(matmul(dy, x, { m: n, n: k, k: m, transA: true }), finiteDifference(loss, w), near);
});

Deno.test("softmax() rows sum to one, survive large inputs and have the known gradient", () => {
  const x = Float64Array.from(randomArray(4, 3 * 5, 3));
  assertClose(sum(softmax(x, 3, 5), 3, 5, "rows"), [1, 1, 1], exact);
  assertClose(softmax([1000, 1000 + Math.log(3)], 1, 2), [0.25, 0.75], { tolerance: 1e-12 });
  assertClose(logSoftmax([-1000, 0], 1, 2), [-1000, 0], exact);
  const dy = randomArray(5, 5);
  const y = softmax(x.subarray(0, 5), 1, 5);
  const expected = y.map((p, i) => p * (dy[i]! - dot(y, dy)));
  const row = x.slice(0, 5);
  const numeric = finiteDifference((z) => dot(softmax(z, 1, 5), dy), row);
  assertClose(numeric, expected, { tolerance: 1e-8 });
});

Deno.test("reduce references agree with hand-worked sums and maxima", () => {
  const x = [1, -2, 3, 4, 5, -6];
  assertEquals([...sum(x, 2, 3)], [5]);
  assertEquals([...sum(x, 2, 3, "rows")], [2, 3]);
  assertEquals([...sum(x, 2, 3, "columns")], [5, 3, -3]);
  assertEquals([...max(x, 2, 3)], [5]);
  assertEquals([...max(x, 2, 3, "rows")], [3, 5]);
  assertEquals([...max(x, 2, 3, "columns")], [4, 5, 3]);
  assertEquals(sumOfSquares(x), 91);
});

Deno.test("rmsNorm() gives unit mean square and adds the residual first", () => {
  const x = randomArray(6, 2 * 8);
  const residual = randomArray(7, 2 * 8);
  const ones = new Float64Array(8).fill(1);
  const { y, h } = rmsNorm(x, ones, { tokens: 2, channels: 8, eps: 0, residual });
  assertClose(h, x.map((v, i) => v + residual[i]!), { tolerance: 1e-7 });
  assertClose([sumOfSquares(y.subarray(0, 8)), sumOfSquares(y.subarray(8))], [8, 8], exact);
  const scaled = rmsNorm([3, 4], [2, 10], { tokens: 1, channels: 2, eps: 0.5 }).y;
  assertClose(scaled, [6 / Math.sqrt(13), 40 / Math.sqrt(13)], exact);
});

Deno.test("rope() keeps norms, depends on relative position only and inverts", () => {
  const options = { heads: 1, headDim: 8, theta: 100 };
  const q = randomArray(8, 8);
  const k = randomArray(9, 8);
  const score = (i: number, j: number) => dot(rope(q, [i], options), rope(k, [j], options));
  assertClose([score(7, 3), score(104, 100)], [score(4, 0), score(4, 0)], { tolerance: 1e-12 });
  assertClose([sumOfSquares(rope(q, [5], options))], [sumOfSquares(q)], exact);
  assertClose(rope(rope(q, [5], options), [5], { ...options, inverse: true }), q, exact);
  const turned = rope([1, 0, 0, 0], [1], { heads: 1, headDim: 4, theta: 10 });
  assertClose(turned, [Math.cos(1), 0, Math.sin(1), 0], exact);
});

Deno.test("packSegments() lays out the table the kernels read", () => {
  const table = packSegments([
    { promptLength: 3, responseLengths: [2, 4] },
    { promptLength: 5, responseLengths: [] },
  ]);
  // deno-fmt-ignore
  assertEquals([...table], [
    0, 3, 0, 0, 9,
    3, 5, 0, 3, 5,
    5, 9, 0, 3, 9,
    9, 14, 0, 0, 14,
  ]);
  assertEquals([...segmentPositions(table)], [0, 1, 2, 3, 4, 3, 4, 5, 6, 0, 1, 2, 3, 4]);
  assertEquals(readSegments(table)[1]!.prefixEnd, 3);
});

Deno.test("attention() of one token is its value and of equal keys the mean", () => {
  const one = { queryHeads: 2, keyHeads: 1, headDim: 2 };
  const segments = packSegments([{ promptLength: 3, responseLengths: [] }]);
  const v = [1, 2, 3, 4, 8, 9];
  const { out, logSumExp } = attention(new Array(12).fill(1), new Array(6).fill(0), v, {
    ...one,
    segments,
  });
  assertClose(out, [1, 2, 1, 2, 2, 3, 2, 3, 4, 5, 4, 5], exact);
  const ln = Math.log;
  assertClose(logSumExp, [0, 0, ln(2), ln(2), ln(3), ln(3)], exact);
});

Deno.test("attention() over a shared prompt equals attention over repeated prompts", () => {
  const [H, J, D] = [4, 2, 4];
  const options = { queryHeads: H, keyHeads: J, headDim: D };
  const shared = packSegments([{ promptLength: 3, responseLengths: [2, 4] }]);
  const [q, k, v] = [
    randomArray(1, 9 * H * D),
    randomArray(2, 9 * J * D),
    randomArray(3, 9 * J * D),
  ];
  const packed = attention(q, k, v, { ...options, segments: shared }).out;
  const pick = (x: Float32Array, tokens: number[], size: number) =>
    tokens.flatMap((t) => [...x.subarray(t * size, (t + 1) * size)]);
  for (const tokens of [[0, 1, 2, 3, 4], [0, 1, 2, 5, 6, 7, 8]]) {
    const segments = packSegments([{ promptLength: tokens.length, responseLengths: [] }]);
    const plain =
      attention(pick(q, tokens, H * D), pick(k, tokens, J * D), pick(v, tokens, J * D), {
        ...options,
        segments,
      }).out;
    const expected = tokens.flatMap((t) => [...packed.subarray(t * H * D, (t + 1) * H * D)]);
    assertClose(plain, expected, exact);
  }
});

Deno.test("swiglu() multiplies silu of the first half with the second", () => {
  const sigmoid = 1 / (1 + Math.exp(-2));
  assertClose(swiglu([2, 0, 3, 5], 1, 2), [2 * sigmoid * 3, 0], exact);
});

Deno.test("embedding() reads rows and its gradient sums over repeats", () => {
  assertEquals([...embedding([2, 0, 2], [1, 2, 3, 4, 5, 6], 2)], [5, 6, 1, 2, 5, 6]);
  const gradient = embeddingGradient([2, 0, 2], [1, 2, 3, 4, 5, 6], 3, 2);
  assertEquals([...gradient], [3, 4, 0, 0, 6, 8]);
});

Deno.test("logProb() tempers, reads shared rows and has the gradient (onehot - p) / T", () => {
  const logits = Float64Array.from(randomArray(10, 2 * 5));
  const options = { vocabulary: 5, targets: [3, 1, 4], rows: [1, 1, 0], temperature: 0.7 };
  const { logProbs, entropies } = logProb(logits, options);
  const p = softmax(logits.map((x) => x / 0.7), 2, 5);
  assertClose(logProbs.map(Math.exp), [p[8]!, p[6]!, p[4]!], exact);
  assert(entropies[0] === entropies[1] && entropies[0]! > 0 && entropies[0]! < Math.log(5));
  assertClose(logProb([2, 2, 2], { vocabulary: 3, targets: [0] }).entropies, [Math.log(3)], exact);
  const numeric = finiteDifference((x) => logProb(x, options).logProbs[2]!, logits);
  const expected = logits.map((_, i) => i < 5 ? ((i === 4 ? 1 : 0) - p[i]!) / 0.7 : 0);
  assertClose(numeric, expected, { tolerance: 1e-8 });
});

Deno.test("surrogateLosses() follow the clip on both sides and the dual clip", () => {
  const ppo = { kind: "ppo", epsilon: 0.2, epsilonHigh: 0.3 } as const;
  const one = (logProb: number, advantage: number, surrogate: Surrogate) =>
    surrogateLosses([logProb], [0], advantage, surrogate)[0]!;
  assertClose(
    [
      one(Math.log(1.1), 2, ppo),
      one(Math.log(1.5), 2, ppo),
      one(Math.log(0.5), 2, ppo),
      one(Math.log(0.5), -2, ppo),
      one(Math.log(4), -2, ppo),
      one(Math.log(4), -2, { ...ppo, dualClip: 3 }),
      one(-0.5, 2, { kind: "reinforce" }),
      one(Math.log(0.5), 1, { kind: "cispo", epsilon: 0.2, epsilonHigh: 4 }),
      one(Math.log(0.5), -1, { kind: "sapo", temperaturePos: 1, temperatureNeg: 2 }),
      one(Math.log(0.5), -1, { kind: "dppo", epsilon: 0.4, epsilonHigh: 9, ratioLimit: 9 }),
      one(Math.log(0.5), 1, { kind: "dppo", epsilon: 0.4, epsilonHigh: 9, ratioLimit: 9 }),
    ],
    [
      -2.2,
      -2.6,
      -1,
      1.6,
      8,
      6,
      1,
      0.8 * Math.LN2,
      2 / (1 + Math.E),
      0,
      0.5 * Math.LN2,
    ],
    exact,
  );
});

Deno.test("surrogateLosses() of gspo and gmpo clip the response and its tokens", () => {
  const bounds = { epsilon: 0.2, epsilonHigh: 0.2 };
  const logProbs = [Math.log(2), Math.log(0.5)];
  const loss = (kind: "gspo" | "gmpo", advantage: number) =>
    surrogateLosses(logProbs, [0, 0], advantage, { kind, ...bounds });
  assertClose(loss("gspo", 3), [-3, -3], exact);
  const geometric = Math.exp((0.2 - Math.LN2) / 2);
  assertClose(loss("gmpo", 3), [-3 * geometric, -3 * geometric], exact);
  assertClose(loss("gmpo", -3), [3 / geometric, 3 / geometric], exact);
});

Deno.test("klEstimate() is zero at equality; k3 is non-negative and clamped", () => {
  for (const estimator of ["k1", "k2", "k3"] as const) {
    assertEquals(klEstimate(-1.5, -1.5, estimator) + 0, 0);
  }
  assertClose([klEstimate(-1, -3, "k1"), klEstimate(-1, -3, "k2")], [2, 2], exact);
  assertClose([klEstimate(-1, -3, "k3")], [Math.exp(-2) + 1], exact);
  assertEquals(klEstimate(-30, -1, "k3"), 10);
});

Deno.test("policyLoss() adds surrogate, KL and entropy under the weight of each response", () => {
  const { loss, tokenLosses } = policyLoss({
    logProbs: [-1, -2, -3],
    oldLogProbs: [-1, -2, -3],
    sequences: [0, 1, 1],
    advantages: [1, -2],
    weights: [0.5, 0.25],
    surrogate: { kind: "reinforce" },
    kl: { refLogProbs: [-2, -2, -4], estimator: "k2", coefficient: 0.1 },
    entropy: { entropies: [1, 2, 3], coefficient: 0.01 },
  });
  assertClose(tokenLosses, [1 + 0.05 - 0.01, -4 - 0.02, -6 + 0.05 - 0.03], exact);
  assertClose([loss], [0.5 * 1.04 + 0.25 * (-4.02 - 5.98)], exact);
});

Deno.test("adamwStep() moves by the learning rate at first, decays apart and clips as PyTorch", () => {
  const [p, m, v] = [Float64Array.of(2, -3), new Float64Array(2), new Float64Array(2)];
  const options = {
    learningRate: 0.1,
    beta1: 0.9,
    beta2: 0.99,
    eps: 0,
    weightDecay: 0.5,
    step: 1,
  };
  adamwStep(p, m, v, [4, -1e-3], options);
  assertClose(p, [2 * 0.95 - 0.1, -3 * 0.95 + 0.1], exact);
  adamwStep(p, m, v, [1, 0], { ...options, weightDecay: 0, eps: 1e-8, step: 2 });
  const mean = (0.9 * 0.4 + 0.1) / (1 - 0.81);
  const square = (0.99 * 0.16 + 0.01) / (1 - 0.9801);
  assertClose([p[0]!], [1.8 - 0.1 * mean / (Math.sqrt(square) + 1e-8)], exact);
  assertEquals(globalNorm([[3], [0, 4]]), 5);
  assertClose([clipCoefficient(5, 1), clipCoefficient(0.5, 1)], [1 / (5 + 1e-6), 1], exact);
});

Deno.test("gumbelMax() draws from the softmax and is greedy at temperature 0", () => {
  const logits = [1, 3, 3, -2];
  assertEquals(argmax(logits, 0, 4), 1);
  assertEquals([...gumbelMax(logits, randomUniform(1, 4), { vocabulary: 4, temperature: 0 })], [1]);
  const draws = 40_000;
  const repeated = Array.from({ length: draws }, () => [0, 1, -1]).flat();
  const uniforms = randomUniform(2, 3 * draws, 1e-7, 1 - 1e-7);
  const counts = [0, 0, 0];
  for (const t of gumbelMax(repeated, uniforms, { vocabulary: 3, temperature: 0.5 })) counts[t]!++;
  // Standard error of a share is at most 0.0025 here.
  const shares = counts.map((count) => count / draws);
  assertClose(shares, softmax([0, 2, -2], 1, 3), { tolerance: 0.01 });
});
