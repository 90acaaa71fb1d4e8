import { assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { Dim, type Tensor } from "../../src/gpu/tensor.ts";
import { type Division, partCount, partialSum, partTerms } from "../../src/ops/partial_sums.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { test } from "../helpers/test.ts";
import { randomArray } from "../helpers/random.ts";

/** Sums that a backward pass leaves to {@linkcode partialSum}, and the values of their parts. */
class Sums {
  readonly plan: Plan;
  readonly outs: Tensor[];
  readonly parts: { partials: Tensor; values: Float32Array; division: Division }[] = [];

  constructor(
    gpu: Gpu,
    outs: Tensor[],
    division: (i: number) => Division,
    how: { accumulate: boolean; parameter: boolean },
  ) {
    this.outs = outs;
    this.plan = new Plan(gpu, "sums", { gradients: true });
    const x = gpu.tensor([4]);
    this.plan.requireGradient(x);
    this.plan.onBackward([x], [this.plan.empty([4], "y")], () => {
      for (const [i, out] of outs.entries()) {
        const { partials, addUp } = partialSum(this.plan, out, division(i), {
          ...how,
          label: `out.${i}`,
        });
        addUp();
        const values = randomArray(i, partials.capacity);
        this.parts.push({ partials, values, division: division(i) });
      }
    });
    this.plan.backward();
    for (const { partials } of this.parts) this.plan.keep(partials);
  }

  async run(gpu: Gpu): Promise<void> {
    for (const { partials, values } of this.parts) gpu.write(partials, values);
    submit(gpu, [this.plan]);
    gpu.check();
    await gpu.finish();
  }

  /** What a run adds to the i-th output, in float64. */
  expected(i: number): Float64Array {
    const { values, division } = this.parts[i]!;
    const size = this.outs[i]!.capacity;
    const sum = new Float64Array(size);
    for (let p = 0; p < partCount(division) * size; p++) sum[p % size]! += values[p]!;
    return sum;
  }
}

test.onDevices("sums of parameters' gradients are taken in one dispatch and match float64", async (gpu) => {
  for (const sizes of [[8, 264, 64, 4096], [4, 36, 260], [1, 3, 63, 65, 257, 1]]) {
    const flat = gpu.tensor([64 * 200], { data: randomArray(50, 64 * 200), name: "gradients" });
    let end = 64;
    const outs = sizes.map((size) => {
      const out = flat.view([size], { elementOffset: end });
      end += 64 * Math.ceil((size + 1) / 64);
      return out;
    });
    const terms = new Dim("T", 300);
    const sums = new Sums(
      gpu,
      outs,
      (i) => ({ terms, step: [1, 16, 100][i % 3]!, most: 5 + i }),
      { accumulate: true, parameter: true },
    );
    assertEquals(sums.plan.dispatches, 1);
    await sums.plan.compile();
    for (const tokens of [300, 0, 1, 99, 100, 101]) {
      terms.value = tokens;
      const before = await readTensor(gpu, flat);
      await sums.run(gpu);
      const after = await readTensor(gpu, flat);
      const expected = Float64Array.from(before);
      for (const [i, { rootOffset, capacity }] of outs.entries()) {
        const sum = sums.expected(i);
        for (let k = 0; k < capacity; k++) expected[rootOffset / 4 + k]! += sum[k]!;
      }
      assertClose(after, expected, { tolerance: 1e-6, label: `${sizes}, ${tokens} terms` });
    }
    sums.plan.destroy();
  }
});

test.onDevices("sums that others may read are taken at once, and overwrite if asked to", async (gpu) => {
  for (const accumulate of [false, true]) {
    const outs = [gpu.tensor([24], { data: randomArray(1, 24) }), gpu.tensor([7])];
    const before = await readTensor(gpu, outs[0]!);
    const how = { accumulate, parameter: false };
    const sums = new Sums(gpu, outs, () => ({ terms: 70, step: 16, most: 8 }), how);
    assertEquals(sums.plan.dispatches, 2);
    await sums.plan.compile();
    await sums.run(gpu);
    const expected = sums.expected(0).map((v, i) => v + (accumulate ? before[i]! : 0));
    assertClose(await readTensor(gpu, outs[0]!), expected, { tolerance: 1e-6 });
    assertClose(await readTensor(gpu, outs[1]!), sums.expected(1), { tolerance: 1e-6 });
    sums.plan.destroy();
  }
});

test.onDevices("parts do not wait when there are many, and sums of other terms wait on their own", async (gpu) => {
  const size = 2 ** 18;
  const flat = gpu.tensor([6 * size]);
  const outs = Array.from({ length: 6 }, (_, i) => flat.view([size], { elementOffset: i * size }));
  const [even, odd] = [new Dim("even", 4), new Dim("odd", 4)];
  const sums = new Sums(
    gpu,
    outs,
    (i) => ({ terms: i % 2 ? odd : even, step: 2, most: 2 }),
    { accumulate: true, parameter: true },
  );
  // Of each kind two sums of two parts reach the limit of 2^20 elements, and the third has to go alone.
  assertEquals(sums.plan.dispatches, 4);
  odd.value = 1;
  await sums.plan.compile();
  await sums.run(gpu);
  for (const [i, out] of outs.entries()) {
    assertClose(await readTensor(gpu, out), sums.expected(i), { tolerance: 1e-6, label: `${i}` });
  }
  sums.plan.destroy();
});

Deno.test("a sum is cut into parts of the step asked for, or of more when there would be too many", () => {
  const terms = new Dim("T", 1000);
  const division = { terms, step: 16, most: 8 };
  const cut = (tokens: number) => {
    terms.value = tokens;
    return [partTerms(division), partCount(division)];
  };
  assertEquals([0, 1, 16, 17, 128, 129, 1000].map(cut), [
    [16, 0],
    [16, 1],
    [16, 1],
    [16, 2],
    [16, 8],
    [17, 8],
    [125, 8],
  ]);
});
