import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { choicesOf, type KeySize, keySize, operationName } from "../../src/ops/choices.ts";
import { matmul } from "../../src/ops/matmul/linear.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { openAs, runOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { matmul as reference } from "../reference/matmul.ts";

Deno.test("an operation's name says what decides between its kernels", () => {
  const sizes = [new Dim("rows", 500), 176, 64].map(keySize) as [KeySize, KeySize, KeySize];
  const product = { operation: "matmul", layout: "nt", sizes, dtype: "f32" } as const;
  assertEquals(operationName(product), "matmul nt ~512x176x64");
  assertEquals(
    operationName({ ...product, layout: "nn", epilogue: "swiglu_gradient", dtype: "f16" }),
    "matmul swiglu_gradient nn ~512x176x64 f16",
  );
  const heads = { heads: 4, keyValueHeads: 2, headDim: 16 };
  assertEquals(
    operationName({ operation: "attention", ...heads, dtype: "f32" }),
    "attention 4/2x16",
  );
  assertEquals(
    operationName({ operation: "attention_decode", ...heads, dtype: "f16" }),
    "attention_decode 4/2x16 f16",
  );
});

Deno.test("every tile of a graphics processor is right at its edges, and few rows get the smallest", async () => {
  const gpu = await openGpu({ treatAs: { isFallback: false } });
  const [m, n, k] = [68, 132, 44];
  for (const layout of ["nn", "nt", "tn"] as const) {
    const [transA, transB] = [layout === "tn", layout === "nt"];
    const [a, b] = [randomArray(1, m * k), randomArray(2, n * k)];
    const operation = `matmul ${layout} ${m}x${n}x${k}`;
    const expected = reference(a, b, { m, n, k, transA, transB });
    for (const kernel of ["built in", "tiled.tile16", "tiled.tile64", "tiled.tile128"]) {
      gpu.kernels = { [operation]: kernel };
      const { outputs } = await runOp(gpu, {
        inputs: {
          a: { shape: transA ? [k, m] : [m, k], data: a },
          b: { shape: transB ? [n, k] : [k, n], data: b },
        },
        build: (plan, { a, b }) => ({
          out: matmul(plan, a!, b!, { transposeA: transA, transposeB: transB }),
        }),
        reference: () => ({}),
      });
      assertClose(outputs.out!, expected, { tolerance: 1e-5, label: `${operation} ${kernel}` });
      const { chosen } = choicesOf(gpu).get(operation)!;
      const builtIn = layout === "tn" ? "tiled.tile64" : "tiled.tile16";
      assertEquals(chosen, kernel === "built in" ? builtIn : kernel);
    }
  }
  // As many tiles as there are cores, and more.
  const sizes = [[512, 512, "tiled.tile64"], [2048, 2048, "tiled.tile128"]] as const;
  for (const [rows, columns, kernel] of sizes) {
    const plan = new Plan(gpu, "sizes");
    const input = (name: string, ...shape: number[]) => plan.input(shape, name);
    matmul(plan, input("a", rows, 16), input("b", 16, columns));
    assertEquals(choicesOf(gpu).get(`matmul nn ${rows}x${columns}x16`)?.chosen, kernel);
    plan.destroy();
  }
  await gpu.close();
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
  const choice = choicesOf(gpu).get(operation);
  return { choice, values: values as Float32Array };
}

Deno.test("every kernel that may be chosen is right; for a token's outputs all give the same bits", async (t) => {
  for (
    const [device, treatAs] of [
      ["software", {}],
      ["as with subgroups of four lanes", { subgroupSize: 4 }],
      ["as on a graphics processor", { isFallback: false }],
    ] as const
  ) {
    const gpu = await openAs(treatAs);
    if (!gpu) continue;
    await t.step(device, async () => {
      for (const layout of ["nn", "nt", "tn"] as const) {
        const builtIn = await product(gpu, layout, "no such kernel");
        // One kernel for whatever has no subgroups.
        if (gpu.traits.products === "plain") continue;
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
