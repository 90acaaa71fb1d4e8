/**
 * Rows so long that one lane's walk over them would take more turns than some drivers allow: sizes just below and above
 * what old Mesa's llvmpipe ends loops at, 65,535 turns of all loops of an invocation together.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { attentionDecode } from "../../src/ops/attention_decode.ts";
import { logProb } from "../../src/ops/log_prob.ts";
import { matmul } from "../../src/ops/matmul/linear.ts";
import { reduceMax, reduceSum } from "../../src/ops/general/reduce.ts";
import { rmsNorm } from "../../src/ops/rms_norm.ts";
import { sample } from "../../src/ops/sample.ts";
import { softmax } from "../../src/ops/general/softmax.ts";
import { sideBySide } from "../../src/ops/side_by_side.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";
import { progress } from "../helpers/side_by_side.ts";

/** What old Mesa's llvmpipe ends loops at, less what a plan leaves for the rest of a kernel. */
const TURNS = 65_535 - 4096;

/** Two walks of a lane of its own by eights; of eight lanes by ones; the vocabularies of Qwen2.5 and Gemma. */
const WIDTHS = [151_936, 262_144, 524_296];

async function run(gpu: Gpu, plan: Plan, outputs: readonly Tensor[]) {
  await plan.compile();
  submit(gpu, [plan]);
  const values = [];
  for (const output of outputs) values.push(await readTensor(gpu, output));
  plan.destroy();
  return values;
}

/** Softmax, its sum's logarithm and its entropy in float64. */
function distribution(row: ArrayLike<number>) {
  const z = Float64Array.from(row);
  const top = z.reduce((m, v) => Math.max(m, v), -Infinity);
  const total = z.reduce((n, v) => n + Math.exp(v - top), 0);
  const p = z.map((v) => Math.exp(v - top) / total);
  const logTotal = top + Math.log(total);
  return { p, logTotal, entropy: p.reduce((h, p, i) => h - p * (z[i]! - logTotal), 0) };
}

test.onDevices("softmax and log-probabilities of very long rows are whole", async (gpu) => {
  for (const width of WIDTHS) {
    const row = randomArray(width, width, 4);
    const { p, logTotal, entropy } = distribution(row);
    const logits = gpu.tensor([1, width], { data: row });
    const plan = new Plan(gpu, "walk", { gradients: true });
    const seed = gpu.tensor([1], { data: [1] });
    const index = (data: number[]) => gpu.tensor([data.length], { data, dtype: "u32" });
    plan.requireGradient(logits);
    const y = plan.keep(softmax(plan, logits));
    const target = width - 1;
    const scored = logProb(plan, logits, {
      rowOffsets: index([0, 1]),
      rowItems: index([0]),
      itemTargets: index([target]),
      items: new Dim("items", 1),
    }, { temperature: 1 });
    plan.shareGradient(scored.logProbs, seed);
    plan.backward();
    const gradient = plan.keep(plan.gradientOf(logits)!);
    const [softmaxed, logProbs, entropies, dlogits] = await run(gpu, plan, [
      y,
      plan.keep(scored.logProbs),
      plan.keep(scored.entropies),
      gradient,
    ]);
    assertClose(softmaxed!, p, { tolerance: 1e-5, label: `softmax of ${width}` });
    assertClose(logProbs!, [row[target]! - logTotal], {
      tolerance: 1e-5,
      label: `log p of ${width}`,
    });
    assertClose(entropies!, [entropy], { tolerance: 1e-5, label: `entropy of ${width}` });
    const expected = p.map((p, i) => (i === target ? 1 : 0) - p);
    assertClose(dlogits!, expected, { tolerance: 1e-5, label: `gradient of ${width}` });
    for (const tensor of [logits, seed]) gpu.destroyTensor(tensor);
  }
});

