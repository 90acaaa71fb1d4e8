/** A token that a policy never writes, such as its padding, has no probability to learn from. */

import { assertEquals, assertRejects } from "@std/assert";
import { Policy } from "../../src/model/policy.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { WarmStart } from "../../src/rl/warm_start.ts";
import { tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

test.onGpu("what a policy never writes is refused where it would be scored, learnt or waited for", async (gpu) => {
  const config = { ...tinyTask().defaults.policy, vocabSize: 8, maxPositionEmbeddings: 64 };
  const policy = Policy.create(gpu, { ...config, padTokenId: 0, eosTokenId: 1 });
  const refused = (call: () => Promise<unknown>, message: string) =>
    assertRejects(call, RangeError, message);
  const batch = { prompts: [[2]], rewards: [1, 0], oldLogProbs: [[-1, -1], [-1]] };
  const gradient = (padded: Policy) =>
    policyGradient(padded, { ...batch, completions: [[3, 0], [3]] }, { numGenerations: 2 });
  const never = "which this policy never writes";
  await refused(() => policy.score([[2]], [[3, 1, 0]]), `completions[0][2] is 0, ${never}`);
  await refused(() => gradient(policy), `completions[0][1] is 0, ${never}`);
  const generate = { maxCompletionLength: 4 };
  await refused(
    () => policy.generate([[2]], { ...generate, eosTokenIds: [0] }),
    `eosTokenIds are 0, ${never}: no completion would end`,
  );
  // In a prompt, and beside another end, it does no harm.
  await policy.generate([[0, 2]], { ...generate, eosTokenIds: [0, 1] });

  const demonstration = () => ({ promptIds: [2], completionIds: [0, 1] });
  const warm = await WarmStart.create(policy, tinyTask({ demonstration }), {
    steps: 1,
    batchSize: 2,
    learningRate: 1e-3,
  });
  const before = await policy.parameters.read();
  await refused(() => warm.next(), `demonstration 0 of task capitals[0] is 0, ${never}`);
  assertEquals(await policy.parameters.read(), before);
  warm.destroy();

  const endless = tinyTask({ eosTokenId: 0 });
  const options = { maxSteps: 1, learningRate: 1e-3, promptsPerStep: 2, numGenerations: 2 };
  const message = `Task capitals ends completions by 0, ${never}`;
  await refused(() => Trainer.create(policy, endless, options), message);
  await refused(() => evaluate(policy, endless, { prompts: 1 }), message);
  policy.destroy();

  const writes = Policy.create(gpu, { ...config, eosTokenId: 1 });
  assertEquals((await writes.score([[2]], [[3, 1, 0]]))[0]!.every((p) => p > -100), true);
  await gradient(writes);
  writes.destroy();
});
