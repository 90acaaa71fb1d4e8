import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { linear, matmul } from "../../src/ops/matmul/linear.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { checkOp, onEveryDevice as onBothDevices, runOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { matmul as reference } from "../reference/matmul.ts";
import { asHalves } from "../helpers/halves.ts";

/**
 * Every path the kernels have: with subgroups where the device has them, and without; with subgroups but without 64-bit
 * integers; and what a graphics processor would be given.
 */
async function onEveryDevice(t: Deno.TestContext, body: (gpu: Gpu) => Promise<void>) {
  await onBothDevices(t, async (gpu) => await body(gpu));
  for (
    const [name, treatAs] of [
      ["without 64-bit integers", { int64: false }],
      ["as on a graphics processor", { isFallback: false }],
    ] as const
  ) {
    const gpu = await openGpu({ treatAs });
    await t.step(name, () => body(gpu));
    gpu.check();
    await gpu.close();
  }
}

/** Sizes that touch every edge: one element, vectors, tiles, and one more or less than each. */
const SIZES: readonly (readonly [m: number, n: number, k: number])[] = [
  [1, 1, 1],
  [1, 4, 4],
  [3, 7, 5],
  [8, 32, 64],
  [9, 36, 12],
  [17, 13, 64],
  [32, 96, 128],
  [63, 65, 63],
  [65, 64, 257],
  [65, 72, 40],
  [64, 64, 64],
  [100, 132, 68],
  [257, 96, 4],
  [257, 260, 36],
  [1, 128, 8],
  [9, 136, 128],
  [65, 200, 24],
  [1, 1, 1000],
];

for (const transA of [false, true]) {
  for (const transB of [false, true]) {
    const name = `op(a) = a${transA ? "ᵀ" : ""}, op(b) = b${transB ? "ᵀ" : ""}`;
    Deno.test(`matmul() with ${name} matches float64, forward and gradients`, async (t) => {
      await onEveryDevice(t, async (gpu) => {
        for (const [m, n, k] of SIZES) {
          const a = randomArray(1, m * k);
          const b = randomArray(2, k * n);
          const dout = randomArray(3, m * n);
          const { outputs, gradients } = await runOp(gpu, {
            inputs: {
              a: { shape: transA ? [k, m] : [m, k], data: a },
              b: { shape: transB ? [n, k] : [k, n], data: b, parameter: true },
            },
            build: (plan, { a, b }) => ({
              out: matmul(plan, a!, b!, { transposeA: transA, transposeB: transB }),
            }),
            reference: () => ({}),
            outputGradients: { out: dout },
          });
          const expected = {
            out: reference(a, b, { m, n, k, transA, transB }),
            a: transA
              ? reference(b, dout, { m: k, n: m, k: n, transA: transB, transB: true })
              : reference(dout, b, { m, n: k, k: n, transB: !transB }),
            b: transB
              ? reference(dout, a, { m: n, n: k, k: m, transA: true, transB: transA })
              : reference(a, dout, { m: k, n, k: m, transA: !transA }),
          };
          for (const [name, values] of Object.entries({ ...outputs, ...gradients })) {
            assertClose(values, expected[name as keyof typeof expected], {
              tolerance: 1e-5,
              label: `${m} x ${n} x ${k}: ${name}`,
            });
          }
        }
      });
    });
  }
}

Deno.test("matmul() of many tiles matches float64", async (t) => {
  const [m, n, k] = [2050, 2052, 20];
  const a = randomArray(1, m * k);
  const b = randomArray(2, k * n);
  const expected = reference(a, b, { m, n, k });
  await onEveryDevice(t, async (gpu) => {
    const { outputs } = await runOp(gpu, {
      inputs: { a: { shape: [m, k], data: a }, b: { shape: [k, n], data: b } },
      build: (plan, { a, b }) => ({ out: matmul(plan, a!, b!) }),
      reference: () => ({}),
    });
    assertClose(outputs.out!, expected, { tolerance: 1e-5 });
  });
});