test.onDevices("samples from very long rows have the log-probability of their token", async (gpu) => {
  for (const width of WIDTHS) {
    for (const temperature of [0, 1]) {
      const row = randomArray(3 * width, width, 4);
      row[width - 1] = temperature === 0 ? 24 : 60; // the last is the one to find
      const { p, logTotal, entropy } = distribution(row);
      const tensor = (dtype: "f32" | "u32", shape: number[], data: ArrayLike<number> = []) =>
        gpu.tensor(shape, { dtype, data });
      const state = {
        tokens: tensor("u32", [1, 2]),
        logProbs: tensor("f32", [1, 2]),
        entropySums: tensor("f32", [1]),
        ...progress(gpu, 1),
      };
      const plan = new Plan(gpu, "sample");
      const logits = tensor("f32", [1, width], row);
      const zero = tensor("u32", [1], [0]);
      sample(plan, logits, { rows: zero, slots: zero }, state, {
        temperature,
        seed: 1,
        step: 1,
        limit: 2,
        eosTokenIds: tensor("u32", [1], [0]),
      });
      const [tokens, logProbs, entropies] = await run(gpu, plan, [
        state.tokens,
        state.logProbs,
        state.entropySums,
      ]);
      const label = `${width} at temperature ${temperature}`;
      assertEquals(tokens![0], width - 1, label);
      assertClose([logProbs![0]!], [row[width - 1]! - logTotal], {
        tolerance: 1e-5,
        scale: 1,
        label: `log p, ${label}`,
      });
      assertClose([entropies![0]!], [entropy], {
        tolerance: 1e-5,
        scale: 10,
        label: `entropy, ${label}`,
      });
      assert(p[width - 1]! > 0.01);
      gpu.destroyTensor(logits);
    }
  }
});

test.onDevices("reductions of long rows and many rows are whole", async (gpu) => {
  const cases = [
    [1, 500_001, ["all", "rows"]],
    [2, 70_001, ["rows"]],
    [262_200, 16, ["columns"]],
  ] as const;
  for (const [rows, columns, axes] of cases) {
    const data = randomArray(rows, rows * columns).map((v) => v + 1);
    const x = gpu.tensor([rows, columns], { data });
    for (const axis of axes) {
      const kept = axis === "all" ? 1 : axis === "rows" ? rows : columns;
      const expected = new Float64Array(kept);
      const largest = new Float64Array(kept).fill(-Infinity);
      for (let i = 0; i < data.length; i++) {
        const to = axis === "all" ? 0 : axis === "rows" ? Math.floor(i / columns) : i % columns;
        expected[to]! += data[i]!;
        largest[to] = Math.max(largest[to]!, data[i]!);
      }
      const plan = new Plan(gpu, "reduce");
      const [sum, max] = await run(gpu, plan, [
        plan.keep(reduceSum(plan, x, axis)),
        plan.keep(reduceMax(plan, x, axis)),
      ]);
      const label = `${axis} of ${rows} x ${columns}`;
      assertClose(sum!, expected, { tolerance: 1e-5, label: `sum, ${label}` });
      assertEquals([...max!], [...Float32Array.from(largest)], `max, ${label}`);
    }
    gpu.destroyTensor(x);
  }
});

/**
 * Holds that sizes give a right result, but those beyond what the driver lets loops take, which are refused by name.
 *
 * @param below The largest size that {@linkcode TURNS} allow.
 * @param record Records a plan of a size and returns how to check it.
 */
async function justBelowAndAbove(
  gpu: Gpu,
  below: number,
  record: (plan: Plan, size: number) => () => Promise<void>,
): Promise<void> {
  // The last is beyond what such a driver does, and not only beyond what a plan asks of it.
  for (const size of [below, below + 1, Math.ceil(below * 65_600 / TURNS)]) {
    const plan = new Plan(gpu, "walk", { gradients: true });
    if (size > below && gpu.loopLimit < Infinity) {
      assertThrows(() => record(plan, size), RangeError, "its loops take up to ");
      plan.destroy();
    } else {
      await record(plan, size)();
    }
  }
}

/** Attention of a query in float64, and the gradient with regard to it. */
function attended(
  query: ArrayLike<number>,
  { keys, values, dout }: { keys: Float32Array; values: Float32Array; dout: ArrayLike<number> },
) {
  const D = query.length;
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>, at: number) => {
    let total = 0;
    for (let d = 0; d < D; d++) total += a[d]! * b[at + d]!;
    return total;
  };
  const n = keys.length / D;
  const scores = new Float64Array(n);
  for (let i = 0; i < n; i++) scores[i] = dot(query, keys, i * D) / Math.sqrt(D);
  const { p } = distribution(scores);
  const mean = (of: (i: number, d: number) => number) => {
    const sums = new Float64Array(D);
    for (let i = 0; i < n; i++) for (let d = 0; d < D; d++) sums[d]! += p[i]! * of(i, d);
    return sums;
  };
  const out = mean((i, d) => values[i * D + d]!);
  const along = dot(dout, out, 0);
  const gradient = mean((i, d) => (dot(dout, values, i * D) - along) * keys[i * D + d]!);
  return { out, gradient: gradient.map((g) => g / Math.sqrt(D)) };
}

