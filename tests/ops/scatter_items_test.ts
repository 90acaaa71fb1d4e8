import { assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { scatterItems } from "../../src/ops/scatter_items.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";

test.onDevices("scatterItems() brings every item to its place and touches nothing else", async (gpu) => {
  const items = new Dim("items", 3000);
  const plan = new Plan(gpu, "test");
  const values = plan.input([items], "values");
  const itemSequences = plan.input([items], "item_sequences", "u32");
  const itemPositions = plan.input([items], "item_positions", "u32");
  const matrix = gpu.tensor([70, 65]);
  scatterItems(plan, values, { itemSequences, itemPositions, items }, matrix);
  await plan.compile();
  const random = new Random(1);
  for (const count of [1, 3, 63, 64, 65, 257, 3000]) {
    const places = random.shuffle(Array.from({ length: 70 * 65 }, (_, i) => i)).slice(0, count);
    const data = randomArray(count, count);
    items.value = count;
    gpu.write(matrix, new Float32Array(70 * 65).fill(-7));
    gpu.write(values, data);
    gpu.write(itemSequences, places.map((at) => Math.floor(at / 65)));
    gpu.write(itemPositions, places.map((at) => at % 65));
    submit(gpu, [plan]);
    const wanted = new Float32Array(70 * 65).fill(-7);
    places.forEach((at, i) => wanted[at] = data[i]!);
    assertEquals(await readTensor(gpu, matrix), wanted);
  }
  plan.destroy();
});

test.onDevices("scatterItems() refuses shapes that do not fit", (gpu) => {
  const plan = new Plan(gpu, "test");
  const items = new Dim("items", 4);
  const u32 = (n: number) => gpu.tensor([n], { dtype: "u32" });
  const places = { itemSequences: u32(4), itemPositions: u32(3), items };
  const matrix = gpu.tensor([2, 2]);
  assertThrows(
    () => scatterItems(plan, gpu.tensor([4]), places, matrix),
    RangeError,
    "itemPositions of 4 items: got [3]",
  );
  assertThrows(
    () => scatterItems(plan, gpu.tensor([4]), { ...places, itemPositions: u32(4) }, u32(4)),
    RangeError,
    "matrix (B, M): got [4]",
  );
});
