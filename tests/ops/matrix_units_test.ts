/**
 * Products by matrix units, where the device has them: Dawn on Mesa from 26.2 on, `deno task test:dawn sid`. Elsewhere: that
 * they are refused with words.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Gpu } from "../../src/gpu/device.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";
import { MATRIX_UNITS, matrixUnitsOf } from "../../src/gpu/matrix_units.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { traitsOf } from "../../src/gpu/traits.ts";
import { choicesOf } from "../../src/ops/choices.ts";
import { linear, matmul } from "../../src/ops/matmul/linear.ts";
import { productKernels } from "../../src/ops/matmul/kernels.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { type OpInput, runOp } from "../helpers/gpu.ts";
import { checkNonFinite, linearCase } from "../helpers/non_finite.ts";
import { randomArray } from "../helpers/random.ts";
import { matmul as reference, type MatmulOptions } from "../reference/matmul.ts";
import { test } from "../helpers/test.ts";

Deno.test("of an adapter's units those are used that take float16 and give float32, the largest first", () => {
  const config = (M: number, N: number, K: number, componentType = "f16", result = "f32") => ({
    M,
    N,
    K,
    componentType,
    resultComponentType: result,
  });
  const subgroupMatrixConfigs = [
    config(16, 8, 16),
    config(8, 8, 8, "f16", "f16"),
    config(8, 8, 8, "f32", "f32"),
    config(16, 16, 16),
    config(16, 16, 48),
    config(8, 8, 32, "i8", "i32"),
  ];
  const units = matrixUnitsOf({ subgroupMatrixConfigs } as unknown as GPUAdapterInfo);
  assertEquals(units, [{ rows: 16, columns: 16, inner: 16 }, { rows: 16, columns: 8, inner: 16 }]);
  assertEquals(matrixUnitsOf({} as GPUAdapterInfo), []);
});

test.onGpu("units come first among a device's kernels, each with its tiles", (gpu) => {
  const matrixUnits = [{ rows: 16, columns: 8, inner: 16 }, { rows: 32, columns: 8, inner: 16 }];
  const traits = traitsOf({ ...gpu.adapter, subgroupSize: 32, matrixUnits }, 2 ** 15);
  assertEquals(traits.products, "units");
  const names = productKernels(traits).map(({ name }) => name);
  assertEquals(names.filter((name) => name.startsWith("units")), [
    "units16x8x16.tile64",
    "units16x8x16.tile128",
    "units16x8x16.tile16",
    "units32x8x16.tile64",
    "units32x8x16.tile128",
  ]);
  assertEquals(traitsOf({ ...gpu.adapter, matrixUnits: [] }).products, gpu.traits.products);
});

Deno.test("a kernel of units that does not fit a device's workgroup memory is no candidate", async () => {
  const limits = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 };
  for (
    const [inner, room, built, other] of [
      // 24 KiB for tile128, which is built in for so many tiles; the rest takes no more than 15 KiB.
      [[16, 8, 16], 2 ** 14, "tile64", ["tile64", "tile16"]],
      [[16, 8, 16], 24 * 1024 - 1, "tile64", ["tile64", "tile16"]],
      [[16, 8, 16], 24 * 1024, "tile128", ["tile64", "tile128", "tile16"]],
      // Sums of larger units: 17,024 bytes for tile16.
      [[16, 16, 16], 2 ** 14, "tile64", ["tile64"]],
      [[16, 16, 16], 17_024, "tile64", ["tile64", "tile16"]],
    ] as const
  ) {
    const device = {
      limits: { ...limits, maxComputeWorkgroupStorageSize: room },
      features: new Set(),
    };
    const [rows, columns, depth] = inner;
    const gpu = await Gpu.fromDevice(dryDevice(device as unknown as GPUDevice), {
      treatAs: { subgroupSize: 32, matrixUnits: [{ rows, columns, inner: depth }] },
    });
    for (const dtype of ["f32", "f16"] as const) {
      const plan = new Plan(gpu, "sizes");
      linear(plan, plan.input([4096, 64], "x"), plan.input([4096, 64], "weight", dtype));
      plan.destroy();
    }
    for (const { candidates } of choicesOf(gpu).values()) {
      const name = `units${inner.join("x")}`;
      const units = candidates.filter((kernel) => kernel.startsWith(`${name}.`));
      assertEquals(candidates[0], `${name}.${built}`, `${name} with ${room} bytes`);
      assertEquals(new Set(units), new Set(other.map((tile) => `${name}.${tile}`)));
    }
    await gpu.close();
  }
});

const adapter = await navigator.gpu.requestAdapter();
if (adapter?.features.has(MATRIX_UNITS as GPUFeatureName)) {
  testNumbers();
} else {
  Deno.test("matrix units that a device does not have are refused, with where they are to be had", async () => {
    const gpu = await openGpu({ matrixUnits: false });
    assertEquals(gpu.adapter.matrixUnits, []);
    await gpu.close();
    const error = await assertRejects(() => openGpu({ matrixUnits: true }), Error);
    assert(error.message.includes(gpu.adapter.description), error.message);
    assert(error.message.includes("--webgpu dawn"), error.message);
  });
}

/** To float16's digits, ties to even, without its limits. */
function rounded(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, (value) => {
    const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
    if (!Number.isFinite(step) || step === 0) return value;
    const steps = value / step;
    const below = Math.floor(steps);
    const up = steps - below > 0.5 || (steps - below === 0.5 && below % 2 !== 0);
    return (below + (up ? 1 : 0)) * step;
  });
}

