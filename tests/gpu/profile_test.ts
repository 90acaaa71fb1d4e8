import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Profiler } from "../../src/gpu/profile.ts";
import { readTensor, submit } from "../../src/gpu/submit.ts";
import { matmul } from "../../src/ops/matmul/linear.ts";
import { randomArray } from "../helpers/random.ts";
import { test } from "../helpers/test.ts";

/** A small and a large product in one plan. */
async function products(gpu: Gpu) {
  const operand = (seed: number, n: number) =>
    gpu.tensor([n, n], { data: randomArray(seed, n * n), name: `operand${n}` });
  const plan = new Plan(gpu, "products");
  matmul(plan, operand(1, 8), operand(2, 8), { name: "small" });
  const large = plan.keep(matmul(plan, operand(3, 192), operand(4, 192), { name: "large" }));
  await plan.compile();
  return { plan, large };
}

test.onGpu("a profile counts calls, work and time by path, over several submits collected at once", async (gpu) => {
  const { plan, large } = await products(gpu);
  submit(gpu, [plan]);
  const plain = await readTensor(gpu, large);
  const profiler = gpu.profiler = new Profiler(gpu);
  const start = performance.now();
  for (let i = 0; i < 3; i++) submit(gpu, [{ plan, times: 2 }]);
  await profiler.collect();
  const elapsed = (performance.now() - start) * 1e6;
  assertEquals([...profiler.entries.keys()], [
    "products: small.forward",
    "products: large.forward",
  ]);
  const [first, second] = [...profiler.entries.values()];
  assertEquals([first!.calls, second!.calls], [6, 6]);
  assertEquals(second!.flops, 6 * 2 * 192 ** 3);
  // 13 824 times the arithmetic: whatever the machine does besides, it takes longer.
  assert(second!.nanoseconds > first!.nanoseconds, "the large product is faster than the small");
  assert(first!.nanoseconds > 0, "the small product takes no time");
  assert(first!.nanoseconds + second!.nanoseconds < elapsed, "more GPU time than time");
  assertEquals(await readTensor(gpu, large), plain);
  await profiler.collect();
  assertEquals(second!.calls, 6);
});

test.onGpu("staging memory is used again, and dispatches beyond the capacity of a submit are counted", async (gpu) => {
  const { plan } = await products(gpu);
  const profiler = gpu.profiler = new Profiler(gpu);
  submit(gpu, [plan]);
  await profiler.collect();
  const buffers = gpu.counters.buffersCreated;
  submit(gpu, [plan]);
  await profiler.collect();
  assertEquals(gpu.counters.buffersCreated, buffers);
  profiler.reset();
  assertEquals(profiler.entries.size, 0);

  const small = new Plan(gpu, "many");
  const a = gpu.tensor([4, 4], { name: "a" });
  small.keep(matmul(small, a, a));
  await small.compile();
  submit(gpu, [{ plan: small, times: 2050 }]);
  await profiler.collect();
  assertEquals(profiler.entries.get("many: matmul.forward")?.calls, 2048);
  assertEquals(profiler.untimed, 2);

  const before = gpu.counters.bytesAllocated;
  gpu.profiler = undefined;
  profiler.destroy();
  assert(gpu.counters.bytesAllocated < before, "nothing was released");
  submit(gpu, [plan]);
  await gpu.finish();
});

test.onGpu("a device without timestamps is refused by name", (gpu) => {
  const without = { ...gpu.adapter, timestamps: false, description: "old adapter" };
  const fake = Object.create(gpu, { adapter: { value: without } }) as Gpu;
  assertThrows(() => new Profiler(fake), Error, "Cannot profile: old adapter has no timestamp");
});
