import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { choicesOf } from "../../src/ops/choices.ts";
import { checkOp, type OpCase, openAs, runOp } from "../helpers/gpu.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { randomArray } from "../helpers/random.ts";
import { attention as reference } from "../reference/attention.ts";
import { rope as rotatedRows } from "../reference/rope.ts";
import {
  packSegments,
  packTiles,
  type PromptGroup,
  segmentPositions,
} from "../reference/segments.ts";
import { test } from "../helpers/test.ts";

interface Heads {
  heads: number;
  keyValueHeads: number;
  headDim: number;
  theta?: number;
}

const widthOf = ({ heads, keyValueHeads, headDim }: Heads) => (heads + 2 * keyValueHeads) * headDim;

/** Columns `from` … `to` of a row-major matrix. */
function columns(x: Float64Array, width: number, from: number, to: number): Float64Array {
  const y = new Float64Array(x.length / width * (to - from));
  for (let t = 0; t * width < x.length; t++) {
    y.set(x.subarray(t * width + from, t * width + to), t * (to - from));
  }
  return y;
}

function attentionCase(gpu: Gpu, groups: readonly PromptGroup[], heads: Heads): OpCase {
  const segments = packSegments(groups);
  const positions = segmentPositions(segments);
  const tokens = positions.length;
  const tiles = packTiles(segments, gpu.traits.attentionTile);
  const width = widthOf(heads);
  const q = heads.heads * heads.headDim;
  const k = q + heads.keyValueHeads * heads.headDim;
  return {
    inputs: {
      qkv: { shape: [tokens, width], data: randomArray(1, tokens * width) },
      segments: { shape: [segments.length / 5, 5], data: segments, dtype: "u32" },
      tiles: { shape: [tiles.length / 2, 2], data: tiles, dtype: "u32" },
      positions: { shape: [tokens], data: positions, dtype: "u32" },
    },
    build: (plan, { qkv, segments, tiles, positions }) => {
      const layout = {
        segments: segments!,
        tiles: tiles!,
        positions: positions!,
        tileCount: new Dim("tiles", tiles!.capacity / 2),
        pairs: new Dim("pairs", tokens * tokens),
      };
      const { theta, ...sizes } = heads;
      return {
        out: attention(plan, qkv!, layout, { ...sizes, ...(theta && { rotation: { theta } }) }),
      };
    },
    reference: ({ qkv }) => {
      const turned = (from: number, to: number) => {
        const x = columns(qkv!, width, from, to);
        const { headDim, theta } = heads;
        if (theta === undefined) return x;
        return rotatedRows(x, positions, { heads: (to - from) / headDim, headDim, theta });
      };
      const { out } = reference(
        turned(0, q),
        turned(q, k),
        columns(qkv!, width, k, width),
        {
          queryHeads: heads.heads,
          keyHeads: heads.keyValueHeads,
          headDim: heads.headDim,
          segments,
        },
      );
      return { out };
    },
    outputGradients: { out: randomArray(2, tokens * q) },
    coordinates: 24,
  };
}

const group = (promptLength: number, ...responseLengths: number[]): PromptGroup => ({
  promptLength,
  responseLengths,
});

const CASES: [string, PromptGroup[], Heads][] = [
  ["one token", [group(1)], { heads: 1, keyValueHeads: 1, headDim: 4 }],
  ["one response of one token", [group(1, 1)], { heads: 2, keyValueHeads: 1, headDim: 8 }],
  ["a prompt alone", [group(65)], { heads: 2, keyValueHeads: 2, headDim: 16 }],
  [
    "groups of 1 to 4 responses",
    [group(5, 3), group(1, 63, 1), group(16, 64, 7, 8), group(9, 1, 65, 33, 3)],
    { heads: 4, keyValueHeads: 2, headDim: 16 },
  ],
  [
    "many short segments",
    Array.from({ length: 12 }, (_, i) => group(1 + i, 1 + i % 4, 1 + i % 3, 5)),
    { heads: 6, keyValueHeads: 2, headDim: 12 },
  ],
  ["wide heads", [group(3, 9, 2), group(17, 1)], { heads: 3, keyValueHeads: 1, headDim: 64 }],
];

for (const [label, groups, heads] of CASES) {
  test.onDevices(`attention() matches float64, forward and gradient: ${label}`, async (gpu) => {
    await checkOp(gpu, label, attentionCase(gpu, groups, heads));
  });
}

for (const headDim of [4, 12, 16, 24, 32]) {
  const label = `heads of ${headDim}`;
  test.onDevices(`attention() with a rotation turns queries and keys, and turns gradients back: ${label}`, async (gpu) => {
    const heads = { heads: 4, keyValueHeads: 2, headDim, theta: 500 };
    const groups = [group(1, 1), group(5, 3, 9)];
    const op = attentionCase(gpu, groups, heads);
    await checkOp(gpu, label, { ...op, coordinates: 97 });
  });
}

test.onDevices("attention() with a rotation adds to a gradient that is there already", async (gpu) => {
  const heads = { heads: 2, keyValueHeads: 1, headDim: 12, theta: 10000 };
  const op = attentionCase(gpu, [group(6, 11, 2), group(3, 20)], heads);
  const fresh = await runOp(gpu, op);
  const begun = randomArray(9, op.inputs.qkv!.data.length);
  const { gradients } = await runOp(gpu, {
    ...op,
    build: (plan, tensors) => {
      const grad = gpu.tensor(tensors.qkv!.shape, { data: begun });
      tensors.qkv!.grad = grad;
      return op.build(plan, tensors);
    },
  });
  const sum = Float64Array.from(begun, (x, i) => x + fresh.gradients.qkv![i]!);
  assertClose(gradients.qkv!, sum, { tolerance: 1e-6, label: "gradient" });
});

