import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { gradNorm, type GradNormOptions } from "../../src/ops/grad_norm.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { runOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { globalNorm } from "../reference/adamw.ts";
import { test } from "../helpers/test.ts";

/** The norm as the GPU computes it. */
async function norm(
  gpu: Gpu,
  data: ArrayLike<number>,
  options: GradNormOptions = {},
): Promise<number> {
  const { outputs } = await runOp(gpu, {
    inputs: { gradients: { shape: [data.length], data } },
    build: (plan, { gradients }) => ({ y: gradNorm(plan, gradients!, options) }),
    reference: () => ({}),
  });
  return outputs.y![0]!;
}

test.onDevices("gradNorm() matches float64 at any length", async (gpu) => {
  for (const n of [4, 12, 64, 260, 16384, 16388, 200_000]) {
    const data = randomArray(n, n);
    assertClose([await norm(gpu, data)], [globalNorm([data])], { tolerance: 1e-6 });
  }
  assertEquals(await norm(gpu, new Float32Array(64)), 0);
});

test.onDevices("gradNorm() splits what cannot be bound at once", async (gpu) => {
  const data = randomArray(1, 20_004);
  for (const maxBindingBytes of [512, 1000, 80_000, 80_016]) {
    const split = await norm(gpu, data, { maxBindingBytes });
    assertClose([split], [globalNorm([data])], { tolerance: 1e-6, label: `${maxBindingBytes}` });
  }
});

test.onDevices("gradNorm() neither overflows nor hides what is not finite", async (gpu) => {
  const data = randomArray(2, 70_000);
  for (const at of [0, 35_001, 69_999]) {
    for (const value of [1e18, -3e37]) {
      const large = data.slice();
      large[at] = value;
      large[(at + 9_001) % data.length] = value;
      assertClose([await norm(gpu, large)], [globalNorm([large])], { tolerance: 1e-6 });
    }
    for (const value of [NaN, Infinity, -Infinity]) {
      const bad = data.slice();
      bad[at] = value;
      const result = await norm(gpu, bad);
      assert(!Number.isFinite(result), `${value} at ${at} gave ${result}`);
    }
  }
  // Every square is finite, their sum is not.
  const many = new Float32Array(70_000).fill(1e19);
  assertClose([await norm(gpu, many)], [globalNorm([many])], { tolerance: 1e-6 });
});

test.onDevices("gradNorm() refuses shapes it cannot read", (gpu) => {
  const plan = new Plan(gpu, "p");
  assertThrows(() => gradNorm(plan, gpu.tensor([6])), RangeError, "multiple of 4");
  assertThrows(() => gradNorm(plan, gpu.tensor([2, 4])), RangeError, "flat array");
  assertThrows(
    () => gradNorm(plan, gpu.tensor([64]), { maxBindingBytes: 256 }),
    RangeError,
    "at least 512",
  );
});
