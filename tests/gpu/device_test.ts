import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import type { DType } from "../../src/gpu/tensor.ts";
import { test } from "../helpers/test.ts";

Deno.test("openGpu() without an adapter names the remedy", async () => {
  const original = Object.getOwnPropertyDescriptor(globalThis, "navigator")!;
  const none = { gpu: { requestAdapter: () => Promise.resolve(null) } };
  Object.defineProperty(globalThis, "navigator", { value: none, configurable: true });
  try {
    await assertRejects(() => openGpu(), Error, "sh setup.sh");
  } finally {
    Object.defineProperty(globalThis, "navigator", original);
  }
});

Deno.test("openGpu() takes a device that the caller brings, and leaves it open", async () => {
  const owner = await openGpu();
  const guest = await openGpu({ device: owner.device });
  const tensor = guest.tensor([3], { data: [1, 2, 3] });
  assertEquals(await readTensor(guest, tensor), Float32Array.of(1, 2, 3));
  await guest.close();
  assertThrows(() => guest.tensor([1]), Error, "closed");
  assertEquals(await readTensor(owner, owner.tensor([1], { data: [7] })), Float32Array.of(7));
  await owner.close();
});

test.onGpu("a device lost behind our back is reported at the next call", async (gpu) => {
  const guest = await Gpu.fromDevice(gpu.device);
  gpu.device.destroy();
  await gpu.device.lost;
  assertThrows(() => guest.check(), Error, "The GPU device was lost");
  assertThrows(() => submit(guest, []), Error, "Resume from the last checkpoint");
});

test.onGpu("an error nobody caught stops the next call", async (gpu) => {
  gpu.device.createBuffer({ size: 16, usage: 0x8000, label: "impossible" });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertThrows(() => gpu.check(), Error, "The GPU reported an error");
});

test.onGpu("values of every type make the round trip", async (gpu) => {
  const cases = [
    ["f32", Float32Array.of(1.5, -0, 3e38)],
    ["u32", Uint32Array.of(0, 7, 2 ** 32 - 1)],
    ["i32", Int32Array.of(-1, 0, 2 ** 31 - 1)],
  ] as const;
  for (const [dtype, data] of cases) {
    assertEquals(await readTensor(gpu, gpu.tensor([3], { data, dtype })), data);
  }
  const t = gpu.tensor([4], { data: [1, 2, 3, 4] });
  gpu.write(t, [9], 2);
  assertEquals(await readTensor(gpu, t), Float32Array.of(1, 2, 9, 4));
  assertThrows(() => gpu.write(t, [1, 2], 3), RangeError, "Cannot write 2 values at 3");
});

test.onGpu("lists of numbers with anything else in them are refused, by place", async (gpu) => {
  const refused = (dtype: DType, bad: unknown, message: string) => {
    const tensor = gpu.tensor([4], { dtype, name: "x" });
    assertThrows(() => gpu.write(tensor, [1, bad as number], 2), RangeError, message);
    gpu.destroyTensor(tensor);
  };
  for (const dtype of ["f32", "f16", "u32", "i32"] as const) {
    refused(dtype, null, "Cannot write null at 3 of x");
    refused(dtype, undefined, "Cannot write undefined at 3 of x");
    refused(dtype, "1", 'Cannot write "1" at 3 of x');
  }
  refused("u32", -1, "Cannot write -1 at 3 of x: u32 holds integers from 0 to 4294967295");
  refused("u32", 0.5, "Cannot write 0.5 at 3 of x");
  refused("i32", 2 ** 31, "i32 holds integers from -2147483648 to 2147483647");
  refused("u32", NaN, "Cannot write NaN at 3 of x");
  const floats = gpu.tensor([2], { data: [NaN, -Infinity] });
  assertEquals(await readTensor(gpu, floats), Float32Array.of(NaN, -Infinity));
});

test.onGpu("a readback gives the values at the time of its submit, many times over", async (gpu) => {
  const a = gpu.tensor([2], { name: "a" });
  const b = gpu.tensor([3], { dtype: "u32", name: "b" });
  const readback = new Readback(gpu, [a, b]);
  for (let i = 0; i < 20; i++) {
    gpu.write(a, [i, -i]);
    gpu.write(b, [i, i + 1, i + 2]);
    submit(gpu, [], readback);
    const [floats, integers] = await readback.take();
    assertEquals([floats, integers], [Float32Array.of(i, -i), Uint32Array.of(i, i + 1, i + 2)]);
    // Each array has its tensor's type: of a union of arrays no sum could be written.
    assertEquals(floats.reduce((sum, v) => sum + v, 0), 0);
    assertEquals(integers.reduce((sum, v) => sum + v, 0), 3 * i + 3);
  }
  readback.destroy();
});

test.onGpu("memory is counted when it is taken and given back", (gpu) => {
  const before = gpu.counters.bytesAllocated;
  const t = gpu.tensor([1000]);
  assertEquals(gpu.counters.bytesAllocated - before, 4000);
  gpu.destroyTensor(t);
  assertEquals(gpu.counters.bytesAllocated, before);
  assert(gpu.counters.peakBytesAllocated >= before + 4000);
});

test.onGpu("reading in a loop does not await each time, and lets timers and errors through", async (gpu) => {
  const tensor = gpu.tensor([1], { data: [5] });
  const readback = new Readback(gpu, [tensor]);
  let timer = false;
  setTimeout(() => timer = true, 0);
  const start = performance.now();
  let reads = 0;
  while (!timer && performance.now() - start < 5000) {
    submit(gpu, [], readback);
    const [[value]] = await readback.take() as [Float32Array];
    assertEquals(value, 5);
    reads++;
  }
  assert(timer, "a timer waited for five seconds");
  if (gpu.mapsSynchronously) assert(reads > 1, "every read gave up its turn");
  gpu.device.createBuffer({ size: 16, usage: 0x8000, label: "impossible" });
  await assertRejects(
    async () => {
      while (performance.now() - start < 10_000) {
        submit(gpu, [], readback);
        await readback.take();
      }
    },
    Error,
    "The GPU reported an error",
  );
});
