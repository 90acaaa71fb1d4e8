import { assertEquals, assertThrows } from "@std/assert";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { test } from "../helpers/test.ts";

test.onGpu("a submit copies and clears tensors and views in order", async (gpu) => {
  const from = gpu.tensor([6], { data: [1, 2, 3, 4, 5, 6] });
  const to = gpu.tensor([5]);
  submit(gpu, [
    { copy: from.view([2], { elementOffset: 3 }), to: to.view([2], { elementOffset: 1 }) },
    { copy: from.view([2]), to: to.view([2], { elementOffset: 3 }) },
    { clear: from },
  ]);
  assertEquals([...await readTensor(gpu, to)], [0, 4, 5, 1, 2]);
  assertEquals([...await readTensor(gpu, from)], [0, 0, 0, 0, 0, 0]);

  const rows = new Dim("rows", 3);
  rows.value = 2;
  const some = gpu.tensor([rows, 2], { data: [7, 8, 9, 10, 11, 12] });
  submit(gpu, [{ copy: some, to: to.view([4]) }]);
  assertEquals([...await readTensor(gpu, to)], [7, 8, 9, 10, 2]);
  assertThrows(
    () => submit(gpu, [{ copy: some, to }]),
    RangeError,
    "Cannot copy tensor of 4 values to tensor of 5",
  );
});

test.onGpu("readTensor() reads the values in use, long tensors in parts", async (gpu) => {
  const atOnce = 2 ** 24;
  for (const dtype of ["f16", "u32"] as const) {
    const rows = new Dim("rows", atOnce + 300);
    const tensor = gpu.tensor([rows], { dtype });
    gpu.write(tensor, [1, 2, 3, 4], atOnce - 2);
    gpu.write(tensor, [5, 6], atOnce + 298);
    const created = gpu.counters.buffersCreated;
    const whole = await readTensor(gpu, tensor);
    assertEquals(gpu.counters.buffersCreated - created, 2);
    assertEquals(whole.length, atOnce + 300);
    assertEquals([...whole.subarray(atOnce - 3, atOnce + 3)], [0, 1, 2, 3, 4, 0]);
    assertEquals([...whole.subarray(-3)], [0, 5, 6]);
    rows.value = 300;
    gpu.write(tensor, [7, 8], 298);
    assertEquals([...await readTensor(gpu, tensor)], [...new Array(298).fill(0), 7, 8]);
    gpu.destroyTensor(tensor);
  }
});

test.onGpu("tensors in bf16 are written, copied, cleared and read, odd lengths too", async (gpu) => {
  const values = [0, 1, -2.5, 3.3e38, -1e-30, 2 ** -133, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -Infinity];
  const rounded = [0, 1, -2.5, 1.9375 * 2 ** 127, -1.265625 * 2 ** -100, 2 ** -133]
    // Ties to even.
    .concat(1, 1 + 2 ** -6, -Infinity);
  const from = gpu.tensor([9], { data: values, dtype: "bf16" });
  assertEquals(from.byteLength, 20);
  assertEquals([...await readTensor(gpu, from)], rounded);
  const to = gpu.tensor([9], { dtype: "bf16" });
  submit(gpu, [{ copy: from, to }, { clear: from }]);
  assertEquals([...await readTensor(gpu, to)], rounded);
  assertEquals([...await readTensor(gpu, from)], new Array(9).fill(0));
  gpu.write(to, Float32Array.of(7, 8, 9), 6);
  assertEquals([...await readTensor(gpu, to)], [...rounded.slice(0, 6), 7, 8, 9]);
  assertThrows(
    () => gpu.write(to, [1, 3.4e38]),
    RangeError,
    "Cannot store 3.4e+38 at 1 of tensor: bf16",
  );
  assertThrows(() => gpu.write(to, [1], 3), RangeError, "bf16 is written two at a time");
});

test.onGpu("a tensor in several buffers is written, viewed, copied, cleared and read as one", async (gpu) => {
  for (const dtype of ["f32", "f16"] as const) {
    const cuts = [128, 384];
    const values = Array.from({ length: 500 }, (_, i) => i);
    const before = gpu.counters.buffersCreated;
    const from = gpu.tensor([500], { data: values, dtype, cuts });
    assertEquals(gpu.counters.buffersCreated - before, 3);
    assertEquals([...await readTensor(gpu, from)], values);
    assertEquals(from.pieces.map(({ length, piece }) => [length, piece]), [[128, 0], [256, 1], [
      116,
      2,
    ]]);
    const view = from.view([300], { elementOffset: 100 });
    assertEquals([...await readTensor(gpu, view)], values.slice(100, 400));
    assertEquals(view.cuts, [28, 284]);
    assertThrows(() => view.storage, Error, "lies in several buffers");
    const to = gpu.tensor([500], { dtype, cuts });
    submit(gpu, [{ copy: from, to }, { clear: from.view([10], { elementOffset: 124 }) }]);
    assertEquals([...await readTensor(gpu, to)], values);
    const cleared = values.map((value) => value >= 124 && value < 134 ? 0 : value);
    assertEquals([...await readTensor(gpu, from)], cleared);
    gpu.write(to, new Float32Array(300), 100);
    assertEquals([...await readTensor(gpu, to)], values.map((v) => v >= 100 && v < 400 ? 0 : v));
    const { bytesAllocated } = gpu.counters;
    gpu.destroyTensor(from);
    assertEquals(bytesAllocated - gpu.counters.bytesAllocated, from.byteLength);
    gpu.destroyTensor(to);
  }
});

test.onGpu("tensors of halves are written, copied, cleared and read, odd lengths too", async (gpu) => {
  const values = [0, 1, -2.5, 65504, -65504, 2 ** -14, 2 ** -24, 1 + 2 ** -11, 1 + 3 * 2 ** -11];
  const rounded = [...Float16Array.from(values)];
  const from = gpu.tensor([9], { data: values, dtype: "f16" });
  assertEquals(from.byteLength, 20);
  assertEquals([...await readTensor(gpu, from)], rounded);
  const to = gpu.tensor([9], { dtype: "f16" });
  submit(gpu, [{ copy: from, to }, { clear: from }]);
  assertEquals([...await readTensor(gpu, to)], rounded);
  assertEquals([...await readTensor(gpu, from)], new Array(9).fill(0));
  gpu.write(to, [7, 8, 9], 6);
  assertEquals([...await readTensor(gpu, to)], [...rounded.slice(0, 6), 7, 8, 9]);

  for (const value of [65505, -7e4, Infinity]) {
    assertThrows(
      () => gpu.write(to, [1, value]),
      RangeError,
      `Cannot store ${value} at 1 of tensor: f16 holds numbers from -65504 to 65504`,
    );
  }
  assertThrows(() => gpu.write(to, [1], 3), RangeError, "two at a time");
  assertThrows(() => gpu.write(to, [1], 2), RangeError, "two at a time");
  assertThrows(() => submit(gpu, [{ copy: to, to: gpu.tensor([9]) }]), RangeError, "f16 to f32");
});
