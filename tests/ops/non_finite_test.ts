/** NaN, infinities and rows of −infinity through every kernel there is. */

import { assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { type AdvantageEstimator, ADVANTAGES } from "../../src/objective/advantage.ts";
import { KL_ESTIMATORS, type KlEstimator } from "../../src/objective/kl.ts";
import { type PolicyLoss, SURROGATES } from "../../src/objective/surrogate.ts";
import { adamw } from "../../src/ops/adamw.ts";
import { attention, headReads } from "../../src/ops/attention.ts";
import { attentionDecode } from "../../src/ops/attention_decode.ts";
import { operationName } from "../../src/ops/choices.ts";
import { embedding, embeddingIndex } from "../../src/ops/embedding.ts";
import { excludeToken } from "../../src/ops/exclude_token.ts";
import { add } from "../../src/ops/general/add.ts";
import { type ReduceAxis, reduceMax, reduceSum } from "../../src/ops/general/reduce.ts";
import { rope } from "../../src/ops/general/rope.ts";
import { softmax } from "../../src/ops/general/softmax.ts";
import { gradNorm } from "../../src/ops/grad_norm.ts";
import { headLogProb } from "../../src/ops/head_log_prob.ts";
import { headNorm } from "../../src/ops/head_norm.ts";
import { logProb } from "../../src/ops/log_prob.ts";
import { addLora, widenLora } from "../../src/ops/lora.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { policyLoss } from "../../src/ops/policy_loss.ts";
import { responseAdvantages } from "../../src/ops/response_advantages.ts";
import { responseKl } from "../../src/ops/response_kl.ts";
import { rmsNorm } from "../../src/ops/rms_norm.ts";
import { sample } from "../../src/ops/sample.ts";
import { scatterItems } from "../../src/ops/scatter_items.ts";
import { swiglu } from "../../src/ops/swiglu.ts";
import { columnsToHalf, fromHalf, roundColumns } from "../../src/ops/to_half.ts";
import { entryPointsWithout } from "../helpers/entry_points.ts";
import { onEveryDevice, type OpInput } from "../helpers/gpu.ts";
import { checkNonFinite, linearCase, type NonFiniteCase } from "../helpers/non_finite.ts";
import { randomArray, randomUniform } from "../helpers/random.ts";
import { idsSideBySide, progress } from "../helpers/side_by_side.ts";
import { attention as attentionReference } from "../reference/attention.ts";
import { logProb as logProbReference } from "../reference/log_prob.ts";
import { matmul as product } from "../reference/matmul.ts";
import { max, sum } from "../reference/reduce.ts";
import { rmsNorm as normReference } from "../reference/rms_norm.ts";
import { packSegments, packTiles, segmentPositions } from "../reference/segments.ts";
import { softmax as softmaxReference } from "../reference/softmax.ts";
import { swiglu as swigluReference } from "../reference/swiglu.ts";

/**
 * Kernels for devices with matrix units, of which matrix_units_test.ts has its own test; whose results nobody reads; that
 * reads no floats: whole numbers cannot be other than finite.
 */
const LEFT_OUT = ["matmul.units", "peaks.copy", "peaks.multiply_add", "response_weights.main"];

const f32 = (seed: number, ...shape: number[]): OpInput => ({
  shape,
  data: randomArray(seed, shape.reduce((a, b) => a * b)),
});
const u32 = (data: ArrayLike<number>, shape = [data.length]): OpInput => ({
  shape,
  data,
  dtype: "u32",
});
const parameter = (input: OpInput): OpInput => ({ ...input, parameter: true });
const half = (input: OpInput): OpInput => ({ ...input, dtype: "f16" });
const seed = (n: number) => randomArray(99, n);

/** Rows of eight numbers, for wide loads, and of others. */
const WIDTHS = [8, 12] as const;

/** The ids of items in their order, each of a row of its own. */
function everyRow(rows: number, targets: readonly number[]) {
  const all = Array.from({ length: rows + 1 }, (_, i) => i);
  return { rowOffsets: u32(all), rowItems: u32(all.slice(0, rows)), itemTargets: u32(targets) };
}

/** Log-probabilities and entropies, of which what has no probability adds nothing. */
function scores(logits: ArrayLike<number>, vocabulary: number, targets: readonly number[]) {
  const { logProbs } = logProbReference(logits, { vocabulary, targets });
  const p = softmaxReference(logits, targets.length, vocabulary);
  const entropies = Float64Array.from(targets, (_, row) => {
    const own = p.subarray(row * vocabulary, (row + 1) * vocabulary);
    return own.reduce((h, p) => p === 0 ? h : h - p * Math.log(p), 0);
  });
  return { logProbs, entropies };
}

const MATRICES = [[5, 8, 4], [3, 8, 8], [5, 7, 6], [65, 36, 20]] as const;

function matrixCases(): Record<string, NonFiniteCase> {
  const cases: Record<string, NonFiniteCase> = {};
  for (const [m, n, k] of MATRICES) {
    for (const dtype of ["f32", "f16"] as const) {
      cases[`linear ${m} x ${n} x ${k} ${dtype}`] = linearCase({ m, n, k, dtype });
    }
  }
  const [T, K, N, rank, scale] = [3, 8, 12, 4, 1.75];
  cases.lora = {
    inputs: {
      x: f32(1, T, K),
      weight: f32(2, N, K),
      a: parameter(f32(3, rank, K)),
      b: parameter(f32(4, N, rank)),
    },
    withoutGradient: ["weight"],
    build: (plan, { x, weight, a, b }) => {
      const wide = plan.empty([N, rank], "wide");
      const weights = { a: a!, b: b!, wide, rows: [N], adapted: [true], scale };
      widenLora(plan, weights, "lora");
      const y = linear(plan, x!, weight!);
      addLora(plan, x!, y, weights, "lora");
      return { y };
    },
    reference: ({ x, weight, a, b }) => {
      const y = product(x!, weight!, { m: T, n: N, k: K, transB: true });
      const down = product(x!, a!, { m: T, n: rank, k: K, transB: true });
      const up = product(down, b!, { m: T, n: N, k: rank, transB: true });
      return { y: y.map((value, i) => value + scale * up[i]!) };
    },
    outputGradients: { y: seed(T * N) },
  };
  return cases;
}

/** What is computed for each number or each row. */
function rowCases(): Record<string, NonFiniteCase> {
  const cases: Record<string, NonFiniteCase> = {};
  const rows = 3;
  for (const width of WIDTHS) {
    const n = rows * width;
    cases[`swiglu ${width}`] = {
      inputs: { x: f32(1, rows, 2 * width) },
      build: (plan, { x }) => ({ y: swiglu(plan, x!) }),
      reference: ({ x }) => ({ y: swigluReference(x!, rows, width) }),
      outputGradients: { y: seed(n) },
    };
    cases[`rmsNorm ${width}`] = {
      inputs: {
        x: f32(1, rows, width),
        delta: f32(2, rows, width),
        weight: parameter(f32(3, width)),
      },
      build: (plan, { x, delta, weight }) => {
        const { normed, sum } = rmsNorm(plan, x!, weight!, { eps: 1e-6, delta: delta! });
        return { normed, sum };
      },
      reference: ({ x, delta, weight }) => {
        const sizes = { tokens: rows, channels: width, eps: 1e-6 };
        const { y, h } = normReference(x!, weight!, { ...sizes, residual: delta! });
        return { normed: y, sum: h };
      },
      outputGradients: { normed: seed(n), sum: randomArray(98, n) },
    };
    cases[`add ${width - 1}`] = {
      inputs: { a: f32(1, rows, width - 1), b: parameter(f32(2, rows, width - 1)) },
      build: (plan, { a, b }) => ({ y: add(plan, a!, b!) }),
      reference: ({ a, b }) => ({ y: a!.map((value, i) => value + b![i]!) }),
      outputGradients: { y: seed(rows * (width - 1)) },
    };
    for (const columns of [width, width - 1]) {
      cases[`softmax ${columns}`] = {
        inputs: { x: f32(1, rows, columns) },
        build: (plan, { x }) => ({ y: softmax(plan, x!) }),
        reference: ({ x }) => ({ y: softmaxReference(x!, rows, columns) }),
        outputGradients: { y: seed(rows * columns) },
      };
      for (const axis of ["all", "rows", "columns"] as const satisfies ReduceAxis[]) {
        const size = { all: 1, rows, columns }[axis];
        cases[`reduceSum ${columns} ${axis}`] = {
          inputs: { x: f32(1, rows, columns) },
          build: (plan, { x }) => ({ y: reduceSum(plan, x!, axis) }),
          reference: ({ x }) => ({ y: sum(x!, rows, columns, axis) }),
          outputGradients: { y: seed(size) },
        };
        cases[`reduceMax ${columns} ${axis}`] = {
          inputs: { x: f32(1, rows, columns) },
          build: (plan, { x }) => ({ y: reduceMax(plan, x!, axis) }),
          reference: ({ x }) => ({ y: max(x!, rows, columns, axis) }),
        };
      }
    }
    cases[`gradNorm ${n}`] = {
      inputs: { x: f32(1, n) },
      build: (plan, { x }) => ({ y: gradNorm(plan, x!) }),
      reference: ({ x }) => ({ y: Float64Array.of(Math.sqrt(x!.reduce((s, v) => s + v * v, 0))) }),
    };
    const columns = { first: 4, width: width - 4 };
    cases[`to half and back ${width}`] = {
      inputs: { x: f32(1, rows, width), z: f32(2, rows, width) },
      build: (plan, { x, z }) => {
        roundColumns(plan, z!, columns);
        const narrow = columnsToHalf(plan, x!, columns);
        return { narrow, wide: fromHalf(plan, narrow), z: z! };
      },
    };
    cases[`excludeToken ${width}`] = {
      inputs: { x: f32(1, rows, width) },
      build: (plan, { x }) => {
        excludeToken(plan, x!, width - 1);
        return { x: x! };
      },
    };
    const tokens = [3, 0, 3, 2, 1];
    for (
      const table of [
        f32(2, 4, width),
        parameter(f32(2, 4, width)),
        half(parameter(f32(2, 4, width))),
      ]
    ) {
      cases[`embedding ${width} ${table.dtype} ${table.parameter}`] = {
        inputs: { table, tokens: u32(tokens) },
        build: (plan, inputs) => {
          const { order, chunks, runs } = embeddingIndex(Uint32Array.from(tokens));
          const index = (data: Uint32Array, columns: number) =>
            plan.gpu.tensor(columns > 1 ? [data.length / columns, columns] : [data.length], {
              data,
              dtype: "u32",
            });
          return {
            y: embedding(plan, inputs.table!, inputs.tokens!, {
              order: index(order, 1),
              chunks: index(chunks, 2),
              chunkCount: new Dim("chunks", chunks.length / 2),
              runs: index(runs, 3),
              runCount: new Dim("runs", runs.length / 3),
            }),
            looked: embedding(plan, inputs.table!, inputs.tokens!, undefined, {
              rows: plan.constant([4, 1], "rows"),
              name: "looked",
            }),
          };
        },
        outputGradients: { y: seed(5 * width) },
      };
    }
    const targets = [1, 0, width - 1];
    for (const inPlace of [false, true]) {
      const inner = 8;
      cases[`logProb ${width}${inPlace ? " in place" : ""}`] = {
        inputs: {
          ...(inPlace
            ? { hidden: f32(1, rows, inner), weight: parameter(f32(2, width, inner)) }
            : { logits: f32(1, rows, width) }),
          ...everyRow(rows, targets),
        },
        build: (plan, { logits, hidden, weight, rowOffsets, rowItems, itemTargets }) => {
          const table = {
            rowOffsets: rowOffsets!,
            rowItems: rowItems!,
            itemTargets: itemTargets!,
            items: new Dim("items", rows),
          };
          const { logProbs, entropies } = inPlace
            ? headLogProb(plan, hidden!, weight!, table, { temperature: () => 1 })
            : logProb(plan, logits!, table, { temperature: () => 1 });
          return { logProbs, entropies };
        },
        reference: ({ logits, hidden, weight }) =>
          scores(
            logits ?? product(hidden!, weight!, { m: rows, n: width, k: inner, transB: true }),
            width,
            targets,
          ),
        outputGradients: { logProbs: seed(rows), entropies: randomArray(98, rows) },
        // −infinity at the target: ln p is infinite, its slope 1 - p is not.
        finiteSlopes: true,
      };
    }
  }
  return cases;
}

/** What is computed over a batch of tokens. */
function tokenCases(gpu: Gpu): Record<string, NonFiniteCase> {
  const cases: Record<string, NonFiniteCase> = {};
  for (const [shared, headDim] of [[2, 8], [3, 12]] as const) {
    const heads = { heads: shared, keyValueHeads: 1, headDim };
    const [q, width] = [shared * headDim, (shared + 2) * headDim];
    const segments = packSegments([{ promptLength: 2, responseLengths: [2, 1] }]);
    const positions = segmentPositions(segments);
    const tokens = positions.length;
    const tiles = packTiles(segments, gpu.traits.attentionTile);
    const qkv = f32(1, tokens, width);
    cases[`rope ${headDim}`] = {
      inputs: { qkv, positions: u32(positions) },
      build: (plan, t) => ({
        y: rope(plan, t.qkv!, t.positions!, { ...heads, rotation: { theta: 500 } }),
      }),
      outputGradients: { y: seed(tokens * width) },
    };
    cases[`headNorm ${headDim}`] = {
      inputs: { qkv, weight: parameter(f32(2, 2 * headDim)) },
      build: (plan, t) => ({ y: headNorm(plan, t.qkv!, t.weight!, { ...heads, eps: 1e-6 }) }),
      outputGradients: { y: seed(tokens * width) },
    };
    for (const forward of gpu.traits.narrow ? [""] : ["", "tiled_4"]) {
      cases[`attention ${headDim} ${forward}`] = {
        inputs: {
          qkv,
          segments: u32(segments, [segments.length / 5, 5]),
          tiles: u32(tiles, [tiles.length / 2, 2]),
          positions: u32(positions),
        },
        build: (plan, t) => {
          const operation = operationName({ operation: "attention", ...heads, dtype: "f32" });
          const { kernels } = plan.gpu;
          plan.gpu.kernels = { [operation]: forward };
          const out = attention(plan, t.qkv!, {
            segments: t.segments!,
            tiles: t.tiles!,
            positions: t.positions!,
            tileCount: new Dim("tiles", tiles.length / 2),
            pairs: new Dim("pairs", tokens * tokens),
          }, heads);
          plan.gpu.kernels = kernels;
          return { out };
        },
        reference: ({ qkv }) => {
          const part = (from: number, to: number) =>
            qkv!.filter((_, i) => i % width >= from && i % width < to);
          const { out } = attentionReference(
            part(0, q),
            part(q, q + headDim),
            part(q + headDim, width),
            { queryHeads: shared, keyHeads: 1, headDim, segments },
          );
          return { out };
        },
        outputGradients: { out: seed(tokens * q) },
        // Pairs that the mask leaves out, as in PyTorch.
        spreads: true,
      };
    }
    for (const lanes of headDim === 8 ? ["keys", "rows"] : []) {
      for (const dtype of ["f32", "f16"] as const) {
        const [B, M, P] = [2, 3, 3];
        const prompts = dtype === "f16" ? f32(3, P, 2 * headDim) : f32(3, P, width);
        cases[`attentionDecode ${headDim} ${lanes} ${dtype}`] = {
          inputs: {
            qkv: f32(1, B, width),
            cache: { ...f32(2, B, 1, M, 2, headDim), dtype },
            prompts: { ...prompts, dtype },
          },
          build: (plan, { qkv, cache, prompts }) => {
            const operation = operationName({ operation: "attention_decode", ...heads, dtype });
            const { kernels } = plan.gpu;
            const pack = headReads(plan.gpu, headDim)[0]!.pack;
            plan.gpu.kernels = { [operation]: `${lanes}_${pack}` };
            const { lengths, finished } = progress(plan.gpu, B);
            plan.gpu.write(lengths, [2, 1]);
            const out = attentionDecode(plan, {
              qkv: qkv!,
              slots: plan.gpu.tensor([B], { data: [1, 0], dtype: "u32" }),
              prompts: prompts!,
              promptRanges: plan.gpu.tensor([B, 2], { data: [0, 2, 2, 3], dtype: "u32" }),
              cache: cache!,
              lengths,
              finished,
            }, { ...heads, rotation: { theta: 500 } });
            plan.gpu.kernels = kernels;
            return { out, cache: cache! };
          },
          // Sequences of one tile walk as far as the longest prompt of them.
          spreads: true,
        };
      }
    }
  }
  return cases;
}

/** What is computed of responses. */
function responseCases(): Record<string, NonFiniteCase> {
  const estimators = Object.keys(KL_ESTIMATORS) as KlEstimator[];
  const cases: Record<string, NonFiniteCase> = {};
  const [B, M] = [4, 3];
  const matrix = (seed: number): OpInput => ({
    shape: [B, M],
    data: randomUniform(seed, B * M, -3, -0.1),
  });
  const lengths = [3, 1, 2, 3];
  const sequences = lengths.flatMap((length, b) => new Array<number>(length).fill(b));
  const positions = lengths.flatMap((length) => Array.from({ length }, (_, t) => t));
  const ends = lengths.map((_, b) => lengths.slice(0, b + 1).reduce((sum, l) => sum + l, 0));
  const N = sequences.length;
  const places = (gpu: Gpu) => ({
    ...idsSideBySide(gpu, N, { itemSequences: sequences, itemPositions: positions }),
    items: new Dim("items", N),
  });
  cases.scatterItems = {
    inputs: { values: f32(1, N), matrix: f32(2, B, M) },
    build: (plan, { values, matrix }) => {
      scatterItems(plan, values!, places(plan.gpu), matrix!);
      return { matrix: matrix! };
    },
  };
  for (const klEstimator of estimators) {
    cases[`responseKl ${klEstimator}`] = {
      inputs: { logProbs: matrix(1), refLogProbs: matrix(2), lengths: u32(lengths) },
      build: (plan, { logProbs, refLogProbs, lengths }) => ({
        y: responseKl(plan, {
          logProbs: logProbs!,
          refLogProbs: refLogProbs!,
          lengths: lengths!,
        }, { klEstimator }),
      }),
    };
  }
  for (const advantageEstimator of Object.keys(ADVANTAGES) as AdvantageEstimator[]) {
    for (
      const scaleRewards of advantageEstimator === "grpo"
        ? ["group", "batch"] as const
        : [undefined]
    ) {
      cases[`responseAdvantages ${advantageEstimator} ${scaleRewards}`] = {
        inputs: {
          rewards: { shape: [B], data: randomUniform(1, B, 0.2, 2) },
          penalties: { shape: [B], data: randomUniform(2, B, 0, 0.1) },
        },
        build: (plan, { rewards, penalties }) => ({
          y: responseAdvantages(plan, rewards!, {
            advantageEstimator,
            scaleRewards,
            numGenerations: 2,
            penalties: penalties!,
            lengths: plan.gpu.tensor([B], { data: lengths, dtype: "u32" }),
            withheld: plan.gpu.tensor([B], { data: [0, 1, 0, 0], dtype: "u32" }),
          }),
        }),
        // Nobody knows which response is the best beside one of NaN.
        spreads: advantageEstimator === "passK",
      };
    }
  }
  for (const [k, loss] of (Object.keys(SURROGATES) as PolicyLoss[]).entries()) {
    cases[`policyLoss ${loss}`] = {
      inputs: {
        logProbs: { shape: [N], data: randomUniform(1, N, -1.05, -1) },
        entropies: { shape: [N], data: randomUniform(2, N, 0.1, 2) },
        old: { shape: [B, M], data: randomUniform(3, B * M, -1.05, -1) },
        ref: { shape: [B, M], data: randomUniform(4, B * M, -1.05, -1) },
        advantages: { shape: [B], data: randomUniform(5, B, 0.2, 2) },
        weights: { shape: [B], data: randomUniform(6, B, 0.2, 1) },
      },
      withoutGradient: ["old", "ref", "advantages", "weights"],
      build: (plan, t) => {
        const { stats } = policyLoss(plan, {
          logProbs: t.logProbs!,
          entropies: t.entropies!,
          ...places(plan.gpu),
          oldLogProbs: t.old!,
          refLogProbs: t.ref!,
          advantages: t.advantages!,
          weights: t.weights!,
          itemRanges: plan.gpu.tensor([B, 2], {
            data: lengths.flatMap((length, b) => [ends[b]! - length, ends[b]!]),
            dtype: "u32",
          }),
        }, {
          policyLoss: loss,
          epsilon: 0.2,
          epsilonHigh: 0.3,
          dualClip: 3,
          sapoTemperaturePos: 1,
          sapoTemperatureNeg: 1.05,
          klEstimator: estimators[k % estimators.length]!,
          beta: 0.1,
          entropyCoef: 0.01,
        });
        // The loss and the part of it that the surrogate is; what counts such numbers comes after.
        return { losses: stats.view([2]) };
      },
      outputGradients: {},
      accumulates: ["losses"],
    };
  }
  for (const width of WIDTHS) {
    for (const dtype of ["f32", "bf16"] as const) {
      cases[`adamw ${width} ${dtype}`] = {
        inputs: {
          parameters: f32(1, width),
          gradients: f32(2, width),
          ...(dtype === "f32" && {
            firstMoment: f32(3, width),
            secondMoment: { shape: [width], data: randomUniform(4, width, 0.1, 1) },
          }),
          gradNorm: { shape: [1], data: [1.5] },
        },
        // Where the norm is not finite, nothing is changed.
        untouched: ["gradNorm"],
        build: (plan, { parameters, gradients, firstMoment, secondMoment, gradNorm }) => {
          const moment = () => plan.gpu.tensor([width], { dtype });
          const moments = dtype === "bf16"
            ? { firstMoment: moment(), secondMoment: moment() }
            : { firstMoment: firstMoment!, secondMoment: secondMoment! };
          adamw(plan, {
            parameters: parameters!,
            gradients: gradients!,
            ...moments,
            gradNorm: gradNorm!,
          }, { learningRate: 0.1, step: 1, maxGradNorm: 1 });
          return { parameters: parameters!, ...moments };
        },
        accumulates: dtype === "bf16" ? ["firstMoment", "secondMoment"] : [],
      };
    }
    cases[`sample ${width}`] = {
      inputs: { logits: f32(1, 3, width) },
      build: (plan, { logits }) => {
        const ids = (data: number[], shape = [data.length]) =>
          plan.gpu.tensor(shape, { data, dtype: "u32" });
        const logProbs = plan.gpu.tensor([3, 1]);
        const entropySums = plan.gpu.tensor([3]);
        sample(plan, logits!, { rows: ids([0, 1, 2]), slots: ids([2, 0, 1]) }, {
          tokens: ids([0, 0, 0], [3, 1]),
          logProbs,
          entropySums,
          ...progress(plan.gpu, 3),
        }, { temperature: 1, seed: 1, step: 0, limit: 1, eosTokenIds: ids([0]), eosCount: 0 });
        return { logProbs, entropySums };
      },
    };
  }
  return cases;
}

const ran = new Set<string>();

for (
  const [kind, casesOf] of Object.entries({ matrixCases, rowCases, tokenCases, responseCases })
) {
  Deno.test(`NaN and infinities go through every kernel: ${kind}`, async (t) => {
    await onEveryDevice(t, async (gpu) => {
      for (const [label, op] of Object.entries(casesOf(gpu))) {
        await checkNonFinite(gpu, label, op, ran);
      }
    });
  });
}

Deno.test("NaN and infinities go through the products of graphics processors", async () => {
  const gpu = await openGpu({ treatAs: { isFallback: false } });
  const { "linear 5 x 8 x 4 f32": op, "linear 65 x 36 x 20 f32": large } = matrixCases();
  for (const tile of [16, 64, 128]) {
    gpu.kernels = {};
    for (const layout of ["nt", "nn", "tn"]) {
      for (const sizes of ["5x8x4", "5x4x8", "8x4x5"]) {
        gpu.kernels = { ...gpu.kernels, [`matmul ${layout} ${sizes}`]: `tiled.tile${tile}` };
      }
    }
    await checkNonFinite(gpu, `tile ${tile}`, op!, ran);
  }
  await checkNonFinite(gpu, "more than a tile", large!, ran);
  gpu.check();
  await gpu.close();
});

Deno.test("no kernel is left out of the tests with NaN and infinities", () => {
  const left = entryPointsWithout(ran);
  assertEquals(left, LEFT_OUT);
});
