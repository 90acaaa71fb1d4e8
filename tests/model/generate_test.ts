import { assert, assertEquals, assertRejects } from "@std/assert";
import { Arena } from "../../src/gpu/arena.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Profiler } from "../../src/gpu/profile.ts";
import { readTensor } from "../../src/gpu/submit.ts";
import { Generator } from "../../src/model/generate.ts";
import type { GenerationRequest } from "../../src/model/generate_request.ts";
import type { Policy } from "../../src/model/policy.ts";
import { test as shared } from "../helpers/test.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

const M = 20;
const REQUEST: GenerationRequest = {
  prompts: [[2], [0, 3], [4, 5, 6]],
  numGenerations: 6,
  maxCompletionLength: M,
  temperature: 1,
  seed: 5,
  step: 2,
  firstSampleId: 0,
  eosTokenIds: [1],
};

async function withGenerator<R>(
  policy: Policy,
  stepsPerSubmit: number,
  body: (generator: Generator) => Promise<R>,
): Promise<R> {
  const generator = await Generator.create(policy.gpu, policy.parameters, {
    promptTokens: 10,
    sequences: 18,
    completionLength: M,
    stepsPerSubmit,
  });
  try {
    return await body(generator);
  } finally {
    generator.destroy();
  }
}

async function withPolicy(gpu: Gpu, body: (policy: Policy) => Promise<void>): Promise<void> {
  const policy = tinyPolicy(gpu, tinyTask());
  try {
    await body(policy);
  } finally {
    policy.destroy();
  }
}

/** Tests of the policy, on every path the kernels have. */
const test = {
  ...shared,
  onPolicy(name: string, body: (policy: Policy) => Promise<void>): void {
    shared.onDevices(name, (gpu) => withPolicy(gpu, body));
  },
};

test.onPolicy("generation gives the same tokens whenever finished sequences leave the batch", async (policy) => {
  // With one chunk for all tokens no sequence ever leaves.
  const whole = await withGenerator(policy, M, (generator) => generator.run(REQUEST));
  const lengths = whole.completions.map((c) => c.length);
  assert(new Set(lengths).size > 5 && lengths.includes(1), `lengths ${lengths}`);
  for (const stepsPerSubmit of [1, 3]) {
    assertEquals(await withGenerator(policy, stepsPerSubmit, (g) => g.run(REQUEST)), whole);
  }
});

test.onPolicy("generation in borrowed memory is the same, whatever was left there", async (policy) => {
  const { gpu } = policy;
  const own = await withGenerator(policy, 3, (generator) => generator.run(REQUEST));
  const before = gpu.counters.bytesAllocated;
  const bytes = await withGenerator(
    policy,
    3,
    () => Promise.resolve(gpu.counters.bytesAllocated - before),
  );
  const { numHiddenLayers, numKeyValueHeads, headDim } = policy.config;
  const cache = 4 * 18 * numKeyValueHeads * M * 2 * headDim;
  const scratch = gpu.tensor([numHiddenLayers * Math.ceil(cache / 256) * 64]);
  gpu.write(scratch, new Float32Array(scratch.capacity).fill(NaN));
  const arena = new Arena(gpu, "lent");
  const taken = gpu.counters.bytesAllocated;
  const generator = await Generator.create(policy.gpu, policy.parameters, {
    promptTokens: 10,
    sequences: 18,
    completionLength: M,
    stepsPerSubmit: 3,
  }, { arena, scratch });
  const saved = numHiddenLayers * cache;
  assertEquals(gpu.counters.bytesAllocated - taken, bytes - saved);
  assertEquals(await generator.run(REQUEST), own);
  const left = await readTensor(gpu, scratch);
  assert(left.some((value) => !Number.isNaN(value)), "the cache is there");
  generator.destroy();
  arena.destroy();
  gpu.destroyTensor(scratch);
});

test.onPolicy("generation stops when every sequence has ended", (policy) =>
  withGenerator(policy, 1, async (generator) => {
    const submits = async (eosTokenIds: number[]) => {
      const before = policy.gpu.counters.submits;
      const { completions } = await generator.run({ ...REQUEST, eosTokenIds });
      const longest = completions.reduce((n, c) => Math.max(n, c.length), 0);
      return { longest, submits: policy.gpu.counters.submits - before };
    };
    const everyId = Array.from({ length: 8 }, (_, id) => id);
    assertEquals((await submits(everyId)).longest, 1);
    for (const eosTokenIds of [everyId, [1, 2, 3, 4, 5], []]) {
      const { longest, submits: count } = await submits(eosTokenIds);
      // The first submit samples two tokens, each further one a token, and one fetches the results.
      assertEquals(count, Math.max(2, longest));
    }
  }));

test.onPolicy("a generator serves smaller batches as one made for them would", (policy) =>
  withGenerator(policy, 4, async (generator) => {
    const small = {
      ...REQUEST,
      prompts: [[3, 3]],
      numGenerations: 2,
      maxCompletionLength: 7,
      firstSampleId: 3,
    };
    const first = await generator.run(small);
    await generator.run(REQUEST);
    assertEquals(await generator.run(small), first);
    assertEquals(await withGenerator(policy, 4, (fresh) => fresh.run(small)), first);
    assert(first.completions.every((c) => c.length <= 7));
  }));

Deno.test("a profile of generation states attention's arithmetic", async () => {
  const gpu = await openGpu();
  if (!gpu.adapter.timestamps) return await gpu.close();
  await withPolicy(gpu, (policy) =>
    withGenerator(policy, 3, async (generator) => {
      const profiler = gpu.profiler = new Profiler(gpu);
      try {
        await generator.run({ ...REQUEST, eosTokenIds: [] });
        await profiler.collect();
      } finally {
        gpu.profiler = undefined;
        profiler.destroy();
      }
      const { numAttentionHeads: heads, headDim } = policy.config;
      const flops = (path: string) =>
        [...profiler.entries.values()].find((e) => `${e.plan}: ${e.label}`.endsWith(path))?.flops;
      const prompts = REQUEST.prompts.map((ids) => ids.length);
      const prefill = prompts.reduce((n, p) => n + p * (p + 1) / 2, 0);
      let decode = 0;
      for (const p of prompts) {
        // The last token of a completion is never decoded.
        for (let t = 1; t < M; t++) decode += REQUEST.numGenerations * (p + t);
      }
      assertEquals(flops("attention.forward"), 4 * heads * headDim * prefill);
      assertEquals(flops("attention.decode"), 4 * heads * headDim * decode);
    }));
  await gpu.close();
});

test.onPolicy("a generator refuses more than it was made for", (policy) =>
  withGenerator(policy, 4, async (generator) => {
    await assertRejects(
      () => generator.run({ ...REQUEST, numGenerations: 7 }),
      RangeError,
      "Dimension sequences must be an integer from 0 to 18: current value is 21",
    );
    await assertRejects(
      () => generator.run({ ...REQUEST, prompts: [new Array(11).fill(2)] }),
      RangeError,
      "Dimension tokens must be an integer from 0 to 10",
    );
    assertEquals((await generator.run(REQUEST)).completions.length, 18);
  }));