/** Numbers per head. */
const D = 4;

/** Keys and values of which one in 997 counts, and the last few together as much as all before them. */
function history(tokens: number, last: number) {
  const [keys, values] = [1, 2].map((seed) => {
    const some = Float32Array.from(randomArray(seed, 1021 * D));
    const all = new Float32Array(tokens * D);
    all.set(some.subarray(0, all.length));
    for (let n = some.length; n < all.length; n *= 2) all.copyWithin(n, 0, n);
    return all;
  }) as [Float32Array, Float32Array];
  // A lane adds up to 60,000 numbers: were all of one size, float32 would keep four digits of the sum.
  for (let i = 0; i < tokens; i++) if (i % 997 !== 0) keys[i * D] = -6;
  for (let i = tokens - last; i < tokens; i++) keys.set([3.5, 0, 0, 0], i * D);
  return { keys, values, query: [6, 0.5, -0.5, 1], dout: [1, -2, 0.5, 3] };
}

/** Copies heads, one after the other, to places `width` numbers apart. */
function spread(heads: Float32Array, to: Float32Array, width: number, offset: number): void {
  for (let i = 0; i < heads.length; i++) to[Math.floor(i / D) * width + offset + i % D] = heads[i]!;
}

test.onDevices("attention over very long texts sees all of them", async (gpu) => {
  const perTurn = gpu.traits.shuffles && gpu.traits.lanes > 4 ? 8 : 4;
  await justBelowAndAbove(gpu, perTurn * TURNS, (plan, T) => {
    const tile = gpu.traits.attentionTile;
    const { keys, values, query, dout } = history(T, tile);
    // Queries of the last tile alone: work that the size does not square.
    const [first, width] = [T - tile, 3 * D];
    const data = new Float32Array(T * width);
    for (let i = first; i < T; i++) data.set(query, i * width);
    spread(keys, data, width, D);
    spread(values, data, width, 2 * D);
    const ids = (shape: number[], data: number[]) => gpu.tensor(shape, { dtype: "u32", data });
    const qkv = gpu.tensor([T, width], { data });
    plan.requireGradient(qkv);
    const out = plan.keep(attention(plan, qkv, {
      segments: ids([5], [0, T, 0, 0, T]),
      tiles: ids([2], [0, first]),
      tileCount: new Dim("tiles", 1),
      pairs: new Dim("pairs", T),
      positions: ids([1], [0]),
    }, { heads: 1, keyValueHeads: 1, headDim: D }));
    const seed = gpu.tensor([T * D]);
    gpu.write(seed, dout, (T - 1) * D);
    plan.shareGradient(out, seed);
    plan.backward();
    const gradient = plan.keep(plan.gradientOf(qkv)!);
    return async () => {
      const [outs, gradients] = await run(gpu, plan, [out, gradient]);
      const expected = attended(query, { keys, values, dout });
      assertClose(outs!.subarray((T - 1) * D), expected.out, { tolerance: 1e-5, label: `${T}` });
      const at = (T - 1) * width;
      assertClose(gradients!.subarray(at, at + D), expected.gradient, {
        tolerance: 2e-5,
        scale: 1, // terms of that size cancel
        label: `gradient of ${T}`,
      });
      for (const tensor of [qkv, seed]) gpu.destroyTensor(tensor);
    };
  });
});

