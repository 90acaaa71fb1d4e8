import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { headReads } from "../../src/ops/attention.ts";
import { attentionDecode } from "../../src/ops/attention_decode.ts";
import { operationName } from "../../src/ops/choices.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { onEveryDevice } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { idsSideBySide, progress } from "../helpers/side_by_side.ts";
import { attention as attentionReference } from "../reference/attention.ts";
import { rope as ropeReference } from "../reference/rope.ts";
import {
  packSegments,
  type PromptGroup,
  readSegments,
  segmentPositions,
} from "../reference/segments.ts";
import type { StoredAs } from "../../src/ops/wgsl.ts";
import { asHalves, type HalfDType, SIGNIFICAND } from "../helpers/halves.ts";
import { test } from "../helpers/test.ts";

const THETA = 10000;
/** What outputs and cache hold where nothing was written: both kinds of 16 bits have that number. */
const UNTOUCHED = 12288;

interface Heads {
  heads: number;
  keyValueHeads: number;
  headDim: number;
}

/** A packed batch computed at once in float64: what decoding it token by token must give. */
function packedTruth(groups: readonly PromptGroup[], { heads, keyValueHeads, headDim }: Heads) {
  const segments = packSegments(groups);
  const positions = segmentPositions(segments);
  const tokens = positions.length;
  const width = (heads + 2 * keyValueHeads) * headDim;
  const raw = randomArray(11, tokens * width);
  const rotated = Float64Array.from(raw);
  const part = (x: Float64Array, from: number, count: number) => {
    const y = new Float64Array(tokens * count * headDim);
    for (let t = 0; t < tokens; t++) {
      const at = t * width + from * headDim;
      y.set(x.subarray(at, at + count * headDim), t * count * headDim);
    }
    return y;
  };
  const turned = heads + keyValueHeads;
  const qk = ropeReference(part(rotated, 0, turned), positions, {
    heads: turned,
    headDim,
    theta: THETA,
  });
  for (let t = 0; t < tokens; t++) {
    rotated.set(qk.subarray(t * turned * headDim, (t + 1) * turned * headDim), t * width);
  }
  const { out } = attentionReference(
    part(rotated, 0, heads),
    part(rotated, heads, keyValueHeads),
    part(rotated, turned, keyValueHeads),
    { queryHeads: heads, keyHeads: keyValueHeads, headDim, segments },
  );
  const sequences = readSegments(segments).filter((s) => s.prefixEnd > 0);
  return { tokens, width, raw, rotated, out, sequences };
}

/**
 * One token's attention in float64 over what is kept in 16 bits: the prompt's keys and values rounded, the response's as they
 * lie in the cache.
 */
function attendToKept(
  { width, rotated, sequences }: ReturnType<typeof packedTruth>,
  { heads, keyValueHeads: J, headDim: D }: Heads,
  { kept, dtype, b, t, M }: {
    kept: ArrayLike<number>;
    dtype: HalfDType;
    b: number;
    t: number;
    M: number;
  },
): Float64Array {
  const { start, prefixStart, prefixEnd } = sequences[b]!;
  const out = new Float64Array(heads * D);
  for (let h = 0; h < heads; h++) {
    const j = Math.floor(h * J / heads);
    const part = (token: number, first: number) =>
      rotated.subarray(token * width + first * D, token * width + (first + 1) * D);
    const seen: { key: ArrayLike<number>; value: ArrayLike<number> }[] = [];
    for (let p = prefixStart; p < prefixEnd; p++) {
      const [key, value] = [part(p, heads + j), part(p, heads + J + j)];
      seen.push({ key: asHalves(key, dtype), value: asHalves(value, dtype) });
    }
    for (let n = 0; n <= t; n++) {
      const at = ((b * J + j) * M + n) * 2 * D;
      const [key, value] = [at, at + D].map((from) =>
        Float64Array.from({ length: D }, (_, i) => kept[from + i]!)
      );
      seen.push({ key: key!, value: value! });
    }
    const query = part(start + t, h);
    const scores = seen.map(({ key }) =>
      query.reduce((sum, q, i) => sum + q * key[i]!, 0) / Math.sqrt(D)
    );
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((sum, w) => sum + w, 0);
    for (const [n, { value }] of seen.entries()) {
      for (let i = 0; i < D; i++) out[h * D + i]! += weights[n]! / total * value[i]!;
    }
  }
  return out;
}

