import { assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { rmsNorm } from "../../src/ops/rms_norm.ts";
import { checkOp, onEveryDevice } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { rmsNorm as reference } from "../reference/rms_norm.ts";

const EPS = 1e-6;

for (const withDelta of [false, true]) {
  Deno.test(`rmsNorm() ${withDelta ? "after a residual sum " : ""}matches float64, forward and gradient`, async (t) => {
    await onEveryDevice(t, async (gpu) => {
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
  });
}

Deno.test("rmsNorm() refuses a width that is not a multiple of 4", async (t) => {
  await onEveryDevice(t, (gpu) => {
    const x = gpu.tensor([2, 6]);
    assertThrows(
      () => rmsNorm(new Plan(gpu, "p"), x, gpu.tensor([6]), { eps: EPS }),
      RangeError,
      "multiple of 4",
    );
    return Promise.resolve();
  });
});
