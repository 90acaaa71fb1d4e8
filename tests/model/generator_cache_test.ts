import { assertEquals, assertRejects } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";

Deno.test("the generator of a loop of one's own stays as it is while the policy is asked for more", async () => {
  const gpu = await openGpu();
  const task = tinyTask();
  const first = tinyPolicy(gpu, task);
  await first.generate([[2]], { maxCompletionLength: 2 });
  first.destroy();
  const allocated = gpu.counters.bytesAllocated;
  const policy = tinyPolicy(gpu, task);
  const capacity = { promptTokens: 2, sequences: 4, completionLength: 3 };
  const generator = await policy.generator(capacity);
  const { logProbs } = generator;
  const request = policy.request([[2], [3]], {
    numGenerations: 2,
    maxCompletionLength: 3,
    seed: 5,
  });
  const before = await generator.run(request);

  await evaluate(policy, task, { prompts: 9, numGenerations: 3 });
  await policy.generate([[2], [3], [4]], { numGenerations: 5, maxCompletionLength: 8 });
  assertEquals(await generator.run(request), before);
  // The same memory again, of the same shape, and other memory for another shape.
  assertEquals((await policy.generator({ ...capacity })).logProbs === logProbs, true);
  assertEquals((await policy.generator({ ...capacity, sequences: 6 })).capacity.sequences, 6);
  assertEquals(await generator.run(request), before);

  // One that was destroyed is made again.
  generator.destroy();
  assertEquals(await (await policy.generator(capacity)).run(request), before);
  policy.destroy();
  assertEquals(gpu.counters.bytesAllocated, allocated);
  await gpu.close();
});

Deno.test("a request for generation is checked before anything runs", async () => {
  const gpu = await openGpu();
  const policy = tinyPolicy(gpu, tinyTask());
  const refused = (options: object, message: string) =>
    assertRejects(
      () => policy.generate([[2]], { maxCompletionLength: 4, ...options }),
      RangeError,
      message,
    );
  await refused({ numGenerations: 0 }, "numGenerations must be an integer >= 1");
  await refused({ maxCompletionLength: 1.5 }, "maxCompletionLength must be an integer >= 1");
  await refused({ temperature: NaN }, "temperature must be a finite number >= 0");
  await refused({ seed: -1 }, "seed must be an integer from 0 to 9007199254740991");
  await refused({ seed: 0.5 }, "seed must be an integer");
  await refused({ step: 2 ** 32 }, "step must be an integer from 0 to 4294967295");
  await refused({ firstSampleId: NaN }, "firstSampleId must be an integer");
  await refused({ eosTokenIds: [1, 8] }, "eosTokenIds[1] is 8");
  await refused({ eosTokenIds: [null] }, "eosTokenIds[0] is null");
  await refused({ eosTokenIds: new Array(17).fill(1) }, "At most 16 end-of-sequence ids");
  policy.destroy();
  await gpu.close();
});
