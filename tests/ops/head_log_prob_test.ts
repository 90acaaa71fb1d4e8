import { assert, assertEquals, assertThrows } from "@std/assert";
import { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { vocabularyRanges } from "../../src/ops/head.ts";
import { headLogProb } from "../../src/ops/head_log_prob.ts";
import { checkOp, onEveryDevice, type OpCase, type OpInput, runOp } from "../helpers/gpu.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { logProb as reference } from "../reference/log_prob.ts";
import { matmul } from "../reference/matmul.ts";
import { test } from "../helpers/test.ts";

/** Items in the order of their rows: some rows have none, some several, some two with one target. */
function scatter(rows: number, vocabulary: number, items: number) {
  const itemRows = Array.from(randomIntegers(7, items, rows)).sort((a, b) => a - b);
  const targets = Array.from(randomIntegers(8, items, vocabulary));
  for (let i = 3; i < items; i += 5) targets[i] = targets[i - 1]!;
  targets[0] = vocabulary - 1;
  const offsets = Array.from(
    { length: rows + 1 },
    (_, r) => itemRows.filter((row) => row < r).length,
  );
  const table: Record<string, OpInput> = {
    offsets: { shape: [rows + 1], data: offsets, dtype: "u32" },
    order: { shape: [items], data: itemRows.map((_, i) => i), dtype: "u32" },
    targets: { shape: [items], data: targets, dtype: "u32" },
  };
  return { table, targets, itemRows };
}

interface Size {
  rows: number;
  inner: number;
  vocabulary: number;
  items: number;
}

/** The head over so many bytes of logits at once. */
function headCase(
  { rows, inner, vocabulary, items }: Size,
  how: {
    maxBytes: number;
    /** Default 0: logits of several ranges are made again. */
    keptBytes?: number;
    temperature?: number;
    dtype?: "f32" | "f16";
    parameter?: boolean;
    /** Leave out a token that is no target, from the second range on. */
    excludes?: boolean;
  },
): OpCase {
  const { maxBytes, keptBytes = 0, temperature = 1, dtype = "f32", parameter = true } = how;
  const { table, targets, itemRows } = scatter(rows, vocabulary, items);
  const free = Array.from({ length: vocabulary }, (_, id) => id)
    .find((id) => id >= 70 && !targets.includes(id));
  const excludedToken = how.excludes ? free : undefined;
  return {
    inputs: {
      hidden: { shape: [rows, inner], data: randomArray(1, rows * inner) },
      weight: {
        shape: [vocabulary, inner],
        data: randomArray(2, vocabulary * inner),
        dtype,
        parameter,
      },
      ...table,
    },
    build: (plan, t) => {
      const { logProbs, entropies } = headLogProb(plan, t.hidden!, t.weight!, {
        rowOffsets: t.offsets!,
        rowItems: t.order!,
        itemTargets: t.targets!,
        items: new Dim("items", items),
      }, { temperature: () => temperature, maxBytes, keptBytes, excludedToken });
      return { logProbs, entropies };
    },
    reference: ({ hidden, weight }) => {
      const logits = matmul(hidden!, weight!, { m: rows, n: vocabulary, k: inner, transB: true });
      for (let r = 0; excludedToken !== undefined && r < rows; r++) {
        logits[r * vocabulary + excludedToken] = -1e30;
      }
      return { ...reference(logits, { vocabulary, targets, rows: itemRows, temperature }) };
    },
    outputGradients: { logProbs: randomArray(3, items), entropies: randomArray(4, items) },
  };
}

test.onDevices("headLogProb() in ranges of the vocabulary matches float64, with its gradients", async (gpu) => {
  for (
    const [rows, inner, vocabulary, items] of [[9, 8, 203, 14], [17, 20, 320, 30], [3, 64, 1000, 2]]
  ) {
    const size = { rows: rows!, inner: inner!, vocabulary: vocabulary!, items: items! };
    for (
      const how of [
        { maxBytes: 1 },
        { maxBytes: 4 * rows! * 130, temperature: 0.7 },
        { maxBytes: 1, parameter: false },
        { maxBytes: 1, temperature: 0.7, excludes: true },
        { maxBytes: 2 ** 20, excludes: true },
        { maxBytes: 1, keptBytes: 2 ** 20, excludes: true },
      ]
    ) {
      const label = `${rows} x ${inner} x ${vocabulary}, ${JSON.stringify(how)}`;
      await checkOp(gpu, label, { ...headCase(size, how), coordinates: 24 });
    }
    await checkOp(gpu, `${rows} rows, f16`, headCase(size, { maxBytes: 1, dtype: "f16" }));
  }
});

Deno.test("headLogProb() gives the same scores and gradients to the bit however the vocabulary is cut", async (t) => {
  const compare = async (gpu: Gpu) => {
    for (
      const size of [
        { rows: 12, inner: 16, vocabulary: 1024, items: 20 },
        // Products cut over tokens too, and no multiples of eight.
        { rows: 700, inner: 20, vocabulary: 330, items: 90 },
      ]
    ) {
      const whole = await runOp(gpu, headCase(size, { maxBytes: 2 ** 20 }));
      for (const columns of [512, 256, 128, 64]) {
        for (const keptBytes of [0, 2 ** 20]) {
          const cut = headCase(size, { maxBytes: 4 * size.rows * columns, keptBytes });
          assertEquals(await runOp(gpu, cut), whole, `${columns} of ${size.vocabulary}`);
        }
      }
    }
  };
  await onEveryDevice(t, compare);
  await t.step("with the kernels of a graphics processor", async () => {
    const gpu = await openGpu({ treatAs: { isFallback: false } });
    await compare(gpu);
    await gpu.close();
  });
});

/** A device that exists on paper only. */
async function paperDevice(bound: number): Promise<Gpu> {
  const limits = { maxStorageBufferBindingSize: bound, maxBufferSize: 2 ** 40 };
  const device = { limits, features: new Set() };
  return await Gpu.fromDevice(dryDevice(device as unknown as GPUDevice));
}

/** The head's dispatches on 8192 tokens, and the bytes that its plan takes. */
async function paperPlan(vocabulary: number, options: { keptBytes?: number } = {}) {
  const gpu = await paperDevice(2 ** 27);
  const plan = new Plan(gpu, "p", { gradients: true });
  const rows = new Dim("tokens", 8192);
  const u32 = (length: number, name: string): Tensor => plan.input([length], name, "u32");
  const hidden = plan.input([rows, 896], "hidden");
  plan.requireGradient(hidden);
  const weight = gpu.tensor([vocabulary, 896], { name: "head", dtype: "f16" });
  const before = gpu.counters.bytesAllocated;
  const items = new Dim("items", 8192);
  const { logProbs } = headLogProb(plan, hidden, weight, {
    rowOffsets: u32(8193, "offsets"),
    rowItems: u32(8192, "order"),
    itemTargets: u32(8192, "targets"),
    items,
  }, { temperature: 1, ...options });
  plan.shareGradient(logProbs, plan.input([items], "seed"));
  plan.backward();
  await plan.compile();
  const bytes = gpu.counters.bytesAllocated - before;
  const [largest] = gpu.buffers.filter(({ label }) => label !== "head");
  return { bytes, largest: largest!, labels: [...plan].map(({ label }) => label) };
}

Deno.test("headLogProb() holds a fixed amount of memory, whatever the vocabulary", async () => {
  // Hidden states and their gradient, logits of one range, what lanes know of a row; a uniform slot for each dispatch.
  const most = 2 * 4 * 8192 * 896 + 2 ** 26 + 8192 * 64 * 3 * 4 + 2 ** 20;
  for (const vocabulary of [32_000, 151_936]) {
    const { bytes, largest } = await paperPlan(vocabulary);
    assert(bytes <= most, `${bytes}, ${most}`);
    assert(largest.size <= 2 ** 26, `${largest.label} ${largest.size}`);
  }
});

Deno.test("headLogProb() makes logits again only where all are too many to keep", async () => {
  const again = async (vocabulary: number, options?: { keptBytes: number }) =>
    (await paperPlan(vocabulary, options)).labels
      .filter((label) => label === "lm_head.again").length;
  const all = 4 * 8192 * 32_000;
  assertEquals(await again(32_000, { keptBytes: all }), 0);
  assertEquals(await again(32_000, { keptBytes: all - 1 }), 16);
  // By default 256 MiB.
  assertEquals(await again(8192), 0);
  assertEquals(await again(8200), 5);
});

Deno.test("vocabularyRanges() cuts at multiples of 64 what cannot be bound, and says so where nothing fits", async () => {
  const gpu = await paperDevice(2 ** 14);
  const weight = gpu.tensor([1000, 16], { name: "lm_head.weight" });
  assertEquals(vocabularyRanges(gpu, 4, weight), [
    { first: 0, width: 256 },
    { first: 256, width: 256 },
    { first: 512, width: 256 },
    { first: 768, width: 232 },
  ]);
  assertEquals(vocabularyRanges(gpu, 1, gpu.tensor([200, 4])), [{ first: 0, width: 200 }]);
  assertThrows(() => vocabularyRanges(gpu, 65, weight), RangeError, "Lower maxTokensPerMicroBatch");
});
