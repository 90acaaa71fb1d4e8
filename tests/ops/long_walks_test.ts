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

test.onGpu("the gradient of norms reaches every row of a large batch", async (gpu) => {
  const [rows, width] = [10_240, 1664];
  const x = gpu.tensor([rows, width]);
  const dnormed = gpu.tensor([rows, width]);
  // Rows of ones whose gradient is 1 at the first place: all have the same, 1 / rstd aside.
  const ones = new Float32Array(width).fill(1);
  for (let row = 0; row < rows; row++) {
    gpu.write(x, ones, row * width);
    gpu.write(dnormed, [1], row * width);
  }
  const weight = gpu.tensor([width], { data: ones });
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
