import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { type ResponseWeightOptions, responseWeights } from "../../src/ops/response_weights.ts";
import {
  AGGREGATIONS,
  type LossAggregation,
  type LossScope,
} from "../../src/objective/aggregation.ts";
import { lossWeights } from "../../src/objective/loss_weights.ts";
import vectors from "../fixtures/paper_vectors.json" with { type: "json" };
import { assertClose } from "../helpers/assert_close.ts";
import { randomIntegers } from "../helpers/random.ts";
import { test } from "../helpers/test.ts";

const M = 8192;

/** What the kernel gives for these lengths. */
async function compute(
  gpu: Gpu,
  lengths: ArrayLike<number>,
  options: ResponseWeightOptions,
): Promise<ArrayLike<number>> {
  const plan = new Plan(gpu, "test");
  const tensor = gpu.tensor([lengths.length], { data: lengths, dtype: "u32" });
  const weights = plan.keep(responseWeights(plan, tensor, options));
  await plan.compile();
  submit(gpu, [plan]);
  const values = await readTensor(gpu, weights);
  plan.destroy();
  return values;
}

interface Rule {
  lossAggregation: LossAggregation;
  lossScope?: LossScope;
  lossAlpha?: number;
  lossMicroBatchSize?: number;
  lossLambda?: number;
  lossLambdaSpread?: number;
}

const RULES: Rule[] = [
  ...(Object.keys(AGGREGATIONS) as LossAggregation[]).map((lossAggregation) => ({
    lossAggregation,
  })),
  { lossAggregation: "dapoMicroBatch", lossMicroBatchSize: 7 },
  { lossAggregation: "lambdaGrpo", lossLambda: -4 },
  { lossAggregation: "lambdaGrpo", lossLambda: 3, lossLambdaSpread: 0.3 },
  ...(["batch", "miniBatch", "group"] as const).flatMap((lossScope) =>
    [0, 0.5, 0.75, 1, 1.5].map((lossAlpha) =>
      ({ lossAggregation: "deltaL", lossScope, lossAlpha }) as const
    )
  ),
];

test.onDevices("responseWeights() matches the host's float64 for every rule, scope and mini-batch", async (gpu) => {
  const cases = [
    { responses: 1, numGenerations: 1, start: 0, end: 1 },
    { responses: 65, numGenerations: 5, start: 20, end: 40 },
    { responses: 260, numGenerations: 4, start: 3, end: 258 },
    { responses: 64, numGenerations: 64, start: 0, end: 64 },
  ];
  for (const rule of RULES) {
    for (const { responses, numGenerations, start, end } of cases) {
      const lengths = randomIntegers(responses, responses, M).map((x) => x + 1);
      for (let i = 5; i < responses; i += 7) lengths[i] = 0;
      const miniBatch = { start, end };
      const options = { ...rule, lossScaleFactor: M, numGenerations };
      const wanted = new Float64Array(responses);
      wanted.set(lossWeights(lengths, { ...options, miniBatch }), start);
      const got = await compute(gpu, lengths, { ...options, ...miniBatch });
      const label = `${JSON.stringify(rule)}, ${start} ... ${end} of ${responses}`;
      assertClose(got, wanted, { tolerance: 1e-5, label });
      for (let i = 0; i < responses; i++) {
        if (wanted[i] === 0) assertEquals(got[i], 0, label);
        else assertClose([got[i]!], [wanted[i]!], { tolerance: 1e-5, label }); // the small ones too
      }
    }
  }
});

test.onDevices("responseWeights() gives the coefficients of the paper", async (gpu) => {
  const { lengths, M, by_alpha } = vectors.weights;
  for (const [alpha, { x }] of Object.entries(by_alpha)) {
    const got = await compute(gpu, lengths, {
      lossAggregation: "deltaL",
      lossAlpha: () => Number(alpha),
      lossScaleFactor: M,
    });
    assertClose(got, x, { tolerance: 1e-6, label: `alpha ${alpha}` });
  }
});

