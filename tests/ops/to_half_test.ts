import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import {
  columnsToHalf,
  fromHalf,
  roundColumns,
  toHalf,
  type ToHalfOptions,
} from "../../src/ops/to_half.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";
import { asHalves, type HalfDType } from "../helpers/halves.ts";

async function rounded(
  gpu: Gpu,
  data: Float32Array,
  { dtype = "f16", ...options }: ToHalfOptions & { dtype?: HalfDType } = {},
): Promise<number[]> {
  const plan = new Plan(gpu, "test");
  const y = gpu.tensor([data.length], { dtype });
  toHalf(plan, gpu.tensor([data.length], { data }), y, options);
  await plan.compile();
  submit(gpu, [plan]);
  plan.destroy();
  return [...await readTensor(gpu, y)];
}

/** Every half, and the float32 numbers halfway to the next one and beside that. */
function everyBoundary(dtype: HalfDType): Float32Array {
  const halves = dtype === "f16"
    ? new Float16Array(Uint16Array.from({ length: 0x7c00 }, (_, i) => i).buffer)
    : new Float32Array(
      Uint32Array.from({ length: 0x7f80 - 0x80 }, (_, i) => (i + 0x80) << 16).buffer,
    );
  const values: number[] = [];
  for (let i = 0; i + 1 < halves.length; i++) {
    const middle = Math.fround((halves[i]! + halves[i + 1]!) / 2);
    const [bits] = new Uint32Array(Float32Array.of(middle).buffer);
    const beside = new Float32Array(Uint32Array.of(bits! - 1, bits! + 1).buffer);
    values.push(halves[i]!, -middle, beside[0]!, -beside[1]!);
  }
  return Float32Array.from(values);
}

test.onDevices("toHalf() rounds to nearest, ties to even, over the whole range", async (gpu) => {
  for (const dtype of ["f16", "bf16"] as const) {
    const all = everyBoundary(dtype);
    // Read four numbers at a time, and eight where the device can.
    for (const data of [all, all.slice(4), ...[4, 64, 260].map((n) => randomArray(n, n))]) {
      assertEquals(await rounded(gpu, data, { dtype }), [...asHalves(data, dtype)]);
    }
  }
});

test.onDevices("toHalf() keeps finite what is finite, and hides nothing that is not", async (gpu) => {
  const data = [65504, 65519, 65520, -65536, 3e38, -3e38, 1e-40, -0];
  const expected = [65504, 65504, 65504, -65504, 65504, -65504, 0, -0];
  assertEquals(await rounded(gpu, Float32Array.from(data)), expected);
  const wild = [Infinity, -Infinity, NaN, -NaN];
  for (const values of [wild, [...wild, ...wild]]) {
    for (const dtype of ["f16", "bf16"] as const) {
      assertEquals(await rounded(gpu, Float32Array.from(values), { dtype }), values);
    }
  }
  const largest = 2 ** 128 - 2 ** 120;
  const beyond = Float32Array.of(3.4028234e38, -3.4028234e38, largest, 1);
  assertEquals(await rounded(gpu, beyond, { dtype: "bf16" }), [largest, -largest, largest, 1]);
});

test.onDevices("toHalf() splits what cannot be bound at once", async (gpu) => {
  const data = randomArray(1, 20_004);
  for (const maxBindingBytes of [512, 1000, 80_000]) {
    assertEquals(await rounded(gpu, data, { maxBindingBytes }), [...Float16Array.from(data)]);
  }
});

test.onDevices("columnsToHalf() takes columns of the rows in use, and fromHalf() gives them back", async (gpu) => {
  for (const [count, columns, first, width] of [[1, 4, 0, 4], [65, 24, 8, 16], [257, 12, 4, 4]]) {
    const rows = new Dim("rows", count! + 3);
    rows.value = count!;
    const data = randomArray(1, count! * columns!);
    const plan = new Plan(gpu, "test");
    const x = gpu.tensor([rows, columns!], { data });
    const y = plan.keep(columnsToHalf(plan, x, { first: first!, width: width! }));
    await plan.compile();
    submit(gpu, [plan]);
    const expected = Array.from({ length: count! * width! }, (_, i) => {
      const at = Math.floor(i / width!) * columns! + first! + i % width!;
      return Math.f16round(data[at]!);
    });
    assertEquals([...await readTensor(gpu, y)], expected);
    const back = new Plan(gpu, "back");
    const wide = back.keep(fromHalf(back, y));
    await back.compile();
    submit(gpu, [back]);
    assertEquals([...await readTensor(gpu, wide)], expected);
    back.destroy();
    plan.destroy();
  }
});

test.onDevices("roundColumns() rounds in place and leaves the other columns alone", async (gpu) => {
  const [columns, first, width] = [24, 8, 12];
  for (const count of [1, 65, 257]) {
    const rows = new Dim("rows", count + 2);
    rows.value = count;
    const data = randomArray(2, (count + 2) * columns, 1e5);
    const plan = new Plan(gpu, "test");
    const z = gpu.tensor([rows, columns], { data });
    roundColumns(plan, z, { first, width });
    await plan.compile();
    submit(gpu, [plan]);
    const isRounded = (i: number) =>
      i < count * columns && i % columns >= first && i % columns < first + width;
    const largest = (v: number) => Math.min(Math.max(v, -65504), 65504);
    rows.value = count + 2;
    assertEquals(
      await readTensor(gpu, z),
      data.map((v, i) => isRounded(i) ? Math.f16round(largest(v)) : v),
    );
    plan.destroy();
  }
});

test.onDevices("rounding to halves refuses what it cannot do", (gpu) => {
  const plan = new Plan(gpu, "p");
  const halves = (n: number) => gpu.tensor([n], { dtype: "f16" });
  assertThrows(() => toHalf(plan, gpu.tensor([6]), halves(6)), RangeError, "multiple of 4");
  assertThrows(() => toHalf(plan, gpu.tensor([8]), halves(4)), RangeError, "[8] f32 and [4] f16");
  assertThrows(() => toHalf(plan, gpu.tensor([8]), gpu.tensor([8])), RangeError, "y (n) f16");
  assertThrows(() => fromHalf(plan, gpu.tensor([3, 8])), RangeError, "got [3, 8] f32");
  const x = gpu.tensor([3, 8]);
  for (const [first, width] of [[0, 12], [4, 8], [2, 4], [0, 6], [-4, 4]] as const) {
    assertThrows(() => columnsToHalf(plan, x, { first, width }), RangeError, "columns within C");
  }
});
