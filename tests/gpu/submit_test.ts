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
