import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { headNorm } from "../../src/ops/head_norm.ts";
import { checkOp, runOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { rmsNorm } from "../reference/rms_norm.ts";
import { test } from "../helpers/test.ts";

const EPS = 1e-6;

interface Sizes {
  tokens: number;
  heads: number;
  keyValueHeads: number;
  headDim: number;
}

/** Normalises the first H + J heads of every row, the J with the second weight, and copies the others. */
function normRows(
  qkv: Float64Array,
  weight: Float64Array,
  { tokens, heads, keyValueHeads, headDim }: Sizes,
): Float64Array {
  const row = (heads + 2 * keyValueHeads) * headDim;
  const y = qkv.slice();
  for (let t = 0; t < tokens; t++) {
    for (let head = 0; head < heads + keyValueHeads; head++) {
      const at = t * row + head * headDim;
      const own = head < heads ? weight.subarray(0, headDim) : weight.subarray(headDim);
      const options = { tokens: 1, channels: headDim, eps: EPS };
      y.set(rmsNorm(qkv.subarray(at, at + headDim), own, options).y, at);
    }
  }
  return y;
}

const CASES: Sizes[] = [
  { tokens: 1, heads: 1, keyValueHeads: 1, headDim: 4 },
  { tokens: 3, heads: 4, keyValueHeads: 2, headDim: 16 },
  { tokens: 65, heads: 2, keyValueHeads: 1, headDim: 12 },
  { tokens: 257, heads: 3, keyValueHeads: 3, headDim: 8 },
  { tokens: 7, heads: 2, keyValueHeads: 1, headDim: 128 },
];

function caseOf(sizes: Sizes, parameter: boolean) {
  const { tokens, ...layout } = sizes;
  const { heads, keyValueHeads, headDim } = layout;
  const width = (heads + 2 * keyValueHeads) * headDim;
  return {
    inputs: {
      qkv: { shape: [tokens, width], data: randomArray(1, tokens * width) },
      weight: { shape: [2 * headDim], data: randomArray(2, 2 * headDim), parameter },
    },
    build: (plan: Plan, { qkv, weight }: Record<string, Parameters<typeof headNorm>[1]>) => ({
      y: headNorm(plan, qkv!, weight!, { ...layout, eps: EPS }),
    }),
    reference: ({ qkv, weight }: Record<string, Float64Array>) => ({
      y: normRows(qkv!, weight!, sizes),
    }),
    outputGradients: { y: randomArray(3, tokens * width) },
  };
}

test.onDevices("headNorm() matches float64, forward and gradient, and leaves the values alone", async (gpu) => {
  for (const sizes of CASES) {
    for (const parameter of [true, false]) {
      await checkOp(gpu, JSON.stringify({ ...sizes, parameter }), caseOf(sizes, parameter));
    }
  }
});

test.onDevices("headNorm() gives the same gradient of heads where the weight wants none", async (gpu) => {
  const op = caseOf(CASES[2]!, false);
  const both = await runOp(gpu, op);
  const one = await runOp(gpu, { ...op, withoutGradient: ["weight"] });
  assertEquals(one.gradients.qkv, both.gradients.qkv);
  assertEquals("weight" in one.gradients, false);
});

test.onDevices("headNorm() without gradients keeps nothing beside its result", async (gpu) => {
  const { outputGradients: _, ...op } = caseOf(CASES[1]!, false);
  await checkOp(gpu, "inference", op);
  const plan = new Plan(gpu, "p");
  headNorm(plan, gpu.tensor([3, 128]), gpu.tensor([32]), {
    heads: 4,
    keyValueHeads: 2,
    headDim: 16,
    eps: EPS,
  });
  assertEquals([...plan][0]!.bindings.unnormed!.capacity, 8);
});

test.onDevices("headNorm() refuses weights and heads that do not fit", (gpu) => {
  const refuses = (width: number, weight: number, message: string) =>
    assertThrows(
      () =>
        headNorm(new Plan(gpu, "p"), gpu.tensor([2, width]), gpu.tensor([weight]), {
          heads: 2,
          keyValueHeads: 1,
          headDim: 8,
          eps: EPS,
        }),
      RangeError,
      message,
    );
  refuses(32, 8, "weight (2 D) for D = 8");
  refuses(24, 16, "(T, 32)");
});
