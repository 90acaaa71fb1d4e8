import { assert, assertThrows } from "@std/assert";
import { Plan } from "../../../src/gpu/plan.ts";
import { Dim } from "../../../src/gpu/tensor.ts";
import { add } from "../../../src/ops/general/add.ts";
import { softmax } from "../../../src/ops/general/softmax.ts";
import { checkOp, runOp } from "../../helpers/gpu.ts";
import { randomArray } from "../../helpers/random.ts";
import { softmax as reference } from "../../reference/softmax.ts";
import { test } from "../../helpers/test.ts";

test.onDevices("softmax() matches float64, forward and gradient", async (gpu) => {
  const cases = [[1, 1], [3, 3], [2, 64], [65, 63], [257, 65], [5, 260], [3, 1028]] as const;
  for (const [rows, columns] of cases) {
    const n = rows * columns;
    await checkOp(gpu, `${rows} x ${columns}`, {
      inputs: { x: { shape: [rows, columns], data: randomArray(1, n, 3) } },
      build: (plan, { x }) => ({ y: softmax(plan, x!) }),
      reference: ({ x }) => ({ y: reference(x!, rows, columns) }),
      outputGradients: { y: randomArray(2, n) },
    });
  }
});

test.onDevices("softmax() takes rows longer than a lane can walk", async (gpu) => {
  for (const columns of [40_001, 70_002, 600_000]) {
    await checkOp(gpu, `${columns}`, {
      inputs: { x: { shape: [2, columns], data: randomArray(5, 2 * columns, 3) } },
      build: (plan, { x }) => ({ y: softmax(plan, x!) }),
      reference: ({ x }) => ({ y: reference(x!, 2, columns) }),
    });
  }
});

test.onDevices("softmax() adds to a gradient that is there already", async (gpu) => {
  for (const columns of [12, 13]) {
    await checkOp(gpu, `${columns}`, {
      inputs: { x: { shape: [3, columns], data: randomArray(3, 3 * columns) } },
      build: (plan, { x }) => ({ y: add(plan, softmax(plan, x!), x!) }),
      reference: ({ x }) => {
        const y = reference(x!, 3, columns);
        return { y: y.map((v, i) => v + x![i]!) };
      },
      outputGradients: { y: randomArray(4, 3 * columns) },
    });
  }
});

test.onDevices("softmax() is exact about huge, masked and undefined logits", async (gpu) => {
  for (const columns of [8, 9]) {
    const pad = (values: number[], rest: number) =>
      Array.from({ length: columns }, (_, i) => values[i] ?? rest);
    const finite = [...pad([1e6, 1e6 + 1], -1e30), ...pad([-1e6, -1e6 + 1], -Infinity)];
    await checkOp(gpu, `${columns} columns`, {
      inputs: { x: { shape: [2, columns], data: Float32Array.from(finite) } },
      build: (plan, { x }) => ({ y: softmax(plan, x!) }),
      reference: ({ x }) => ({ y: reference(x!, 2, columns) }),
    });
    const bad = [...pad([], -Infinity), ...pad([0, 1, NaN], 2), ...pad([Infinity], 0)];
    const { outputs } = await runOp(gpu, {
      inputs: { x: { shape: [3, columns], data: bad } },
      build: (plan, { x }) => ({ y: softmax(plan, x!) }),
      reference: () => ({}),
    });
    assert(outputs.y!.every((v) => Number.isNaN(v)), `${outputs.y}`);
  }
});

test.onDevices("softmax() refuses shapes without fixed rows", (gpu) => {
  const plan = new Plan(gpu, "p");
  assertThrows(() => softmax(plan, gpu.tensor([4])), RangeError, "(R, C)");
  assertThrows(() => softmax(plan, gpu.tensor([4, 0])), RangeError, "not 0");
  const x = plan.input([2, new Dim("C", 4)], "x");
  assertThrows(() => softmax(plan, x), RangeError, "fixed");
});
