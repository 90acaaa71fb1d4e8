import { assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { add } from "../../src/ops/general/add.ts";
import { swiglu } from "../../src/ops/swiglu.ts";
import { checkOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { swiglu as reference } from "../reference/swiglu.ts";
import { test } from "../helpers/test.ts";

test.onDevices("swiglu() matches float64, forward and gradient", async (gpu) => {
  const cases = [[1, 4], [3, 64], [65, 36], [257, 260], [2, 1284]] as const;
  for (const [tokens, features] of cases) {
    await checkOp(gpu, `${tokens} x ${features}`, {
      inputs: {
        gateUp: { shape: [tokens, 2 * features], data: randomArray(1, 2 * tokens * features, 3) },
      },
      build: (plan, { gateUp }) => ({ y: swiglu(plan, gateUp!) }),
      reference: ({ gateUp }) => ({ y: reference(gateUp!, tokens, features) }),
      outputGradients: { y: randomArray(2, tokens * features) },
    });
  }
});

test.onDevices("swiglu() adds to a gradient that is there already", async (gpu) => {
  const [tokens, features] = [5, 12];
  const sum = (a: Float64Array, b: Float64Array) => a.map((v, i) => v + b[i]!);
  await checkOp(gpu, "parameter", {
    inputs: {
      gateUp: {
        shape: [tokens, 2 * features],
        data: randomArray(3, 2 * tokens * features),
        parameter: true,
      },
    },
    build: (plan, { gateUp }) => ({
      y: add(plan, swiglu(plan, gateUp!, { name: "a" }), swiglu(plan, gateUp!, { name: "b" })),
    }),
    reference: ({ gateUp }) => {
      const once = reference(gateUp!, tokens, features);
      return { y: sum(once, once) };
    },
    outputGradients: { y: randomArray(4, tokens * features) },
  });
});

test.onDevices("swiglu() stays finite for large gates", async (gpu) => {
  const gateUp = Float32Array.of(-1e4, -100, 100, 1e4, 2, 2, 2, 2);
  await checkOp(gpu, "large gates", {
    inputs: { gateUp: { shape: [1, 8], data: gateUp } },
    build: (plan, inputs) => ({ y: swiglu(plan, inputs.gateUp!) }),
    reference: (inputs) => ({ y: reference(inputs.gateUp!, 1, 4) }),
    outputGradients: { y: [1, 1, 1, 1] },
  });
});

test.onDevices("swiglu() refuses a width that is not twice a multiple of 4", (gpu) => {
  const plan = new Plan(gpu, "p");
  assertThrows(() => swiglu(plan, gpu.tensor([2, 12])), RangeError, "multiple of 4");
  assertThrows(() => swiglu(plan, gpu.tensor([16])), RangeError, "multiple of 4");
});
