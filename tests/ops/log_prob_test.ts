import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { logProb } from "../../src/ops/log_prob.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { checkOp, type OpInput, runOp } from "../helpers/gpu.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { atScoredTokens, loadTinyQwen2, scoredTokens } from "../helpers/tiny_qwen2.ts";
import { logProb as reference } from "../reference/log_prob.ts";
import { test } from "../helpers/test.ts";

/** Items scattered over rows: some rows have none, some several, some several with one target. */
function scatter(seed: number, rows: number, vocabulary: number, items: number) {
  const itemRows = randomIntegers(seed, items, rows);
  const targets = randomIntegers(seed + 1, items, vocabulary);
  for (let i = 3; i < items; i += 5) {
    itemRows[i] = itemRows[i - 1]!;
    targets[i] = targets[i - 1]!;
  }
  const order = Array.from({ length: items }, (_, i) => i)
    .sort((a, b) => itemRows[a]! - itemRows[b]! || a - b);
  const offsets = Array.from(
    { length: rows + 1 },
    (_, r) => order.filter((i) => itemRows[i]! < r).length,
  );
  const table: Record<string, OpInput> = {
    offsets: { shape: [rows + 1], data: offsets, dtype: "u32" },
    order: { shape: [items], data: order, dtype: "u32" },
    targets: { shape: [items], data: targets, dtype: "u32" },
  };
  return { table, targets, itemRows };
}

function record(plan: Plan, t: Record<string, Tensor>, temperature: number) {
  return logProb(plan, t.logits!, {
    rowOffsets: t.offsets!,
    rowItems: t.order!,
    itemTargets: t.targets!,
    items: new Dim("items", t.targets!.capacity),
  }, { temperature: () => temperature });
}

const SIZES = [[1, 7, 1], [3, 2, 4], [65, 64, 63], [17, 257, 64], [5, 1003, 9]] as const;

for (const used of ["both", "logProbs", "entropies"] as const) {
  test.onDevices(`logProb() matches float64, with gradients of ${used}`, async (gpu) => {
    for (const [rows, vocabulary, items] of SIZES) {
      for (const temperature of used === "both" ? [1, 0.7] : [1.3]) {
        const { table, targets, itemRows } = scatter(rows, rows, vocabulary, items);
        await checkOp(gpu, `${rows} x ${vocabulary}, ${items} items`, {
          inputs: {
            logits: {
              shape: [rows, vocabulary],
              data: randomArray(1, rows * vocabulary, 3),
              parameter: temperature === 0.7,
            },
            ...table,
          },
          build: (plan, tensors) => {
            const { logProbs, entropies } = record(plan, tensors, temperature);
            return { logProbs, entropies };
          },
          reference: ({ logits }) =>
            reference(logits!, { vocabulary, targets, rows: itemRows, temperature }),
          outputGradients: {
            ...(used !== "entropies" ? { logProbs: randomArray(2, items) } : {}),
            ...(used !== "logProbs" ? { entropies: randomArray(3, items) } : {}),
          },
        });
      }
    }
  });
}

test.onDevices("logProb() is accurate at a real vocabulary's size and for a sure token", async (gpu) => {
  const vocabulary = 151_937;
  const logits = randomArray(1, 2 * vocabulary, 2);
  logits[vocabulary + 77] = 60; // far above all others: ln p is tiny and the entropy with it
  const targets = [151_936, 77, 5];
  const itemRows = [0, 1, 1];
  const { outputs } = await checkOp(gpu, "large", {
    inputs: {
      logits: { shape: [2, vocabulary], data: logits },
      offsets: { shape: [3], data: [0, 1, 3], dtype: "u32" },
      order: { shape: [3], data: [0, 1, 2], dtype: "u32" },
      targets: { shape: [3], data: targets, dtype: "u32" },
    },
    build: (plan, tensors) => ({ ...record(plan, tensors, 1) }),
    reference: ({ logits }) => reference(logits!, { vocabulary, targets, rows: itemRows }),
  });
  assertEquals(outputs.logProbs![1], 0);
});

