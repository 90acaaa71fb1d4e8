import { assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { rope } from "../../src/ops/general/rope.ts";
import type { HeadLayout } from "../../src/ops/rope.ts";
import type { Rotation } from "../../src/ops/rotation.ts";
import { checkOp, runOp } from "../helpers/gpu.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray, randomIntegers } from "../helpers/random.ts";
import { rope as reference, type RopeScaling } from "../reference/rope.ts";
import { test } from "../helpers/test.ts";

interface Sizes {
  tokens: number;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  theta: number;
  scaling?: RopeScaling;
}

/** The heads of sizes, as ops take them. */
function headsOf({ heads, keyValueHeads, headDim }: Sizes): HeadLayout {
  return { heads, keyValueHeads, headDim };
}

/** The rotation of sizes, as ops take it. */
function rotationOf({ theta, scaling }: Sizes): Rotation {
  if (scaling === undefined) return { theta };
  if (scaling.rope_type === "linear") {
    return { theta, scaling: { ropeType: "linear", factor: scaling.factor! } };
  }
  return {
    theta,
    scaling: {
      ropeType: "llama3",
      factor: scaling.factor!,
      lowFreqFactor: scaling.low_freq_factor!,
      highFreqFactor: scaling.high_freq_factor!,
      originalMaxPositionEmbeddings: scaling.original_max_position_embeddings!,
    },
  };
}

/** Rotates the first H + J heads of every row and copies the others. */
function ropeRows(
  qkv: Float64Array,
  positions: ArrayLike<number>,
  { tokens, heads, keyValueHeads, headDim, theta, scaling }: Sizes,
): Float64Array {
  const rotated = heads + keyValueHeads;
  const row = (rotated + keyValueHeads) * headDim;
  const y = qkv.slice();
  for (let t = 0; t < tokens; t++) {
    const x = qkv.subarray(t * row, t * row + rotated * headDim);
    y.set(reference(x, [positions[t]!], { heads: rotated, headDim, theta, scaling }), t * row);
  }
  return y;
}

const LINEAR = { rope_type: "linear", factor: 4 };

/** With Llama 3.2's factors; of 32 pairs at this context some are fast, some slow and some between. */
const LLAMA3 = {
  rope_type: "llama3",
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 512,
};

const CASES: Sizes[] = [
  { tokens: 1, heads: 1, keyValueHeads: 1, headDim: 4, theta: 10000 },
  { tokens: 3, heads: 4, keyValueHeads: 2, headDim: 8, theta: 10000 },
  { tokens: 63, heads: 2, keyValueHeads: 2, headDim: 12, theta: 10000 },
  { tokens: 65, heads: 4, keyValueHeads: 1, headDim: 16, theta: 500 },
  { tokens: 17, heads: 3, keyValueHeads: 1, headDim: 64, theta: 1000000 },
  { tokens: 5, heads: 2, keyValueHeads: 1, headDim: 128, theta: 10000 },
  { tokens: 9, heads: 2, keyValueHeads: 1, headDim: 16, theta: 500, scaling: LINEAR },
  { tokens: 9, heads: 2, keyValueHeads: 1, headDim: 64, theta: 500000, scaling: LLAMA3 },
];

test.onDevices("rope() matches float64, forward and gradient, and leaves the values alone", async (gpu) => {
  for (const sizes of CASES) {
    const { tokens, heads, keyValueHeads, headDim } = sizes;
    const width = (heads + 2 * keyValueHeads) * headDim;
    const positions = randomIntegers(1, tokens, 200);
    await checkOp(gpu, JSON.stringify(sizes), {
      inputs: {
        qkv: { shape: [tokens, width], data: randomArray(2, tokens * width) },
        positions: { shape: [tokens], data: positions, dtype: "u32" },
      },
      build: (plan, { qkv, positions }) => ({
        y: rope(plan, qkv!, positions!, { ...headsOf(sizes), rotation: rotationOf(sizes) }),
      }),
      reference: ({ qkv }) => ({ y: ropeRows(qkv!, positions, sizes) }),
      outputGradients: { y: randomArray(3, tokens * width) },
    });
  }
});

test.onDevices("rope() stays precise at large positions", async (gpu) => {
  const sizes = { tokens: 6, heads: 1, keyValueHeads: 1, headDim: 64, theta: 1000000 };
  const positions = Uint32Array.from([0, 1, 1023, 4095, 8191, 10000]);
  const data = randomArray(4, 6 * 192);
  const { outputs } = await runOp(gpu, {
    inputs: {
      qkv: { shape: [6, 192], data },
      positions: { shape: [6], data: positions, dtype: "u32" },
    },
    build: (plan, { qkv, positions }) => ({
      y: rope(plan, qkv!, positions!, { ...headsOf(sizes), rotation: rotationOf(sizes) }),
    }),
    reference: () => ({}),
  });
  assertClose(outputs.y!, ropeRows(Float64Array.from(data), positions, sizes), {
    tolerance: 1e-5,
    label: "large positions",
  });
});

test.onDevices("rope() refuses shapes, heads and bases that do not fit", (gpu) => {
  const plan = new Plan(gpu, "p");
  const positions = gpu.tensor([2], { dtype: "u32" });
  const heads = { heads: 2, keyValueHeads: 1, headDim: 8, rotation: { theta: 10000 } };
  const refuses = (width: number, options: typeof heads, message: string, at = positions) =>
    assertThrows(() => rope(plan, gpu.tensor([2, width]), at, options), RangeError, message);
  refuses(24, heads, "(T, 32)");
  refuses(24, { ...heads, headDim: 6 }, "multiple of 4");
  refuses(528, { ...heads, headDim: 132 }, "from 4 to 128");
  refuses(40, { ...heads, heads: 1, keyValueHeads: 2 }, "multiple of keyValueHeads");
  refuses(32, { ...heads, rotation: { theta: 0 } }, "theta");
  refuses(32, heads, "positions", gpu.tensor([1], { dtype: "u32" }));
  refuses(32, heads, "positions", gpu.tensor([2]));
});