/** Has lanes share out keys or rows in what is recorded from now on. */
function shareOut(
  gpu: Gpu,
  { heads, keyValueHeads, headDim }: Heads,
  lanes: "keys" | "rows",
  dtype: StoredAs = "f32",
) {
  const key = { operation: "attention_decode", heads, keyValueHeads, headDim, dtype } as const;
  gpu.kernels = { [operationName(key)]: `${lanes}_${headReads(gpu, headDim)[0]!.pack}` };
}

/** Decodes every response of the groups token by token, in a row order that changes, and checks every step. */
async function checkDecoding(
  gpu: Gpu,
  label: string,
  groups: PromptGroup[],
  heads: Heads,
  lanes: "keys" | "rows",
  dtype: StoredAs = "f32",
) {
  const truth = packedTruth(groups, heads);
  const { tokens, width, raw, rotated, sequences } = truth;
  const B = sequences.length;
  const M = Math.max(...sequences.map((s) => s.end - s.start)) + 1;
  const outWidth = heads.heads * heads.headDim;
  const keyWidth = heads.keyValueHeads * heads.headDim;
  shareOut(gpu, heads, lanes, dtype);
  const active = new Dim("active", B);
  const plan = new Plan(gpu, "decode");
  const qkv = plan.input([active, width], "qkv");
  const slots = plan.input([active], "slots", "u32");
  const { lengths, finished } = progress(gpu, B);
  const cache = gpu.tensor([B, heads.keyValueHeads, M, 2, heads.headDim], {
    data: new Float32Array(B * M * 2 * keyWidth).fill(UNTOUCHED),
    dtype,
  });
  // In 16 bits keys and values are kept without the queries.
  const keysAndValues = rotated.filter((_, i) => i % width >= outWidth);
  const out = plan.keep(attentionDecode(plan, {
    qkv,
    slots,
    // The rows of responses are here too: no prompt range points at them, so they must not be read.
    prompts: dtype === "f32"
      ? gpu.tensor([tokens, width], { data: rotated })
      : gpu.tensor([tokens, 2 * keyWidth], { data: keysAndValues, dtype }),
    promptRanges: gpu.tensor([B, 2], {
      dtype: "u32",
      data: sequences.flatMap((s) => [s.prefixStart, s.prefixEnd]),
    }),
    cache,
    lengths,
    finished,
  }, { ...heads, rotation: { theta: THETA } }));
  await plan.compile();
  const readback = new Readback(gpu, [out, cache]);

  for (let t = 0; t < M; t++) {
    // Sequences leave the batch one step after their end, and the order of rows differs every step.
    const order = sequences.map((_, i) => ((t % 2 ? B - 1 - i : i) + t) % B);
    const rows = order.filter((b) => sequences[b]!.end - sequences[b]!.start >= t);
    if (rows.length === 0) break;
    const done = (b: number) => sequences[b]!.start + t >= sequences[b]!.end;
    active.value = rows.length;
    for (const [a, b] of rows.entries()) {
      const token = done(b) ? 0 : sequences[b]!.start + t;
      gpu.write(qkv, raw.subarray(token * width, (token + 1) * width), a * width);
    }
    gpu.write(slots, rows);
    gpu.write(lengths, sequences.map((s) => Math.min(t + 1, s.end - s.start)));
    gpu.write(finished, sequences.map((_, b) => done(b) ? 1 : 0));
    gpu.write(out, new Float32Array(rows.length * outWidth).fill(UNTOUCHED));
    submit(gpu, [plan], readback);
    const [got, now] = await readback.take();
    gpu.check();
    const kept = dtype === "f32" ? undefined : { dtype, kept: now };
    const wanted = new Float64Array(rows.length * outWidth).fill(UNTOUCHED);
    const living: number[] = [];
    for (const [a, b] of rows.entries()) {
      const values = got.subarray(a * outWidth, (a + 1) * outWidth);
      if (done(b)) {
        assertEquals(values.every((x) => x === UNTOUCHED), true, `${label}: row of finished ${b}`);
        continue;
      }
      const token = sequences[b]!.start + t;
      const row = kept
        ? attendToKept(truth, heads, { ...kept, b, t, M })
        : truth.out.subarray(token * outWidth, (token + 1) * outWidth);
      wanted.set(row, a * outWidth);
      living.push(a);
    }
    const alive = (x: ArrayLike<number>) =>
      living.flatMap((a) => Array.from({ length: outWidth }, (_, i) => x[a * outWidth + i]!));
    if (living.length > 0) {
      assertClose(alive(got), alive(wanted), { tolerance: 1e-5, label: `${label}: step ${t}` });
    }
  }

  const cached = await readTensor(gpu, cache);
  const { headDim, keyValueHeads: J } = heads;
  for (const [b, { start, end }] of sequences.entries()) {
    for (let j = 0; j < J; j++) {
      for (let t = 0; t < M; t++) {
        const at = ((b * J + j) * M + t) * 2 * headDim;
        const entry = cached.subarray(at, at + 2 * headDim);
        const where = `${label}: cache[${b}, ${j}, ${t}]`;
        if (start + t >= end) {
          assertEquals(entry.every((x) => x === UNTOUCHED), true, where);
          continue;
        }
        const key = (start + t) * width + (heads.heads + j) * headDim;
        const value = key + J * headDim;
        assertClose(
          entry,
          [...rotated.subarray(key, key + headDim), ...rotated.subarray(value, value + headDim)],
          { tolerance: (dtype === "f32" ? 0 : 2 ** -SIGNIFICAND[dtype]) + 1e-6, label: where },
        );
      }
    }
  }
  readback.destroy();
  plan.destroy();
}

