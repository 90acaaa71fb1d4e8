import { assertEquals, assertThrows } from "@std/assert";
import { openGpu } from "../../src/gpu/device.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";

Deno.test("a submit copies and clears tensors and views in order", async () => {
  const gpu = await openGpu();
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
  await gpu.close();
});

Deno.test("readTensor() reads long tensors piece by piece", async () => {
  const gpu = await openGpu();
  for (const dtype of ["f32", "u32", "i32"] as const) {
    const data = Array.from({ length: 1001 }, (_, i) => i * 3);
    const rows = new Dim("rows", 1001);
    const tensor = gpu.tensor([rows], { data, dtype });
    const created = gpu.counters.buffersCreated;
    const whole = await readTensor(gpu, tensor);
    assertEquals(gpu.counters.buffersCreated - created, 1);
    assertEquals([...whole], data);
    assertEquals(await readTensor(gpu, tensor, { pieceLength: 256 }), whole);
    assertEquals(gpu.counters.buffersCreated - created, 5);
    rows.value = 300;
    assertEquals([...await readTensor(gpu, tensor, { pieceLength: 256 })], data.slice(0, 300));
  }
  await gpu.close();
});
