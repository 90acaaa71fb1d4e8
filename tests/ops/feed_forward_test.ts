import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { feedForward } from "../../src/ops/feed_forward.ts";
import { checkOp, onEveryDevice, type OpCase, openAs, type OpInput } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { matmul } from "../reference/matmul.ts";
import { swiglu } from "../reference/swiglu.ts";

/** Tests with subgroups and without, with subgroups but without 64-bit integers, and as a graphics processor is given. */
const everywhere = {
  test(name: string, body: (gpu: Gpu) => Promise<void> | void): void {
    Deno.test(name, async (t) => {
      await onEveryDevice(t, async (gpu) => await body(gpu));
      const cases = [
        ["without 64-bit integers", { int64: false }],
        ["as with subgroups of four lanes", { subgroupSize: 4 }],
        ["as on a graphics processor", { isFallback: false }],
      ] as const;
      for (const [name, treatAs] of cases) {
        const gpu = await openAs(treatAs);
        if (!gpu) continue;
        await t.step(name, async () => await body(gpu));
        gpu.check();
        await gpu.close();
      }
    });
  },
};

interface Sizes {
  tokens: number;
  hidden: number;
  features: number;
}

function feedForwardCase({ tokens, hidden, features }: Sizes, parameter: boolean): OpCase {
  const data = (seed: number, rows: number, columns: number, scale = 1) => ({
    shape: [rows, columns],
    data: randomArray(seed, rows * columns, scale),
  });
  return {
    inputs: {
      x: data(1, tokens, hidden),
      gateUp: { ...data(2, 2 * features, hidden), parameter },
      down: { ...data(3, hidden, features), parameter },
    },
    build: (plan, { x, gateUp, down }) => ({ y: feedForward(plan, x!, gateUp!, down!) }),
    reference: ({ x, gateUp, down }) => {
      const [m, k] = [tokens, hidden];
      const both = matmul(x!, gateUp!, { m, n: 2 * features, k, transB: true });
      const act = swiglu(both, tokens, features);
      return { y: matmul(act, down!, { m, n: hidden, k: features, transB: true }) };
    },
    outputGradients: { y: randomArray(4, tokens * hidden) },
    coordinates: 24,
  };
}

const SIZES: Sizes[] = [
  { tokens: 1, hidden: 8, features: 8 },
  { tokens: 3, hidden: 16, features: 24 },
  { tokens: 17, hidden: 64, features: 40 },
  { tokens: 65, hidden: 40, features: 72 },
  { tokens: 130, hidden: 16, features: 88 },
  // Beside what the fused kernels take.
  { tokens: 9, hidden: 12, features: 20 },
  { tokens: 5, hidden: 24, features: 4 },
  { tokens: 33, hidden: 20, features: 16 },
];

for (const parameter of [false, true]) {
  const what = parameter ? "parameters" : "activations";
  everywhere.test(`feedForward() matches float64, forward and gradients of ${what}`, async (gpu) => {
    for (const sizes of SIZES) {
      await checkOp(gpu, JSON.stringify(sizes), feedForwardCase(sizes, parameter));
    }
  });
}

everywhere.test("feedForward() stays finite for large gates", async (gpu) => {
  const op = feedForwardCase({ tokens: 9, hidden: 8, features: 8 }, false);
  const x = (op.inputs.x!.data as Float32Array).map((v) => 1000 * v);
  await checkOp(gpu, "large gates", {
    ...op,
    inputs: { ...op.inputs, x: { shape: [9, 8], data: x } },
  });
});

everywhere.test("feedForward() gives the same bits with and without gradients, whatever the number of rows", async (gpu) => {
  const [hidden, features] = [64, 88];
  const values = randomArray(1, 200 * hidden);
  const gateUp = gpu.tensor([2 * features, hidden], {
    data: randomArray(2, 2 * features * hidden),
  });
  const down = gpu.tensor([hidden, features], { data: randomArray(3, hidden * features) });
  const results: number[][] = [];
  for (const [capacity, gradients] of [[200, true], [200, false], [9, false], [3, true]] as const) {
    const rows = new Dim("T", capacity);
    const plan = new Plan(gpu, "p", { gradients });
    const x = plan.input([rows, hidden], "x");
    plan.requireGradient(x);
    const y = plan.keep(feedForward(plan, x, gateUp, down));
    await plan.compile();
    gpu.write(x, values.subarray(0, capacity * hidden));
    rows.value = Math.min(capacity, 9);
    submit(gpu, [plan]);
    results.push([...(await readTensor(gpu, y)).subarray(0, 3 * hidden)]);
    plan.destroy();
  }
  for (const result of results.slice(1)) assertEquals(result, results[0]);
});

everywhere.test("feedForward() reads weights in f16", async (gpu) => {
  const op = feedForwardCase({ tokens: 19, hidden: 24, features: 16 }, true);
  const { x, gateUp, down } = op.inputs;
  // Multiples of 1/64 below 1 are halves exactly.
  const half = (weight: OpInput): OpInput => ({
    ...weight,
    data: Float32Array.from(weight.data, (v) => Math.round(v * 64) / 64),
    dtype: "f16",
  });
  await checkOp(gpu, "f16", { ...op, inputs: { x: x!, gateUp: half(gateUp!), down: half(down!) } });
});

everywhere.test("feedForward() refuses shapes that do not fit", (gpu) => {
  const plan = new Plan(gpu, "p");
  const refuses = (x: number[], gateUp: number[], down: number[]) =>
    assertThrows(
      () => feedForward(plan, gpu.tensor(x), gpu.tensor(gateUp), gpu.tensor(down)),
      RangeError,
      "got [",
    );
  refuses([2, 8], [16, 16], [8, 8]);
  refuses([2, 8], [24, 8], [8, 8]);
  refuses([2, 8], [16, 8], [8, 16]);
  refuses([2, 8, 1], [16, 8], [8, 8]);
});
