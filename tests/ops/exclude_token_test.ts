import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { excludeToken } from "../../src/ops/exclude_token.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";

test.onDevices("excludeToken() writes one column of as many rows as there are", async (gpu) => {
  const [most, columns, column] = [700, 65, 64];
  const rows = new Dim("rows", most);
  const plan = new Plan(gpu, "test");
  const logits = gpu.tensor([most, columns]);
  excludeToken(plan, logits.view([rows, columns]), column);
  await plan.compile();
  for (const count of [1, 63, 64, 257, 700]) {
    const data = randomArray(count, most * columns);
    rows.value = count;
    gpu.write(logits, data);
    submit(gpu, [plan]);
    const wanted = data.map((x, i) =>
      i % columns === column && i < count * columns ? Math.fround(-1e30) : x
    );
    assertEquals(await readTensor(gpu, logits), Float32Array.from(wanted));
  }
  plan.destroy();
  gpu.destroyTensor(logits);
});

test.onDevices("excludeToken() refuses a column that there is not", (gpu) => {
  const plan = new Plan(gpu, "test");
  const logits = plan.input([3, 4], "logits");
  for (const column of [-1, 4, 0.5]) {
    assertThrows(() => excludeToken(plan, logits, column), RangeError, `and ${column}`);
  }
});