/** Largest error that rounding both operands makes, as a part of the sum of magnitudes. */
const HALF_TOLERANCE = 2 * 2 ** -11 + 2 ** -20;

/** Holds a product against float64: of rounded operands to float32's tolerance, of the given ones to float16's. */
function check(
  values: ArrayLike<number>,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: MatmulOptions & { label: string },
): void {
  const { label } = options;
  const exact = reference(rounded(a), rounded(b), options);
  assertClose(values, exact, { tolerance: 1e-5, label });
  const given = reference(a, b, options);
  const magnitudes = reference(Array.from(a, Math.abs), Array.from(b, Math.abs), options);
  for (const [i, value] of Array.from(values).entries()) {
    const error = Math.abs(value - given[i]!);
    assert(
      error <= HALF_TOLERANCE * magnitudes[i]! + 1e-5 * Math.abs(given[i]!),
      `${label}: [${i}] is ${value}, not ${given[i]}`,
    );
  }
}

function testNumbers(): void {
  const SIZES = [
    [4, 4, 4],
    [8, 12, 36],
    [16, 128, 32],
    [20, 132, 44],
    [68, 72, 40],
    [64, 64, 64],
    [132, 260, 100],
  ] as const;

  // Drivers take seconds to compile a kernel: all tests share them.
  const open = openGpu({ matrixUnits: true });

  async function onUnits(body: (gpu: Gpu) => Promise<void>): Promise<void> {
    const gpu = await open;
    assertEquals(gpu.traits.products, "units");
    await body(gpu);
    gpu.check();
  }

  for (const [transA, transB] of [[false, false], [false, true], [true, false]] as const) {
    const name = `op(a) = a${transA ? "ᵀ" : ""}, op(b) = b${transB ? "ᵀ" : ""}`;
    Deno.test(`matrix units: ${name} matches float64, forward and gradients`, async () => {
      await onUnits(async (gpu) => {
        for (const [m, n, k] of SIZES) {
          const [a, b, dout] = [[1, m * k], [2, k * n], [3, m * n]].map(([seed, size]) =>
            randomArray(seed!, size!)
          ) as [Float32Array, Float32Array, Float32Array];
          const { outputs, gradients } = await runOp(gpu, {
            inputs: {
              a: { shape: transA ? [k, m] : [m, k], data: a },
              b: { shape: transB ? [n, k] : [k, n], data: b },
            },
            build: (plan, { a, b }) => ({
              out: matmul(plan, a!, b!, { transposeA: transA, transposeB: transB }),
            }),
            reference: () => ({}),
            outputGradients: { out: dout },
          });
          const label = `${m} x ${n} x ${k}`;
          check(outputs.out!, a, b, { m, n, k, transA, transB, label });
          const da = { m: k, n: m, k: n, label: `${label}: a` };
          if (transA) check(gradients.a!, b, dout, { ...da, transA: transB, transB: true });
          else check(gradients.a!, dout, b, { ...da, m, n: k, transB: !transB });
          const db = { m: k, n, k: m, label: `${label}: b` };
          if (transB) {
            check(gradients.b!, dout, a, { ...db, m: n, n: k, transA: true, transB: transA });
          } else check(gradients.b!, a, dout, { ...db, transA: !transA });
        }
      });
    });
  }

  Deno.test("matrix units: a bias, weights in f16, and long sums over tokens that are cut", async () => {
    await onUnits(async (gpu) => {
      for (const [m, n, k] of [[40, 72, 64], [17, 136, 36], [300, 64, 64]] as const) {
        for (const dtype of ["f32", "f16"] as const) {
          const [x, stored, bias, dy] = [[1, m * k], [2, n * k], [3, n], [4, m * n]].map(
            ([seed, size]) => randomArray(seed!, size!),
          ) as [Float32Array, Float32Array, Float32Array, Float32Array];
          const weight = dtype === "f16" ? Float16Array.from(stored) : stored;
          const input = (shape: number[], data: Float32Array): OpInput => ({ shape, data });
          const { outputs, gradients } = await runOp(gpu, {
            inputs: {
              x: input([m, k], x),
              weight: { ...input([n, k], stored), dtype, parameter: true },
              bias: { ...input([n], bias), parameter: true },
            },
            build: (plan, { x, weight, bias }) => ({
              y: linear(plan, x!, weight!, { bias: bias! }),
            }),
            reference: () => ({}),
            outputGradients: { y: dy },
          });
          const label = `${m} x ${n} x ${k} ${dtype}`;
          check(outputs.y!, x, weight, { m, n, k, transB: true, bias, label });
          check(gradients.x!, dy, weight, { m, n: k, k: n, label: `${label}: x` });
          check(gradients.weight!, dy, x, {
            m: n,
            n: k,
            k: m,
            transA: true,
            label: `${label}: weight`,
          });
        }
      }
    });
  });

  Deno.test("matrix units: rows and columns of any magnitude keep their digits", async () => {
    await onUnits(async (gpu) => {
      const magnitudes = [1e-30, 1e-12, 1e-8, 1, 1e5, 1e12, 0, 1e-3];
      const [m, n, k] = [24, 40, 72];
      const a = randomArray(1, m * k).map((v, i) => v * magnitudes[Math.floor(i / k) % 8]!);
      const b = randomArray(2, n * k).map((v, i) => v * magnitudes[Math.floor(i / k) % 7]!);
      for (const [transA, transB] of [[false, false], [false, true], [true, false]] as const) {
        const turned = (x: Float32Array, rows: number) =>
          Float32Array.from(x, (_, i) => x[(i % rows) * k + Math.floor(i / rows)]!);
        const { outputs } = await runOp(gpu, {
          inputs: {
            a: { shape: transA ? [k, m] : [m, k], data: transA ? turned(a, m) : a },
            b: { shape: transB ? [n, k] : [k, n], data: transB ? b : turned(b, n) },
          },
          build: (plan, { a, b }) => ({
            out: matmul(plan, a!, b!, { transposeA: transA, transposeB: transB }),
          }),
          reference: () => ({}),
        });
        const expected = reference(rounded(a), rounded(b), { m, n, k, transB: true });
        const out = outputs.out!;
        for (let row = 0; row < m; row++) {
          for (let column = 0; column < n; column++) {
            const at = row * n + column;
            const size = magnitudes[row % 8]! * magnitudes[column % 7]!;
            // The smallest numbers of float32 have fewer digits.
            const allowed = 1e-5 * 8 * size + 1e-37;
            const error = Math.abs(out[at]! - expected[at]!);
            assert(error <= allowed, `[${row}, ${column}] is ${out[at]}, not ${expected[at]}`);
          }
        }
      }
    });
  });

  Deno.test("matrix units: NaN and infinities go through what depends on them, and nowhere else", async () => {
    await onUnits(async (gpu) => {
      const labels = new Set<string>();
      for (const [m, n, k] of [[8, 12, 36], [68, 72, 40]] as const) {
        for (const dtype of ["f32", "f16"] as const) {
          const sizes = { m, n, k, dtype };
          await checkNonFinite(gpu, `${m} x ${n} x ${k} ${dtype}`, linearCase(sizes), labels);
        }
      }
      assert([...labels].some((label) => label.startsWith("matmul/units")), `${[...labels]}`);
    });
  });

  Deno.test("matrix units: a row has the same bits in any batch and by any tile, and tune sees them all", async () => {
    await onUnits(async (gpu) => {
      const [n, k] = [136, 128];
      const values = randomArray(1, 300 * k);
      const weight = randomArray(2, n * k);
      const rows: number[][] = [];
      for (const m of [3, 40, 300]) {
        const operation = `matmul nt ${m}x${n}x${k}`;
        const run = async (kernel: string) => {
          gpu.kernels = { [operation]: kernel };
          const { outputs } = await runOp(gpu, {
            inputs: {
              a: { shape: [m, k], data: values.subarray(0, m * k) },
              b: { shape: [n, k], data: weight },
            },
            build: (plan, { a, b }) => ({ out: matmul(plan, a!, b!, { transposeB: true }) }),
            reference: () => ({}),
          });
          return [...outputs.out!.subarray(0, 3 * n)];
        };
        await run("built in");
        const { candidates } = choicesOf(gpu).get(operation)!;
        const units = candidates.filter((name) => name.startsWith("units"));
        assert(units.length >= 3, `${candidates}`);
        assertEquals(candidates[0], units[0]);
        for (const kernel of units) rows.push(await run(kernel));
      }
      gpu.kernels = {};
      for (const row of rows) assertEquals(row, rows[0]);
    });
  });
}
