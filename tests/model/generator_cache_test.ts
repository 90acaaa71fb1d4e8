import { assertEquals, assertRejects } from "@std/assert";
import { evaluate } from "../../src/rl/evaluation.ts";
import { assertClose } from "../helpers/assert_close.ts";
import { tinyPolicy, tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

test.onGpu("the generator of a loop of one's own stays as it is while the policy is asked for more", async (gpu) => {
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
});

test.onGpu("a request for generation is checked before anything runs", async (gpu) => {
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
  await refused({ topK: 1.5 }, "topK must be an integer >= 0, 0 for all: current value is 1.5");
  await refused({ topK: -1 }, "topK must be an integer >= 0");
  await refused({ topP: 0 }, "topP must be a number > 0 and <= 1: current value is 0");
  await refused({ topP: NaN }, "topP must be a number > 0 and <= 1");
  await refused({ minP: 1.1 }, "minP must be a number from 0 to 1: current value is 1.1");
  await refused({ seed: -1 }, "seed must be an integer from 0 to 9007199254740991");
  await refused({ seed: 0.5 }, "seed must be an integer");
  await refused({ step: 2 ** 32 }, "step must be an integer from 0 to 4294967295");
  await refused({ firstSampleId: NaN }, "firstSampleId must be an integer");
  await refused({ eosTokenIds: [1, 8] }, "eosTokenIds[1] is 8");
  await refused({ eosTokenIds: [null] }, "eosTokenIds[0] is null");
  await refused({ eosTokenIds: new Array(17).fill(1) }, "At most 16 end-of-sequence ids");
  policy.destroy();
});

test.onGpu("a policy samples among the most likely tokens where it is asked to, and among all before and after", async (gpu) => {
  const task = tinyTask();
  const policy = tinyPolicy(gpu, task);
  const options = { maxCompletionLength: 4, numGenerations: 3, temperature: 2, eosTokenIds: [] };
  const all = await policy.generate([[2], [3]], options);
  const greedy = await policy.generate([[2], [3]], { ...options, temperature: 0 });
  for (const truncation of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
    const some = await policy.generate([[2], [3]], { ...options, ...truncation });
    assertEquals(some.completions, greedy.completions, JSON.stringify(truncation));
    // Of the whole distribution at the temperature, which is what scoring gives.
    const prompts = some.completions.map((_, b) => [b < 3 ? 2 : 3]);
    const scored = await policy.score(prompts, some.completions, { temperature: 2 });
    for (const [b, logProbs] of some.logProbs.entries()) {
      assertClose(logProbs, scored[b]!, { tolerance: 1e-5 });
    }
  }
  assertEquals(await policy.generate([[2], [3]], options), all);
  const whole = { topK: 0, topP: 1, minP: 0 };
  assertEquals(await policy.generate([[2], [3]], { ...options, ...whole }), all);

  const generator = await policy.generator({ promptTokens: 2, sequences: 4, completionLength: 3 });
  const request = policy.request([[2]], { maxCompletionLength: 3, topK: 2 });
  await assertRejects(() => generator.run(request), RangeError, "truncates: true");
  const { capacity } = await policy.generator({ ...generator.capacity, truncates: true });
  assertEquals(capacity.truncates, true);
  policy.destroy();
});
