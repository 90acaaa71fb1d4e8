import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Gpu } from "../../src/gpu/device.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import { headSample } from "../../src/ops/head_sample.ts";
import { sample, type SampleState } from "../../src/ops/sample.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { withLimits } from "../helpers/gpu.ts";
import { randomArray } from "../helpers/random.ts";
import { progress } from "../helpers/side_by_side.ts";
import { test } from "../helpers/test.ts";

const [ROWS, INNER, VOCABULARY, LENGTH] = [21, 16, 700, 3];

/** Samples three tokens of each row from hidden states that do not change. */
async function draw(
  gpu: Gpu,
  how: { maxBytes?: number; fused: boolean; temperature: number; excludedToken?: number },
) {
  const u32 = (shape: number[], data: ArrayLike<number> = []) =>
    gpu.tensor(shape, { dtype: "u32", data });
  const state: SampleState = {
    tokens: u32([ROWS, LENGTH]),
    logProbs: gpu.tensor([ROWS, LENGTH]),
    entropySums: gpu.tensor([ROWS]),
    ...progress(gpu, ROWS),
  };
  const rows = new Dim("rows", ROWS);
  const hidden = gpu.tensor([ROWS, INNER], { data: randomArray(1, ROWS * INNER) })
    .view([rows, INNER]);
  const weight = gpu.tensor([VOCABULARY, INNER], { data: randomArray(2, VOCABULARY * INNER, 2) });
  // Sequence b reads row b or, as after a prefill, one of few.
  const all = Array.from({ length: ROWS }, (_, b) => b);
  const active = { rows: u32([ROWS], all.map((b) => b % 13)), slots: u32([ROWS], all) };
  const { temperature, fused, maxBytes, excludedToken } = how;
  const options = { temperature, seed: 3, step: 1, limit: LENGTH, eosTokenIds: u32([1], [5]) };
  const plan = new Plan(gpu, "draw");
  if (fused) {
    headSample(plan, hidden, weight, active, state, {
      ...options,
      excludedToken,
      ...(maxBytes ? { maxBytes } : {}),
    });
  } else sample(plan, linear(plan, hidden, weight), active, state, options);
  await plan.compile();
  rows.value = 13;
  const before = gpu.counters.dispatches;
  submit(gpu, [{ plan, times: LENGTH }]);
  const dispatches = gpu.counters.dispatches - before;
  const values = await Promise.all(
    Object.values(state).map(async (t) => Array.from(await readTensor(gpu, t))),
  );
  plan.destroy();
  return { values, dispatches };
}

test.onDevices("headSample() draws the same tokens however rows and vocabulary are cut", async (gpu) => {
  for (const temperature of [0, 0.8]) {
    const whole = await draw(gpu, { fused: false, temperature });
    assertEquals(new Set(whole.values[0]).size > 5, true);
    const inRows = await draw(gpu, { fused: true, temperature, maxBytes: 4 * 4 * VOCABULARY });
    assertEquals(inRows.values, whole.values);
    // 128 rows of the head and the logits of 5 rows are all that can be bound.
    const small = withLimits(gpu, 16384);
    const inRanges = await draw(small, { fused: true, temperature });
    assertEquals(inRanges.values, whole.values);
    assertNotEquals(inRanges.dispatches, inRows.dispatches);
    assertNotEquals(inRows.dispatches, whole.dispatches);
  }
});

test.onDevices("headSample() never draws the token that is left out", async (gpu) => {
  for (const temperature of [0, 0.05, 0.8]) {
    const drawn = (of: { values: number[][] }) => of.values[0]!;
    const free = drawn(await draw(gpu, { fused: true, temperature }));
    const excludedToken = free[0]!;
    for (const device of [gpu, withLimits(gpu, 16384)]) {
      const without = await draw(device, { fused: true, temperature, excludedToken });
      assertEquals(drawn(without).includes(excludedToken), false);
      assertEquals(without.values.flat().every(Number.isFinite), true);
    }
  }
});

Deno.test("headSample() says so where not even the logits of some rows can be bound", async () => {
  const limits = { maxStorageBufferBindingSize: 2 ** 14, maxBufferSize: 2 ** 14 };
  const device = { limits, features: new Set() };
  const gpu = await Gpu.fromDevice(dryDevice(device as unknown as GPUDevice));
  const plan = new Plan(gpu, "p");
  const u32 = (n: number) => plan.input([n], "ids", "u32");
  const state = {
    tokens: plan.input([4, 1], "tokens", "u32"),
    logProbs: plan.input([4, 1], "log_probs"),
    entropySums: plan.input([4], "entropies"),
    ...progress(gpu, 4),
  };
  const weight = new Plan(gpu, "w").input([8192, 4], "lm_head.weight");
  assertThrows(
    () =>
      headSample(
        plan,
        plan.input([4, 4], "hidden"),
        weight,
        { rows: u32(4), slots: u32(4) },
        state,
        { temperature: 1, seed: 1, step: 1, limit: 1, eosTokenIds: u32(1) },
      ),
    RangeError,
    "smaller vocabulary",
  );
});