test.onDevices("decoding after very long prompts sees all of them", async (gpu) => {
  const { lanes, turns, shuffles } = gpu.traits;
  const record = (plan: Plan, P: number, way: "keys" | "rows") => {
    const { keys, values, query, dout } = history(P + 1, 1 + lanes);
    const prompts = new Float32Array(P * 2 * D);
    spread(keys.subarray(0, P * D), prompts, 2 * D, 0);
    spread(values.subarray(0, P * D), prompts, 2 * D, D);
    const own = [...keys.subarray(P * D), ...values.subarray(P * D)];
    const ids = (shape: number[], data: number[]) => gpu.tensor(shape, { dtype: "u32", data });
    const tensors = [
      gpu.tensor([1, 3 * D], { data: [...query, ...own] }),
      gpu.tensor([P, 2 * D], { data: prompts }),
    ] as const;
    const { lengths, finished } = progress(gpu, 1);
    gpu.write(lengths, [1]);
    const out = plan.keep(attentionDecode(plan, {
      qkv: tensors[0],
      slots: ids([1], [0]),
      prompts: tensors[1],
      promptRanges: ids([1, 2], [0, P]),
      cache: gpu.tensor([1, 1, 1, 2, D]),
      lengths,
      finished,
    }, { heads: 1, keyValueHeads: 1, headDim: D }));
    const [label] = [...plan].map(({ kernel }) => kernel.label);
    assert(label?.startsWith(`attention_decode/${way}`), `${P}: ${label}`);
    return async () => {
      const [outs] = await run(gpu, plan, [out]);
      const expected = attended(query, { keys, values, dout });
      assertClose(outs!, expected.out, { tolerance: 1e-5, label: `${P} by ${way}` });
      for (const tensor of tensors) gpu.destroyTensor(tensor);
    };
  };
  if (shuffles && turns < Infinity) {
    // Rows for as long as a lane's own walk is short enough.
    const most = (turns - 2 * lanes - 1) * Math.min(lanes, 8);
    await record(new Plan(gpu, "rows"), most, "rows")();
    await record(new Plan(gpu, "keys"), most + 1, "keys")();
  }
  const most = (TURNS - 1 - D) * lanes;
  // A device of wide teams would need gigabytes.
  if (lanes <= 16) await justBelowAndAbove(gpu, most, (plan, P) => record(plan, P, "keys"));
  else await record(new Plan(gpu, "keys"), 8 * TURNS, "keys")();
});

test.onGpu("the gradient of norms reaches every row of a large batch", async (gpu) => {
  const [rows, width] = [10_240, 1664];
  // Rows of ones whose gradient is 1 at the first place: all have the same, 1 / rstd aside.
  const data = new Float32Array(rows * width).fill(1);
  const x = gpu.tensor([rows, width], { data });
  data.fill(0);
  for (let row = 0; row < rows; row++) data[row * width] = 1;
  const dnormed = gpu.tensor([rows, width], { data });
  const weight = gpu.tensor([width], { data: new Float32Array(width).fill(1) });
  weight.grad = gpu.tensor([width]);
  const plan = new Plan(gpu, "norm", { gradients: true });
  plan.requireGradient(x);
  const { normed } = rmsNorm(plan, x, weight, { eps: 0 });
  plan.shareGradient(normed, dnormed);
  plan.backward();
  const dx = plan.keep(plan.gradientOf(x)!);
  const [values, dweight] = await run(gpu, plan, [dx, weight.grad]);
  const wrong = Array.from({ length: rows }, (_, row) => row)
    .filter((row) => Math.abs(values![row * width]! - (1 - 1 / width)) > 1e-5);
  assertEquals(wrong.length, 0);
  assertEquals([...dweight!.subarray(0, 3)], [rows, 0, 0]);
});

test.onGpu("what would take more turns than the driver lets loops take is refused by name", (gpu) => {
  if (gpu.loopLimit < Infinity) {
    const rehearsal = gpu.rehearsal();
    const plan = new Plan(rehearsal, "long");
    const ids = (shape: number[]) => plan.input(shape, "ids", "u32");
    const refused = (record: () => void, label: string) =>
      assertThrows(record, RangeError, `${label}: its loops take up to `);
    refused(() => {
      const [a, b] = [plan.input([8, 9_000_001], "a"), plan.input([9_000_001, 8], "b")];
      matmul(plan, a, b);
    }, "matmul.forward");
    refused(() => {
      attention(plan, plan.input([600_000, 48], "qkv"), {
        segments: ids([5]),
        tiles: ids([2]),
        tileCount: new Dim("tiles", 1),
        pairs: new Dim("pairs", 1),
        positions: ids([600_000]),
      }, { heads: 1, keyValueHeads: 1, headDim: 16 });
    }, "attention.forward");
    refused(() => {
      attentionDecode(plan, {
        qkv: plan.input([1, 48], "qkv"),
        slots: ids([1]),
        prompts: plan.input([600_000, 48], "prompts"),
        promptRanges: ids([1, 2]),
        cache: plan.input([1, 1, 600_000, 2, 16], "cache"),
        ...sideBySide(["lengths", "finished"], 1, (shape) => plan.input(shape, "ids", "u32")),
      }, { heads: 1, keyValueHeads: 1, headDim: 16 });
    }, "attention.decode");
  }
});
