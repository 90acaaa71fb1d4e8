import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../../src/gpu/device.ts";
import { Plan } from "../../../src/gpu/plan.ts";
import { readTensor, submit } from "../../../src/gpu/submit.ts";
import { Dim, type Tensor } from "../../../src/gpu/tensor.ts";
import { add } from "../../../src/ops/general/add.ts";
import {
  columnSum,
  type ReduceAxis,
  reduceMax,
  type ReduceOptions,
  reduceSum,
} from "../../../src/ops/general/reduce.ts";
import { assertClose } from "../../helpers/assert_close.ts";
import { checkOp, runOp } from "../../helpers/gpu.ts";
import { randomArray } from "../../helpers/random.ts";
import { max, sum } from "../../reference/reduce.ts";
import { test } from "../../helpers/test.ts";

const AXES: ReduceAxis[] = ["all", "rows", "columns"];
const SHAPES = [[1, 1], [3, 3], [1, 64], [65, 63], [257, 65], [63, 260], [40, 1]] as const;

for (const axis of AXES) {
  test.onDevices(`reduceSum() and reduceMax() over ${axis} match float64, and the sum's gradient`, async (gpu) => {
    for (const [rows, columns] of SHAPES) {
      const x = { shape: [rows, columns], data: randomArray(1, rows * columns) };
      const size = axis === "all" ? 1 : axis === "rows" ? rows : columns;
      await checkOp(gpu, `sum of ${rows} x ${columns}`, {
        inputs: { x },
        build: (plan, { x }) => ({ y: reduceSum(plan, x!, axis) }),
        reference: ({ x }) => ({ y: sum(x!, rows, columns, axis) }),
        outputGradients: { y: randomArray(2, size) },
      });
      // All negative, so that nothing else can pass for the largest.
      const negative = { ...x, data: x.data.map((v) => -1 - Math.abs(v)) };
      await checkOp(gpu, `max of ${rows} x ${columns}`, {
        inputs: { x: negative },
        build: (plan, { x }) => ({ y: reduceMax(plan, x!, axis) }),
        reference: ({ x }) => ({ y: max(x!, rows, columns, axis) }),
        tolerance: 0,
      });
    }
  });

  test.onDevices(`reduceSum() and reduceMax() over ${axis} let NaN and infinities through`, async (gpu) => {
    for (const [rows, columns] of [[3, 5], [70, 64]] as const) {
      for (const at of [0, 13, rows * columns - 1]) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const data = randomArray(3, rows * columns);
          data[at] = bad;
          const { outputs } = await runOp(gpu, {
            inputs: { x: { shape: [rows, columns], data } },
            build: (plan, { x }) => ({
              sum: reduceSum(plan, x!, axis),
              max: reduceMax(plan, x!, axis),
            }),
            reference: () => ({}),
          });
          const place = axis === "all"
            ? 0
            : axis === "rows"
            ? Math.floor(at / columns)
            : at % columns;
          assertEquals(outputs.sum![place], bad);
          assertEquals([...outputs.max!], [...max(data, rows, columns, axis)]);
          assertEquals(outputs.sum!.filter((v) => !Number.isFinite(v)).length, 1);
        }
      }
    }
  });
}

test.onDevices("reduceSum() adds to a gradient that is there already", async (gpu) => {
  await checkOp(gpu, "two sums of one tensor", {
    inputs: { x: { shape: [6, 6], data: randomArray(4, 36) } },
    build: (plan, { x }) => ({
      y: add(
        plan,
        reduceSum(plan, x!, "rows", { name: "rows" }),
        reduceSum(plan, x!, "columns", { name: "columns" }),
      ),
    }),
    reference: ({ x }) => {
      const columns = sum(x!, 6, 6, "columns");
      return { y: sum(x!, 6, 6, "rows").map((v, i) => v + columns[i]!) };
    },
    outputGradients: { y: randomArray(5, 6) },
  });
});

test.onDevices("reduceSum() and reduceMax() over everything take several stages and bindings", async (gpu) => {
  for (const n of [65536, 65537, 200_004, 300_001]) {
    const data = randomArray(6, n).map((v) => v + 0.5);
    for (const maxBindingBytes of [undefined, 100_000, 524_288]) {
      const options: ReduceOptions = maxBindingBytes ? { maxBindingBytes } : {};
      await checkOp(gpu, `${n}, at most ${maxBindingBytes} bytes`, {
        inputs: { x: { shape: [n], data } },
        build: (plan, { x }) => ({
          sum: reduceSum(plan, x!, "all", options),
          max: reduceMax(plan, x!, "all", options),
        }),
        reference: ({ x }) => ({ sum: sum(x!, 1, n), max: max(x!, 1, n) }),
      });
    }
  }
});