Deno.test("linear() with a bias matches float64, forward and gradients", async (t) => {
  await onEveryDevice(t, async (gpu) => {
    for (
      const [m, n, k] of [[1, 3, 4], [5, 8, 4], [40, 72, 64], [257, 36, 20], [19, 136, 16]] as const
    ) {
      await checkOp(gpu, `${m} x ${n} x ${k}`, {
        inputs: {
          x: { shape: [m, k], data: randomArray(1, m * k) },
          weight: { shape: [n, k], data: randomArray(2, n * k), parameter: true },
          bias: { shape: [n], data: randomArray(3, n), parameter: true },
        },
        build: (plan, { x, weight, bias }) => ({ y: linear(plan, x!, weight!, { bias: bias! }) }),
        reference: ({ x, weight, bias }) => ({
          y: reference(x!, weight!, { m, n, k, transB: true, bias: bias! }),
        }),
        outputGradients: { y: randomArray(4, m * n) },
        coordinates: 20,
      });
    }
  });
});

for (const dtype of ["f16", "bf16"] as const) {
  Deno.test(`linear() with a weight in ${dtype} matches float64, forward and gradients`, async (t) => {
    await onEveryDevice(t, async (gpu) => {
      for (const [m, n, k] of SIZES) {
        const [x, stored, dout] = [[1, m * k], [2, k * n], [3, m * n]].map(([seed, size]) =>
          randomArray(seed!, size!)
        );
        const { outputs, gradients } = await runOp(gpu, {
          inputs: {
            x: { shape: [m, k], data: x! },
            weight: { shape: [n, k], data: stored!, dtype, parameter: true },
          },
          build: (plan, { x, weight }) => ({ y: linear(plan, x!, weight!) }),
          reference: () => ({}),
          outputGradients: { y: dout! },
        });
        const weight = Float64Array.from(asHalves(stored!, dtype));
        const expected = {
          y: reference(x!, weight, { m, n, k, transB: true }),
          x: reference(dout!, weight, { m, n: k, k: n }),
          weight: reference(dout!, x!, { m: n, n: k, k: m, transA: true }),
        };
        for (const [name, values] of Object.entries({ ...outputs, ...gradients })) {
          assertClose(values, expected[name as keyof typeof expected], {
            tolerance: 1e-5,
            label: `${m} x ${n} x ${k}: ${name}`,
          });
        }
      }
    });
  });
}

/** A linear layer over `capacity` rows, and what it needs to be run by hand. */
function linearPlan(gpu: Gpu, capacity: number, n: number, k: number) {
  const rows = new Dim("T", capacity);
  const parameter = (shape: number[], seed: number, name: string): Tensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    const tensor = gpu.tensor(shape, { data: randomArray(seed, size), name });
    tensor.grad = gpu.tensor(shape, { name: `${name}.grad` });
    return tensor;
  };
  const weight = parameter([n, k], 2, "weight");
  const bias = parameter([n], 3, "bias");
  const plan = new Plan(gpu, "linear", { gradients: true });
  const x = plan.input([rows, k], "x");
  plan.requireGradient(x);
  const y = plan.keep(linear(plan, x, weight, { bias }));
  const dy = plan.input([rows, n], "dy");
  plan.shareGradient(y, dy);
  plan.backward();
  const dx = plan.keep(plan.gradientOf(x)!);
  return { rows, weight, bias, plan, x, y, dy, dx };
}

