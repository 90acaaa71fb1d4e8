import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { parseProduct } from "../../src/ops/matmul_choice.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray } from "../helpers/random.ts";

Deno.test("names of products say layout and sizes", () => {
  assertEquals(parseProduct("matmul nt ~512x176x64"), {
    layout: "nt",
    dtype: "f32",
    sizes: [
      { most: 512, varies: true },
      { most: 176, varies: false },
      { most: 64, varies: false },
    ],
  });
  assertEquals(parseProduct("matmul nn 8x176x64 f16")?.dtype, "f16");
  const others = [
    "",
    "matmul",
    "matmul xy 1x2x3",
    "matmul nt 1x2",
    "matmul nt 1x2x3x4",
    "nt 1x2x3",
  ];
  for (const name of others) assertEquals(parseProduct(name), undefined);
});

/** A product with a given kernel; what could be chosen from, and what came out. */
async function product(gpu: Gpu, layout: "nn" | "nt" | "tn", kernel: string) {
  const tokens = layout === "tn";
  const operation = `matmul ${layout} ${tokens ? "72x48x~512" : "~128x48x320"}`;
  gpu.kernels = { [operation]: kernel };
  const [m, n, k] = [new Dim("rows", 72), 48, 320];
  const plan = new Plan(gpu, "test");
  // Of a weight's gradient the inner size varies, otherwise the rows.
  const a = plan.input(tokens ? [new Dim("tokens", k), 72] : [m, k], "a");
  const b = plan.input(layout === "nt" ? [n, k] : [a.shape[tokens ? 0 : 1]!, n], "b");
  const out = plan.keep(matmul(plan, a, b, { transposeA: tokens, transposeB: layout === "nt" }));
  await plan.compile();
  gpu.write(a, randomArray(1, a.capacity));
  gpu.write(b, randomArray(2, b.capacity));
  submit(gpu, [plan]);
  const values = await readTensor(gpu, out);
  plan.destroy();
  gpu.kernels = {};
  const choice = gpu.choices.get(operation);
  return { choice, values: values as Float32Array };
}

Deno.test("every kernel that may be chosen is right; for a token's outputs all give the same bits", async (t) => {
  for (
    const [device, treatAs] of [
      ["software", {}],
      ["as on a graphics processor", { isFallback: false }],
    ] as const
  ) {
    const gpu = await openGpu({ treatAs });
    await t.step(device, async () => {
      for (const layout of ["nn", "nt", "tn"] as const) {
        const builtIn = await product(gpu, layout, "no such kernel");
        // One rule for whatever has no subgroups of eight.
        if (gpu.adapter.isFallback && gpu.adapter.subgroupSize < 8) continue;
        const { candidates, chosen } = builtIn.choice!;
        assertEquals(chosen, candidates[0]);
        assertEquals(new Set(candidates).size, candidates.length);
        assert(candidates.length > 1, `${layout}: ${candidates}`);
        for (const kernel of candidates) {
          const { values, choice } = await product(gpu, layout, kernel);
          assertEquals(choice!.chosen, kernel);
          if (layout === "tn") {
            assertClose(values, Float64Array.from(builtIn.values), {
              tolerance: 1e-5,
              label: kernel,
            });
          } // The plain kernel may round differently; tune compares bits before it may win.
          else if (kernel.startsWith("plain")) {
            assertClose(values, Float64Array.from(builtIn.values), {
              tolerance: 1e-5,
              label: kernel,
            });
          } else assertEquals(values, builtIn.values, kernel);
        }
        if (layout === "tn") assert(candidates.some((kernel) => kernel.endsWith(".split128")));
      }
    });
    gpu.check();
    await gpu.close();
  }
});