const group = (promptLength: number, ...responseLengths: number[]): PromptGroup => ({
  promptLength,
  responseLengths,
});

// Kernels are compiled for a head's packs and the heads that share a key: each here is there for one of those that differ.
const CASES: [string, PromptGroup[], Heads][] = [
  ["one sequence of one token", [group(1, 1)], { heads: 1, keyValueHeads: 1, headDim: 4 }],
  [
    "several prompts and lengths",
    [group(16, 5, 12), group(1, 9), group(65, 1, 3, 2)],
    { heads: 4, keyValueHeads: 2, headDim: 8 },
  ],
  [
    "many rows of many prompts",
    Array.from({ length: 7 }, (_, i) => group(1 + 3 * i, 1 + i % 3, 2, 1 + i)),
    { heads: 2, keyValueHeads: 2, headDim: 8 },
  ],
  ["grouped queries", [group(7, 17, 4), group(3, 10)], { heads: 6, keyValueHeads: 2, headDim: 8 }],
  ["a long response", [group(5, 130)], { heads: 4, keyValueHeads: 1, headDim: 16 }],
  ["more packs than lanes, an odd number, too wide to share", [group(9, 4, 11)], {
    heads: 4,
    keyValueHeads: 2,
    headDim: 36,
  }],
  ["wide heads, grouped", [group(12, 6), group(2, 3)], { heads: 4, keyValueHeads: 2, headDim: 40 }],
];

for (const [label, groups, heads] of CASES) {
  for (const lanes of ["keys", "rows"] as const) {
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      test.onDevices(`attentionDecode(), lanes for ${lanes}, kept in ${dtype}, agrees with packed attention at every step: ${label}`, async (gpu) => {
        if (lanes === "rows" && gpu.adapter.subgroupSize === 0) return;
        await checkDecoding(gpu, label, groups, heads, lanes, dtype);
      });
    }
  }
}

Deno.test("attentionDecode() gives a sequence the same bytes in any batch", async (t) => {
  const heads = { heads: 6, keyValueHeads: 2, headDim: 8 };
  const [B, M, T, width] = [21, 6, 60, 80];
  const cached = B * 2 * M * 2 * 8;
  await onEveryDevice(t, async (gpu) => {
    for (const lanes of ["keys", "rows"] as const) {
      if (lanes === "rows" && gpu.adapter.subgroupSize === 0) continue;
      shareOut(gpu, heads, lanes);
      const active = new Dim("active", B);
      const plan = new Plan(gpu, "decode");
      const qkv = plan.input([active, width], "qkv");
      const slots = plan.input([active], "slots", "u32");
      const u32 = (shape: number[], data: number[]) => gpu.tensor(shape, { dtype: "u32", data });
      const sequences = Array.from({ length: B }, (_, b) => b);
      const out = plan.keep(attentionDecode(plan, {
        qkv,
        slots,
        prompts: gpu.tensor([T, width], { data: randomArray(1, T * width) }),
        // Three prompts of 10, 20 and 30 tokens in turn.
        promptRanges: u32([B, 2], sequences.flatMap((b) => [[0, 10], [10, 30], [30, 60]][b % 3]!)),
        cache: gpu.tensor([B, 2, M, 2, 8], { data: randomArray(2, cached) }),
        ...idsSideBySide(gpu, B, { lengths: sequences.map((b) => 1 + b % M), finished: [] }),
      }, { ...heads, rotation: { theta: THETA } }));
      await plan.compile();
      const rows = randomArray(3, B * width);
      const decode = async (batch: number[]) => {
        active.value = batch.length;
        gpu.write(slots, batch);
        for (const [a, b] of batch.entries()) {
          gpu.write(qkv, rows.subarray(b * width, (b + 1) * width), a * width);
        }
        submit(gpu, [plan]);
        const values = await readTensor(gpu, out);
        return new Map(batch.map((b, a) => [b, values.slice(a * 48, (a + 1) * 48)]));
      };
      const all = await decode(sequences);
      for (const batch of [[20, 3, 1, 11, 4, 7, 19, 0, 2], [5], sequences.toReversed()]) {
        for (const [b, values] of await decode(batch)) {
          assertEquals(
            values,
            all.get(b),
            `sequence ${b} of ${lanes} in a batch of ${batch.length}`,
          );
        }
      }
      plan.destroy();
    }
  });
});