Deno.test("linear() follows the current number of rows and adds to the parameters' gradients", async (t) => {
  await onEveryDevice(t, async (gpu) => {
    const [n, k] = [48, 24];
    const { rows, weight, bias, plan, x, y, dy, dx } = linearPlan(gpu, 8200, n, k);
    await plan.compile();
    const dweight = new Float64Array(n * k);
    const dbias = new Float64Array(n);
    for (const m of [8200, 0, 7, 1300]) {
      rows.value = m;
      const values = randomArray(10 + m, m * k);
      const seeds = randomArray(20 + m, m * n);
      gpu.write(x, values);
      gpu.write(dy, seeds);
      submit(gpu, [plan]);
      reference(seeds, values, { m: n, n: k, k: m, transA: true }).forEach((v, i) =>
        dweight[i]! += v
      );
      seeds.forEach((v, i) => dbias[i % n]! += v);
      if (m === 0) continue;
      const [w, b] = [randomArray(2, n * k), randomArray(3, n)];
      assertClose(
        await readTensor(gpu, y),
        reference(values, w, { m, n, k, transB: true, bias: b }),
        { tolerance: 1e-5, label: `y of ${m} rows` },
      );
      assertClose(
        await readTensor(gpu, dx),
        reference(seeds, w, { m, n: k, k: n }),
        { tolerance: 1e-5, label: `dx of ${m} rows` },
      );
    }
    assertClose(await readTensor(gpu, weight.grad!), dweight, {
      tolerance: 1e-5,
      label: "weight gradient of all runs",
    });
    assertClose(await readTensor(gpu, bias.grad!), dbias, {
      tolerance: 1e-5,
      label: "bias gradient of all runs",
    });
    plan.destroy();
  });
});

Deno.test("a row's result does not depend on how many rows there are, to the bit", async (t) => {
  await onEveryDevice(t, async (gpu) => {
    const [n, k] = [136, 128];
    const values = randomArray(1, 600 * k);
    const seeds = randomArray(5, 600 * n);
    const results: Record<string, number[]>[] = [];
    for (const capacity of [3, 12, 40, 600]) {
      const { plan, x, y, dy, dx } = linearPlan(gpu, capacity, n, k);
      await plan.compile();
      gpu.write(x, values.subarray(0, capacity * k));
      gpu.write(dy, seeds.subarray(0, capacity * n));
      submit(gpu, [plan]);
      results.push({
        y: [...(await readTensor(gpu, y)).subarray(0, 3 * n)],
        dx: [...(await readTensor(gpu, dx)).subarray(0, 3 * k)],
      });
      plan.destroy();
    }
    for (const result of results.slice(1)) assertEquals(result, results[0]);
  });
});

Deno.test("matmul() sums thousands of terms to 1e-5", async (t) => {
  await onEveryDevice(t, async (gpu) => {
    const [m, n, k] = [40, 48, 8190];
    await checkOp(gpu, `${m} x ${n} x ${k}`, {
      inputs: {
        a: { shape: [k, m], data: randomArray(1, m * k) },
        b: { shape: [k, n], data: randomArray(2, k * n) },
      },
      build: (plan, { a, b }) => ({ out: matmul(plan, a!, b!, { transposeA: true }) }),
      reference: ({ a, b }) => ({ out: reference(a!, b!, { m, n, k, transA: true }) }),
    });
  });
});

Deno.test("a product refuses operands that do not fit", async (t) => {
  await onEveryDevice(t, (gpu) => {
    const plan = new Plan(gpu, "p");
    const a = gpu.tensor([2, 3]);
    assertThrows(() => matmul(plan, a, gpu.tensor([4, 3])), RangeError, "got [2, 3], [4, 3]");
    assertThrows(() => linear(plan, a, gpu.tensor([3, 4])), RangeError, "got [2, 3], [3, 4]");
    assertThrows(
      () => linear(plan, a, gpu.tensor([4, 3]), { bias: gpu.tensor([3]) }),
      RangeError,
      "got [2, 3], [4, 3], [3]",
    );
    assertThrows(() => matmul(plan, a, gpu.tensor([3, 4], { dtype: "u32" })), RangeError, "f32");
    const half = gpu.tensor([4, 3], { dtype: "f16" });
    assertThrows(() => linear(plan, half, a), RangeError, "got [4, 3] f16, [2, 3]");
    assertThrows(
      () => matmul(plan, a, gpu.tensor([3, 4], { dtype: "f16" })),
      RangeError,
      "got [2, 3], [3, 4] f16",
    );
    return Promise.resolve();
  });
});
