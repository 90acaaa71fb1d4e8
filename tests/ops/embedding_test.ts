import { assert, assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { embedding, type EmbeddingIndex, embeddingIndex } from "../../src/ops/embedding.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { checkOp, runOp } from "../helpers/gpu.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { embedding as reference, embeddingGradient } from "../reference/embedding.ts";
import { asHalves } from "../helpers/halves.ts";
import { test } from "../helpers/test.ts";

/** The index of a batch on the GPU, with room for more than it needs. */
function uploadIndex(gpu: Gpu, tokens: Uint32Array): EmbeddingIndex {
  const { order, chunks, runs } = embeddingIndex(tokens);
  const dim = (name: string, used: number) => {
    const size = new Dim(name, used + 5);
    size.value = used;
    return size;
  };
  const chunkCount = dim("chunks", chunks.length / 2);
  const runCount = dim("runs", runs.length / 3);
  return {
    order: gpu.tensor([order.length], { data: order, dtype: "u32" }),
    chunks: gpu.tensor([chunkCount.capacity, 2], { data: chunks, dtype: "u32" }),
    chunkCount,
    runs: gpu.tensor([runCount.capacity, 3], { data: runs, dtype: "u32" }),
    runCount,
  };
}

test.onDevices("embedding() matches float64, forward and gradient", async (gpu) => {
  const cases = [[1, 1, 4], [3, 7, 64], [65, 5, 36], [257, 2, 260], [600, 40, 8]] as const;
  for (const [count, vocabulary, channels] of cases) {
    for (const [parameter, dtype] of [[false, "f32"], [true, "f32"], [true, "f16"]] as const) {
      const tokens = randomIntegers(1, count, vocabulary);
      await checkOp(gpu, `${count} of ${vocabulary} x ${channels} ${dtype}`, {
        inputs: {
          table: {
            shape: [vocabulary, channels],
            data: randomArray(2, vocabulary * channels),
            dtype,
            parameter,
          },
          tokens: { shape: [count], data: tokens, dtype: "u32" },
        },
        build: (plan, inputs) => ({
          y: embedding(plan, inputs.table!, inputs.tokens!, uploadIndex(gpu, tokens)),
        }),
        reference: ({ table }) => ({ y: reference(tokens, table!, channels) }),
        outputGradients: { y: randomArray(3, count * channels) },
      });
    }
  }
});

test.onDevices("embedding() gives every row of the table its whole gradient", async (gpu) => {
  const [count, vocabulary, channels] = [700, 13, 12];
  // Most tokens share an id, and some ids do not occur.
  const tokens = randomIntegers(4, count, vocabulary).map((id) => id % 3 === 0 ? id : 1);
  const dy = randomArray(5, count * channels);
  const { gradients } = await runOp(gpu, {
    inputs: {
      table: { shape: [vocabulary, channels], data: randomArray(6, vocabulary * channels) },
      tokens: { shape: [count], data: tokens, dtype: "u32" },
    },
    build: (plan, inputs) => ({
      y: embedding(plan, inputs.table!, inputs.tokens!, uploadIndex(gpu, tokens)),
    }),
    reference: () => ({}),
    outputGradients: { y: dy },
  });
  assertClose(gradients.table!, embeddingGradient(tokens, dy, vocabulary, channels), {
    tolerance: 1e-6,
  });
});

test.onDevices("embedding() looks tokens up through rows", async (gpu) => {
  const tokens = [3, 0, 6, 2, 5];
  const rows = [4, 4, 0, 2, 1, 3, 0, 2, 1];
  for (const dtype of ["f32", "f16", "bf16"] as const) {
    const data = randomArray(1, 7 * 12);
    const { outputs } = await runOp(gpu, {
      inputs: {
        table: { shape: [7, 12], data, dtype },
        tokens: { shape: [5], data: tokens, dtype: "u32" },
        rows: { shape: [9], data: rows, dtype: "u32" },
      },
      build: (plan, inputs) => ({
        y: embedding(plan, inputs.table!, inputs.tokens!, undefined, { rows: inputs.rows! }),
      }),
      reference: () => ({}),
    });
    const table = dtype === "f32" ? data : asHalves(data, dtype);
    const expected = reference(rows.map((r) => tokens[r]!), table, 12);
    assertEquals(outputs.y, Float32Array.from(expected));
  }
});

test.onDevices("embedding() reads the last row for an id beyond the table", async (gpu) => {
  const { outputs } = await runOp(gpu, {
    inputs: {
      table: { shape: [3, 4], data: randomArray(7, 12) },
      tokens: { shape: [2], data: [3, 0xffffffff], dtype: "u32" },
    },
    build: (plan, { table, tokens }) => ({ y: embedding(plan, table!, tokens!) }),
    reference: () => ({}),
  });
  const last = [...randomArray(7, 12).subarray(8)];
  assertEquals([...outputs.y!], [...last, ...last]);
});

Deno.test("embeddingIndex() covers each position once, one id per chunk, in order", () => {
  for (const [count, vocabulary] of [[1, 1], [300, 2], [1000, 900], [513, 30]] as const) {
    const tokens = randomIntegers(8, count, vocabulary);
    const { order, chunks, runs } = embeddingIndex(tokens);
    assertEquals([...order].sort((a, b) => a - b), [...order.keys()]);
    let at = 0;
    for (let p = 0; p < chunks.length; p += 2) {
      const [begin, end] = [chunks[p]!, chunks[p + 1]!];
      assertEquals(begin, at);
      assert(end > begin && end - begin <= 128);
      for (let i = begin + 1; i < end; i++) {
        assert(order[i]! > order[i - 1]!);
        assertEquals(tokens[order[i]!], tokens[order[begin]!]);
      }
      at = end;
    }
    assertEquals(at, count);
    let chunk = 0;
    let previous = -1;
    for (let r = 0; r < runs.length; r += 3) {
      assert(runs[r]! > previous);
      assertEquals(runs[r + 1], chunk);
      for (; chunk < runs[r + 2]!; chunk++) {
        assertEquals(tokens[order[chunks[2 * chunk]!]!], runs[r]);
      }
      previous = runs[r]!;
    }
    assertEquals(chunk, chunks.length / 2);
    assert(chunks.length / 2 <= count && runs.length / 3 <= Math.min(count, vocabulary));
  }
  assertEquals(embeddingIndex([]).chunks.length, 0);
});

Deno.test("embeddingIndex() leaves out an id whose row gets no gradient", () => {
  const { chunks, runs } = embeddingIndex([4, 1, 4, 7], 4);
  assertEquals([...chunks], [0, 1, 3, 4]);
  assertEquals([...runs], [1, 0, 1, 7, 1, 2]);
});

test.onDevices("embedding() refuses what it cannot look up", (gpu) => {
  const plan = new Plan(gpu, "p", { gradients: true });
  const ids = gpu.tensor([2], { dtype: "u32" });
  assertThrows(() => embedding(plan, gpu.tensor([3, 6]), ids), RangeError, "multiple of 4");
  assertThrows(() => embedding(plan, gpu.tensor([3, 4]), gpu.tensor([2])), TypeError, "u32");
  const table = gpu.tensor([3, 4], { name: "table" });
  table.grad = gpu.tensor([3, 4]);
  const y = embedding(plan, table, ids);
  plan.shareGradient(y, gpu.tensor([2, 4]));
  assertThrows(() => plan.backward(), TypeError, "EmbeddingIndex");
});
