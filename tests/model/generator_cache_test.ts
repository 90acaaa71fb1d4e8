import { assertEquals, assertRejects } from "@std/assert";
import { evaluate } from "../../src/rl/evaluation.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
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

test.onGpu("requests made at the same time answer as they would alone, and leave no memory behind", async (gpu) => {
  const task = tinyTask();
  const alone = tinyPolicy(gpu, task);
  const small = { maxCompletionLength: 3, numGenerations: 2, seed: 1 };
  const large = { maxCompletionLength: 9, numGenerations: 5, seed: 2 };
  const expected = [
    await alone.generate([[2]], small),
    await alone.generate([[2], [3]], large),
    await alone.generate([[4]], small),
  ];
  const evaluation = await evaluate(alone, task, { prompts: 3, numGenerations: 2 });
  alone.destroy();
  const { buffers } = gpu;
  const policy = tinyPolicy(gpu, task);
  // Before there is any generator, and when there is one that is too small.
  for (const first of ["cold", "warm"]) {
    const [a, b, c, d, failed] = await Promise.allSettled([
      policy.generate([[2]], small),
      policy.generate([[2], [3]], large),
      policy.generate([[4]], small),
      evaluate(policy, task, { prompts: 3, numGenerations: 2 }),
      policy.generate([[2]], { ...small, signal: AbortSignal.abort(new Error("enough")) }),
    ]);
    const values = [a, b, c].map((r) => (r as PromiseFulfilledResult<unknown>).value);
    assertEquals(values, expected, first);
    assertEquals((d as PromiseFulfilledResult<unknown>).value, evaluation, first);
    assertEquals((failed as PromiseRejectedResult).reason.message, "enough");
  }
  // What becomes of a prompt while its request waits.
  const prompt = [4];
  const requests = Promise.all([policy.generate([[2]], small), policy.generate([prompt], small)]);
  prompt[0] = 3;
  assertEquals(await requests, [expected[0], expected[2]]);
  const capacity = { promptTokens: 2, sequences: 4, completionLength: 3 };
  const [one, same] = await Promise.all([policy.generator(capacity), policy.generator(capacity)]);
  assertEquals(one === same, true);
  policy.destroy();
  await gpu.finish();
  assertEquals(gpu.buffers, buffers);
});

test.onGpu("what is no list of token ids, and more of them than positions, is refused", async (gpu) => {
  const policy = tinyPolicy(gpu, tinyTask());
  const request = { maxCompletionLength: 2 };
  const typed = (call: () => Promise<unknown>, message: string) =>
    assertRejects(call, TypeError, message);
  await typed(() => policy.generate([2, 3] as unknown as number[][], request), "prompts[0] is 2");
  await typed(() => policy.generate("ab" as unknown as number[][], request), 'prompts is "ab"');
  await typed(
    () => policy.generate(["ab"] as unknown as number[][], request),
    'prompts[0] is "ab"',
  );
  await typed(
    () => policy.generate([[2]], undefined as unknown as typeof request),
    "generate takes its options as an object: got undefined",
  );
  const prompt = new Array(60).fill(2);
  const ids = new Array(5).fill(3);
  const long = (call: () => Promise<unknown>) =>
    assertRejects(call, RangeError, "exceeds the policy's maxPositionEmbeddings of 64");
  await long(() => policy.score([prompt], [ids]));
  await long(() => policy.logits([[...prompt, ...ids]]));
  const oldLogProbs = [[-1], [-1, -1, -1, -1, -1]];
  await long(() =>
    policyGradient(
      policy,
      { prompts: [prompt], completions: [[3], ids], rewards: [0, 1], oldLogProbs },
      { numGenerations: 2 },
    )
  );
  assertEquals((await policy.score([prompt], [ids.slice(0, 4)]))[0]!.length, 4);
  policy.destroy();
});
