import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../../src/gpu/plan.ts";
import { readTensor, submit } from "../../../src/gpu/submit.ts";
import { Dim } from "../../../src/gpu/tensor.ts";
import { add } from "../../../src/ops/general/add.ts";
import { checkOp } from "../../helpers/gpu.ts";
import { randomArray } from "../../helpers/random.ts";
import { test } from "../../helpers/test.ts";

test.onDevices("add() matches float64, forward and gradient", async (gpu) => {
  for (const shape of [[1], [3], [63], [8, 8], [5, 13], [257, 260]]) {
    for (const parameter of [false, true]) {
      const n = shape.reduce((a, b) => a * b);
      await checkOp(gpu, `${shape}`, {
        inputs: {
          a: { shape, data: randomArray(1, n), parameter },
          b: { shape, data: randomArray(2, n) },
        },
        build: (plan, { a, b }) => ({ y: add(plan, a!, b!) }),
        reference: ({ a, b }) => ({ y: a!.map((v, i) => v + b![i]!) }),
        outputGradients: { y: randomArray(3, n) },
      });
    }
  }
});

test.onDevices("add() of a tensor with itself has twice the gradient", async (gpu) => {
  for (const n of [7, 64]) {
    await checkOp(gpu, `${n}`, {
      inputs: { x: { shape: [n], data: randomArray(4, n) } },
      build: (plan, { x }) => ({ y: add(plan, add(plan, x!, x!, { name: "twice" }), x!) }),
      reference: ({ x }) => ({ y: x!.map((v) => 3 * v) }),
      outputGradients: { y: randomArray(5, n) },
    });
  }
});

test.onDevices("add() follows a dimension that varies", async (gpu) => {
  for (const width of [3, 4]) {
    const rows = new Dim("T", 100);
    const plan = new Plan(gpu, "p");
    const a = plan.input([rows, width], "a");
    const b = plan.input([rows, width], "b");
    const y = plan.keep(add(plan, a, b));
    await plan.compile();
    const ones = new Float32Array(100 * width).fill(1);
    for (const tensor of [a, b]) gpu.write(tensor, ones);
    rows.value = 37;
    submit(gpu, [plan]);
    rows.value = 100;
    const values = await readTensor(gpu, y);
    assertEquals([...values.subarray(0, 37 * width)], Array(37 * width).fill(2));
    assertEquals([...values.subarray(37 * width)], Array(63 * width).fill(0));
    plan.destroy();
  }
});

test.onDevices("add() refuses shapes that differ", (gpu) => {
  const plan = new Plan(gpu, "p");
  assertThrows(() => add(plan, gpu.tensor([4]), gpu.tensor([5])), RangeError, "equal shapes");
  assertThrows(() => add(plan, gpu.tensor([2, 2]), gpu.tensor([4])), RangeError, "equal shapes");
});