Deno.test("attentionDecode() in f16 holds keys and values back that are too large, and keeps NaN", async (t) => {
  const heads = { heads: 3, keyValueHeads: 1, headDim: 8 };
  await onEveryDevice(t, async (gpu) => {
    const u32 = (shape: number[], data: number[]) => gpu.tensor(shape, { dtype: "u32", data });
    for (const lanes of ["keys", "rows"] as const) {
      if (lanes === "rows" && gpu.adapter.subgroupSize === 0) continue;
      shareOut(gpu, heads, lanes, "f16");
      const plan = new Plan(gpu, "decode");
      const row = new Float32Array(40);
      row.set([65520, -7e4, 3e38, -3e38, Infinity, -Infinity, NaN, 65504], 32); // values
      const cache = gpu.tensor([1, 1, 2, 2, 8], { dtype: "f16" });
      attentionDecode(plan, {
        qkv: gpu.tensor([1, 40], { data: row }),
        slots: u32([1], [0]),
        prompts: gpu.tensor([1, 16], { dtype: "f16" }),
        promptRanges: u32([1, 2], [0, 1]),
        cache,
        ...idsSideBySide(gpu, 1, { lengths: [2], finished: [0] }),
      }, { ...heads, rotation: { theta: THETA } });
      await plan.compile();
      submit(gpu, [plan]);
      assertEquals(
        [...(await readTensor(gpu, cache)).subarray(24)],
        [65504, -65504, 65504, -65504, Infinity, -Infinity, NaN, 65504],
        lanes,
      );
      plan.destroy();
    }
  });
});

test.onDevices("attentionDecode() refuses shapes that do not fit", (gpu) => {
  const u32 = (...shape: number[]) => gpu.tensor(shape, { dtype: "u32" });
  const inputs = {
    qkv: gpu.tensor([2, 32]),
    slots: u32(2),
    prompts: gpu.tensor([5, 32]),
    promptRanges: u32(3, 2),
    cache: gpu.tensor([3, 1, 4, 2, 8]),
    ...idsSideBySide(gpu, 3, { lengths: [], finished: [] }),
  };
  const options = { heads: 2, keyValueHeads: 1, headDim: 8, rotation: { theta: THETA } };
  const refuses = (changed: Partial<Record<keyof typeof inputs, Tensor>>, message: string) =>
    assertThrows(
      () => attentionDecode(new Plan(gpu, "p"), { ...inputs, ...changed }, options),
      RangeError,
      message,
    );
  refuses({ qkv: gpu.tensor([2, 24]) }, "(T, 32)");
  refuses({ prompts: gpu.tensor([5, 24]) }, "(T, 32)");
  refuses({ prompts: gpu.tensor([5, 16], { dtype: "f16" }) }, "got f16 and f32");
  refuses({ cache: gpu.tensor([3, 1, 4, 2, 8], { dtype: "f16" }) }, "got f32 and f16");
  refuses({ slots: u32(1) }, "slots (A)");
  refuses({ promptRanges: u32(2, 2) }, "promptRanges (B, 2)");
  refuses({ cache: gpu.tensor([3, 4, 2, 8]) }, "cache (B, J, M, 2, D)");
  refuses({ cache: gpu.tensor([3, 2, 4, 2, 8]) }, "cache (B, J, M, 2, D)");
  refuses({ cache: gpu.tensor([3, 1, 4, 2, 16]) }, "cache (B, J, M, 2, D)");
  refuses({ lengths: u32(2) }, "lengths (B)");
  refuses({ finished: gpu.tensor([3]) }, "finished (B)");
  refuses({ finished: u32(3) }, "lengths, finished as views of one tensor");
});