test.onDevices("logProb() gives PyTorch's log-probabilities and entropies of the tiny policy", async (gpu) => {
  const fixture = loadTinyQwen2();
  const { truth, oracle } = fixture;
  const logits = truth.get("logits")!;
  const vocabulary = logits.shape[2]!;
  const rows = logits.data.length / vocabulary;
  const scored = scoredTokens(fixture);
  const n = scored.rows.length;
  const rowOffsets = Array.from(
    { length: rows + 1 },
    (_, r) => scored.rows.filter((row) => row < r).length,
  );
  for (const [temperature, suffix] of [[1, ""], [oracle.temperature, "_temperature"]] as const) {
    const { outputs } = await runOp(gpu, {
      inputs: {
        logits: { shape: [rows, vocabulary], data: logits.data },
        offsets: { shape: [rows + 1], data: rowOffsets, dtype: "u32" },
        order: { shape: [n], data: scored.rows.map((_, i) => i), dtype: "u32" },
        targets: { shape: [n], data: scored.targets, dtype: "u32" },
      },
      build: (plan, tensors) => ({ ...record(plan, tensors, temperature) }),
      reference: () => ({}),
    });
    for (const [output, name] of [["logProbs", "log_probs"], ["entropies", "entropy"]] as const) {
      const wanted = atScoredTokens(truth.get(name + suffix)!, scored);
      assertClose(outputs[output]!, wanted, { tolerance: 1e-6, label: name + suffix });
    }
  }
});

test.onDevices("logProb() writes a gradient of zero to rows without items", async (gpu) => {
  const { gradients } = await runOp(gpu, {
    inputs: {
      logits: { shape: [3, 5], data: randomArray(1, 15) },
      offsets: { shape: [4], data: [0, 0, 2, 2], dtype: "u32" },
      order: { shape: [2], data: [0, 1], dtype: "u32" },
      targets: { shape: [2], data: [4, 4], dtype: "u32" },
    },
    build: (plan, tensors) => ({ ...record(plan, tensors, 1) }),
    reference: () => ({}),
    outputGradients: { logProbs: [1, 2] },
  });
  const d = Array.from(gradients.logits!);
  assertEquals(d.slice(0, 5), [0, 0, 0, 0, 0]);
  assertEquals(d.slice(10), [0, 0, 0, 0, 0]);
  assertEquals(d.slice(5, 10).every((x) => x !== 0), true);
});

test.onDevices("logProb() leaves logits of -inf out, and does not hide a NaN", async (gpu) => {
  const { outputs, gradients } = await runOp(gpu, {
    inputs: {
      logits: { shape: [2, 3], data: [0, -Infinity, 0, 1, NaN, 2] },
      offsets: { shape: [3], data: [0, 1, 2], dtype: "u32" },
      order: { shape: [2], data: [0, 1], dtype: "u32" },
      targets: { shape: [2], data: [2, 2], dtype: "u32" },
    },
    build: (plan, tensors) => ({ ...record(plan, tensors, 1) }),
    reference: () => ({}),
    outputGradients: { logProbs: [1, 1], entropies: [1, 1] },
  });
  assertEquals(Math.abs(outputs.logProbs![0]! + Math.LN2) < 1e-6, true);
  assertEquals(Math.abs(outputs.entropies![0]! - Math.LN2) < 1e-6, true);
  assertEquals(Math.abs(gradients.logits![1]!), 0);
  assertEquals(Number.isNaN(outputs.logProbs![1]), true);
  assertEquals(Number.isNaN(outputs.entropies![1]), true);
});

test.onDevices("logProb() refuses tables that are too short and a temperature of 0", (gpu) => {
  const plan = new Plan(gpu, "p");
  const scored = {
    rowOffsets: gpu.tensor([3], { dtype: "u32" }),
    rowItems: gpu.tensor([4], { dtype: "u32" }),
    itemTargets: gpu.tensor([4], { dtype: "u32" }),
    items: new Dim("items", 4),
  };
  assertThrows(
    () => logProb(plan, gpu.tensor([3, 5]), scored, { temperature: 1 }),
    RangeError,
    "rowOffsets (T + 1)",
  );
  assertThrows(
    () => logProb(plan, gpu.tensor([2, 5]), scored, { temperature: 0 }),
    RangeError,
    "greater than 0",
  );
});