test.onDevices("reductions follow a dimension that varies", async (gpu) => {
  for (const width of [3, 8]) {
    const rows = new Dim("T", 40_000);
    const plan = new Plan(gpu, "p");
    const x = plan.input([rows, width], "x");
    const all = { maxBindingBytes: 400_000 };
    const outputs: Record<string, [Tensor, typeof sum, ReduceAxis]> = {
      total: [reduceSum(plan, x, "all", all), sum, "all"],
      largest: [reduceMax(plan, x, "all", all), max, "all"],
      rows: [reduceSum(plan, x, "rows"), sum, "rows"],
      columns: [reduceSum(plan, x, "columns"), sum, "columns"],
    };
    for (const [tensor] of Object.values(outputs)) plan.keep(tensor);
    await plan.compile();
    const data = randomArray(7, 40_000 * width);
    gpu.write(x, data);
    for (const count of [40_000, 1, 0, 30_011]) {
      rows.value = count;
      submit(gpu, [plan]);
      for (const [name, [tensor, reference, axis]] of Object.entries(outputs)) {
        const expected = reference(data.subarray(0, count * width), count, width, axis);
        const actual = [...await readTensor(gpu, tensor)];
        if (count === 0) assertEquals(actual, [...expected]);
        else assertClose(actual, expected, { tolerance: 1e-5, label: `${name} of ${count}` });
      }
    }
    plan.destroy();
  }
});

/** Runs columnSum on values. */
async function columns(
  gpu: Gpu,
  shape: [number, number],
  data: ArrayLike<number>,
  into: ArrayLike<number>,
  accumulate: boolean,
): Promise<ArrayLike<number>> {
  const y = gpu.tensor([shape[1]], { data: into });
  const plan = new Plan(gpu, "p");
  columnSum(plan, gpu.tensor(shape, { data }), y, accumulate);
  await plan.compile();
  submit(gpu, [plan]);
  const values = await readTensor(gpu, y);
  plan.destroy();
  return values;
}

test.onDevices("columnSum() writes or adds", async (gpu) => {
  for (const [rows, width] of [[1, 1], [65, 36], [257, 65], [1000, 260], [3, 40_001]] as const) {
    const data = randomArray(8, rows * width);
    const before = randomArray(9, width, 10);
    const expected = sum(data, rows, width, "columns");
    const written = await columns(gpu, [rows, width], data, before, false);
    assertClose(written, expected, { tolerance: 1e-5 });
    const added = await columns(gpu, [rows, width], data, before, true);
    assertClose(added, expected.map((v, c) => v + before[c]!), { tolerance: 1e-5 });
  }
});

test.onDevices("a sum has the same bits every time", async (gpu) => {
  const data = randomArray(10, 100_000);
  const once = async () => {
    const { outputs } = await runOp(gpu, {
      inputs: { x: { shape: [100, 1000], data } },
      build: (plan, { x }) => ({
        all: reduceSum(plan, x!, "all"),
        columns: reduceSum(plan, x!, "columns"),
      }),
      reference: () => ({}),
    });
    return outputs;
  };
  assertEquals(await once(), await once());
});

test.onDevices("reductions refuse shapes they cannot read, and reduceMax() a gradient", (gpu) => {
  const plan = new Plan(gpu, "p", { gradients: true });
  assertThrows(() => reduceSum(plan, gpu.tensor([4]), "rows"), RangeError, "(R, C)");
  assertThrows(() => reduceMax(plan, gpu.tensor([4, 0]), "columns"), RangeError, "not 0");
  assertThrows(() => reduceSum(plan, gpu.tensor([0]), "all"), RangeError, "at least one");
  const varying = plan.input([2, new Dim("C", 4)], "x");
  assertThrows(() => reduceSum(plan, varying, "columns"), RangeError, "fixed");
  assertThrows(
    () => columnSum(plan, gpu.tensor([2, 3]), gpu.tensor([2]), false),
    RangeError,
    "(T, N) and (N)",
  );
  const x = gpu.tensor([2, 3]);
  plan.requireGradient(x);
  const y = reduceMax(plan, x, "rows");
  assert(plan.isDifferentiable(y));
  plan.shareGradient(y, gpu.tensor([2]));
  assertThrows(() => plan.backward(), TypeError, "no gradient");
});
