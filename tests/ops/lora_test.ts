import { assertEquals, assertThrows } from "@std/assert";
import { Plan } from "../../src/gpu/plan.ts";
import { addLora, type LoraWeights, widenLora } from "../../src/ops/lora.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { checkOp } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { matmul } from "../reference/matmul.ts";
import { test } from "../helpers/test.ts";

const CASES = [
  { T: 7, K: 12, rank: 4, rows: [8], adapted: [true] },
  { T: 19, K: 64, rank: 8, rows: [32, 16, 16], adapted: [true, true, true] },
  { T: 9, K: 16, rank: 2, rows: [24, 8, 8], adapted: [true, false, true] },
  { T: 33, K: 40, rank: 16, rows: [48, 48], adapted: [false, true] },
];

test.onDevices("addLora() matches x (W + s B A)ᵀ in float64, with the gradients of x, A and B", async (gpu) => {
  for (const { T, K, rank, rows, adapted } of CASES) {
    const N = rows.reduce((n, size) => n + size, 0);
    const modules = adapted.filter(Boolean).length;
    const scale = 1.75;
    for (const dtype of ["f32", "f16"] as const) {
      const { gradients } = await checkOp(gpu, `${rows} ${adapted} ${dtype}`, {
        inputs: {
          x: { shape: [T, K], data: randomArray(1, T * K) },
          weight: { shape: [N, K], data: randomArray(2, N * K), dtype },
          a: {
            shape: [modules * rank, K],
            data: randomArray(3, modules * rank * K),
            parameter: true,
          },
          b: { shape: [N, rank], data: randomArray(4, N * rank), parameter: true },
        },
        withoutGradient: ["weight"],
        build: (plan, { x, weight, a, b }) => {
          const wide = plan.empty([N, modules * rank], "wide");
          const weights: LoraWeights = { a: a!, b: b!, wide, rows, adapted, scale };
          widenLora(plan, weights, "lora");
          const y = linear(plan, x!, weight!);
          addLora(plan, x!, y, weights, "lora");
          return { y };
        },
        reference: ({ x, weight, a, b }) => {
          const effective = Float64Array.from(weight!);
          let [first, module] = [0, 0];
          for (const [i, size] of rows.entries()) {
            if (adapted[i]) {
              const ba = matmul(
                b!.subarray(first * rank, (first + size) * rank),
                a!.subarray(module * rank * K, (module + 1) * rank * K),
                { m: size, n: K, k: rank },
              );
              for (const [j, value] of ba.entries()) effective[first * K + j]! += scale * value;
              module++;
            }
            first += size;
          }
          return { y: matmul(x!, effective, { m: T, n: N, k: K, transB: true }) };
        },
        outputGradients: { y: randomArray(5, T * N) },
      });
      // B of a matrix that is not adapted stays where it is.
      let first = 0;
      for (const [i, size] of rows.entries()) {
        const own = gradients.b!.slice(first * rank, (first + size) * rank);
        assertEquals(own.some((g) => g !== 0), adapted[i]);
        first += size;
      }
    }
  }
});

test.onDevices("addLora() refuses shapes that do not fit", (gpu) => {
  const plan = new Plan(gpu, "p");
  const weights = {
    a: gpu.tensor([4, 8]),
    b: gpu.tensor([16, 4]),
    wide: gpu.tensor([16, 8]),
    rows: [16],
    adapted: [true],
    scale: 1,
  };
  assertThrows(
    () => addLora(plan, gpu.tensor([2, 8]), gpu.tensor([2, 16]), weights, "lora"),
    RangeError,
    "wide (N, M r)",
  );
});
