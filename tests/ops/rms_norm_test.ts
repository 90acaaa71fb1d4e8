import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { rmsNorm } from "../../src/ops/rms_norm.ts";
import { checkOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { rmsNorm as reference } from "../reference/rms_norm.ts";
import { test } from "../helpers/test.ts";

const EPS = 1e-6;

for (const withDelta of [false, true]) {
  test.onDevices(`rmsNorm() ${withDelta ? "after a residual sum " : ""}matches float64, forward and gradient`, async (gpu) => {
    for (const [rows, columns] of [[1, 4], [3, 64], [65, 36], [257, 260], [63, 8]] as const) {
      const n = rows * columns;
      await checkOp(gpu, `${rows} x ${columns}`, {
        inputs: {
          x: { shape: [rows, columns], data: randomArray(1, n) },
          ...(withDelta ? { delta: { shape: [rows, columns], data: randomArray(2, n) } } : {}),
          weight: { shape: [columns], data: randomArray(3, columns), parameter: true },
        },
        build: (plan, { x, weight, delta }) => {
          const { normed, sum } = rmsNorm(plan, x!, weight!, {
            eps: EPS,
            ...(delta ? { delta } : {}),
          });
          return withDelta ? { normed, sum } : { normed };
        },
        reference: ({ x, weight, delta }) => {
          const { y, h } = reference(x!, weight!, {
            tokens: rows,
            channels: columns,
            eps: EPS,
            ...(delta ? { residual: delta } : {}),
          });
          return withDelta ? { normed: y, sum: h } : { normed: y };
        },
        outputGradients: {
          normed: randomArray(4, n),
          ...(withDelta ? { sum: randomArray(5, n) } : {}),
        },
      });
    }
  });
}

test.onDevices("rmsNorm() gives the gradient of a weight that is not a parameter", async (gpu) => {
  await checkOp(gpu, "33 x 12", {
    inputs: {
      x: { shape: [33, 12], data: randomArray(1, 33 * 12) },
      weight: { shape: [12], data: randomArray(2, 12) },
    },
    build: (plan, { x, weight }) => ({ normed: rmsNorm(plan, x!, weight!, { eps: EPS }).normed }),
    reference: ({ x, weight }) => ({
      normed: reference(x!, weight!, { tokens: 33, channels: 12, eps: EPS }).y,
    }),
    outputGradients: { normed: randomArray(3, 33 * 12) },
  });
});

test.onDevices("gradients of norms are added up in one dispatch wherever they lie, with the bits of one by one", async (gpu) => {
  for (const [rows, width] of [[70, 20], [90, 24]] as const) {
    const weights = gpu.tensor([width], { data: randomArray(1, width) });
    const x = gpu.tensor([rows, width], { data: randomArray(2, rows * width) });
    const seed = gpu.tensor([rows, width], { data: randomArray(3, rows * width) });
    const run = async (gradients: Tensor[]) => {
      const plan = new Plan(gpu, "norms", { gradients: true });
      let y = x;
      for (const gradient of gradients) {
        const weight = weights.view([width]);
        weight.grad = gradient;
        y = rmsNorm(plan, y, weight, { eps: EPS }).normed;
      }
      plan.shareGradient(y, seed);
      plan.backward();
      await plan.compile();
      submit(gpu, [plan]);
      const sums = [...plan].filter((c) => c.kernel.label.endsWith(".add_up")).length;
      const values = await Promise.all(gradients.map((gradient) => readTensor(gpu, gradient)));
      plan.destroy();
      return { values, sums };
    };
    const flat = gpu.tensor([256]);
    const together = await run(
      [128, 0, 192].map((elementOffset) => flat.view([width], { elementOffset })),
    );
    const apart = await run([1, 2, 3].map(() => gpu.tensor([width])));
    assertEquals(together.sums, 1);
    assertEquals(apart.sums, 3);
    assertEquals(together.values, apart.values);
  }
});

test.onDevices("rmsNorm() refuses a width that is not a multiple of 4", (gpu) => {
  const x = gpu.tensor([2, 6]);
  assertThrows(
    () => rmsNorm(new Plan(gpu, "p"), x, gpu.tensor([6]), { eps: EPS }),
    RangeError,
    "multiple of 4",
  );
});