test.onDevices("responseWeights() of deltaL at alpha 0 is drGrpo exactly, and cannot overflow", async (gpu) => {
  const lengths = [3, 7, 12, 0, 12, 40];
  const rule = { lossScaleFactor: 48 };
  assertEquals(
    await compute(gpu, lengths, { ...rule, lossAggregation: "deltaL", lossAlpha: 0 }),
    await compute(gpu, lengths, { ...rule, lossAggregation: "drGrpo" }),
  );
  const steep = { ...rule, lossAggregation: "deltaL", lossAlpha: 60 } as const;
  assertClose(
    await compute(gpu, [5000, 0, 6000], steep),
    lossWeights([5000, 0, 6000], steep),
    { tolerance: 1e-5 },
  );
});

test.onDevices("responseWeights() gives 0 where every response is empty", async (gpu) => {
  for (const rule of RULES) {
    const options = { ...rule, lossScaleFactor: M, numGenerations: 2 };
    assertEquals(Array.from(await compute(gpu, [0, 0, 0, 0], options)), [0, 0, 0, 0]);
    // The mini-batch is empty, the batch is not.
    const got = await compute(gpu, [0, 0, 5, 6], { ...options, end: 2 });
    assertEquals(Array.from(got), [0, 0, 0, 0]);
  }
});

test.onDevices("responseWeights() reads its numbers before each run, and refuses impossible ones", async (gpu) => {
  const responses = new Dim("responses", 6);
  const plan = new Plan(gpu, "test");
  const lengths = plan.input([responses], "lengths", "u32");
  const now = { start: 0, end: 6, alpha: 1, generations: 3, scale: 2 };
  const weights = plan.keep(responseWeights(plan, lengths, {
    lossAggregation: "deltaL",
    lossScope: "group",
    lossAlpha: () => now.alpha,
    lossScaleFactor: () => now.scale,
    numGenerations: () => now.generations,
    start: () => now.start,
    end: () => now.end,
  }));
  await plan.compile();
  gpu.write(lengths, [1, 2, 3, 4, 5, 6]);
  Object.assign(now, { start: 2, end: 4, generations: 2, alpha: 0.5, scale: 7 });
  responses.value = 4;
  submit(gpu, [plan]);
  const wanted = lossWeights([1, 2, 3, 4], {
    lossScope: "group",
    lossAlpha: 0.5,
    lossScaleFactor: 7,
    numGenerations: 2,
    miniBatch: { start: 2, end: 4 },
  });
  assertClose(await readTensor(gpu, weights), [0, 0, ...wanted], { tolerance: 1e-6 });
  const refuse = (change: Partial<typeof now>, message: string) => {
    const before = { ...now };
    Object.assign(now, change);
    assertThrows(() => submit(gpu, [plan]), RangeError, message);
    Object.assign(now, before);
  };
  refuse({ end: 5 }, "end is 5");
  refuse({ start: 5 }, "start is 5");
  refuse({ generations: 3 }, "numGenerations is 3: it must divide");
  refuse({ alpha: -1 }, "lossAlpha is -1");
  refuse({ scale: 0 }, "lossScaleFactor is 0");
});

test.onDevices("responseWeights() refuses a rule without its options", (gpu) => {
  const plan = new Plan(gpu, "p");
  const lengths = gpu.tensor([4], { dtype: "u32" });
  assertThrows(
    () => responseWeights(plan, lengths, { lossAggregation: "deltaL" }),
    RangeError,
    "needs lossScaleFactor",
  );
  assertThrows(
    () => responseWeights(plan, lengths, { lossAggregation: "promptMean" }),
    RangeError,
    "needs numGenerations",
  );
  assertThrows(
    () => responseWeights(plan, gpu.tensor([4]), { lossAggregation: "grpo" }),
    RangeError,
    "in u32",
  );
});