test.onDevices("attention() takes heads of up to 128", async (gpu) => {
  const heads = { heads: 1, keyValueHeads: 1, headDim: 128 };
  const { outputGradients: _, ...op } = attentionCase(gpu, [group(2, 5)], heads);
  await checkOp(gpu, "widest", op);
});

test.onDevices("attention() keeps head sizes apart that are read in equally many packs", async (gpu) => {
  for (const headDim of [12, 24, 12]) {
    const heads = { heads: 2, keyValueHeads: 1, headDim };
    const { outputGradients: _, ...op } = attentionCase(gpu, [group(3, 9, 2)], heads);
    await checkOp(gpu, `heads of ${headDim}`, op);
  }
});

test.onDevices("attention() is exact for scores far apart", async (gpu) => {
  const heads = { heads: 2, keyValueHeads: 1, headDim: 8 };
  const op = attentionCase(gpu, [group(4, 9, 3)], heads);
  const data = (op.inputs.qkv!.data as Float32Array).map((x) => 30 * x);
  // Scores of about 900 round to 6e-5, which is the error of a probability.
  await checkOp(gpu, "large scores", {
    ...op,
    inputs: { ...op.inputs, qkv: { ...op.inputs.qkv!, data } },
    tolerance: 2e-4,
    gradientTolerance: 5e-4,
  });
});

test.onDevices("attention() adds to a gradient that another use of qkv has begun", async (gpu) => {
  const heads = { heads: 4, keyValueHeads: 2, headDim: 8 };
  const op = attentionCase(gpu, [group(6, 11, 2), group(3, 20)], heads);
  const { build, reference } = op;
  const seed = op.outputGradients!.out!;
  await checkOp(gpu, "two uses", {
    ...op,
    build: (plan, tensors) => ({
      out: build(plan, tensors).out!,
      again: build(plan, tensors).out!,
    }),
    reference: (inputs) => ({ out: reference(inputs).out!, again: reference(inputs).out! }),
    outputGradients: { out: seed, again: randomArray(7, seed.length) },
  });
});

test.onDevices("attention() gives the same bytes every time, and follows the tiles in use", async (gpu) => {
  const heads = { heads: 4, keyValueHeads: 2, headDim: 16 };
  const op = attentionCase(gpu, [group(16, 12, 40, 3), group(7, 20)], heads);
  const first = await runOp(gpu, op);
  const second = await runOp(gpu, op);
  assertEquals(first.outputs.out, second.outputs.out);
  assertEquals(first.gradients.qkv, second.gradients.qkv);
  const { build } = op;
  const none = await runOp(gpu, {
    ...op,
    build: (plan, tensors) => {
      const out = build(plan, tensors).out!;
      for (const { params } of plan) (params!.tiles as Dim).value = 0;
      return { out };
    },
  });
  assertEquals(none.outputs.out!.every((x) => x === 0), true);
});

Deno.test("attention() with keys in workgroup memory matches float64, forward and gradient", async (t) => {
  const cases = [
    ["tiles of 8", { isFallback: false }],
    ["tiles of 32", { isFallback: false, subgroupSize: 0 }],
  ] as const;
  for (const [device, treatAs] of cases) {
    const gpu = await openAs(treatAs);
    if (!gpu) continue;
    await t.step(device, async () => {
      for (
        const [label, groups, heads] of [
          ...CASES.slice(3, 5),
          // For tiles of 32 there is room for 16 keys at a time.
          ["heads of 128", [group(33, 40, 7)], { heads: 2, keyValueHeads: 1, headDim: 128 }],
        ] as typeof CASES
      ) {
        const operation = `attention ${heads.heads}/${heads.keyValueHeads}x${heads.headDim}`;
        gpu.kernels = { [operation]: "tiled_4" };
        const { outputGradients, ...op } = attentionCase(gpu, groups, heads);
        const gradients = heads.headDim === 16 ? { outputGradients: outputGradients! } : {};
        await checkOp(gpu, label, { ...op, ...gradients });
        assertEquals(choicesOf(gpu).get(operation)?.chosen, "tiled_4");
      }
    });
    gpu.check();
    await gpu.close();
  }
});

test.onDevices("attention() refuses shapes that do not fit", (gpu) => {
  const u32 = (...shape: number[]) => gpu.tensor(shape, { dtype: "u32" });
  const layout = {
    segments: u32(1, 5),
    tiles: u32(1, 2),
    positions: u32(3),
    tileCount: new Dim("tiles", 1),
    pairs: new Dim("pairs", 6),
  };
  const heads = { heads: 2, keyValueHeads: 1, headDim: 8 };
  const refuses = (width: number, changed: Partial<typeof layout>, message: string) =>
    assertThrows(
      () => attention(new Plan(gpu, "p"), gpu.tensor([3, width]), { ...layout, ...changed }, heads),
      RangeError,
      message,
    );
  refuses(24, {}, "(T, 32)");
  refuses(32, { segments: u32(4) }, "segments (S, 5)");
  refuses(32, { tileCount: new Dim("tiles", 2) }, "tiles (N, 2)");
  refuses(32, { tiles: gpu.tensor([1, 2]) }, "tiles (N, 2)");
});
