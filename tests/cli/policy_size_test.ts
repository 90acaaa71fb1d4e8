import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/args.ts";
import { policySource } from "../../src/cli/policy_source.ts";
import { newPolicyConfig } from "../../src/cli/policy_size.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { taskByName, taskNames } from "../../src/tasks/mod.ts";

Deno.test("a new policy has the task's sizes, and room for its vocabulary in eights", () => {
  for (const name of taskNames) {
    const task = taskByName(name);
    const config = newPolicyConfig(task, {});
    const spare = config.vocabSize - task.vocabulary.length;
    assert(config.vocabSize % 8 === 0 && spare >= 0 && spare < 8, `${name}: ${config.vocabSize}`);
    assertEquals(config.hiddenSize, task.defaults.policy.hiddenSize);
    assertEquals(config.intermediateSize, task.defaults.policy.intermediateSize);
    assertEquals(config.ropeTheta, task.defaults.policy.ropeTheta ?? 10000);
    assertEquals(config.normedHeads, task.defaults.policy.normedHeads ?? false);
    assertEquals(config.eosTokenId, task.eosTokenId);
  }
});

Deno.test("a new policy ends at every id that ends a completion of its task", () => {
  const task = { ...taskByName("parity"), eosTokenIds: [1, 4] };
  assertEquals(newPolicyConfig(task, {}).eosTokenId, [1, 4]);
});

Deno.test("a policy that no warm start prepares has no ids but its task's", async () => {
  const task = taskByName("parity");
  const options = resolveTrainOptions({ maxSteps: 1, learningRate: 1 }, 8);
  const random = await policySource({ warmStartSteps: 0 }, task, options);
  assert(random.kind === "random");
  assertEquals(random.config.vocabSize, task.vocabulary.length);
  const warm = await policySource({}, task, options);
  assert(warm.kind === "warmStart");
  assertEquals(warm.recipe.policy, newPolicyConfig(task, {}, 8));
});

Deno.test("sizes that were not chosen follow the ones that were", () => {
  const parity = taskByName("parity");
  const wide = newPolicyConfig(parity, { hiddenSize: 96, numAttentionHeads: 6 });
  assertEquals([wide.hiddenSize, wide.numAttentionHeads, wide.numKeyValueHeads], [96, 6, 6]);
  assert(wide.intermediateSize > parity.defaults.policy.intermediateSize);
  assertThrows(
    () => newPolicyConfig(parity, { numAttentionHeads: 3 }),
    UsageError,
    "--hidden-size is 64: it has to be a multiple of --num-attention-heads (3), or give --head-dim",
  );
  assertEquals(newPolicyConfig(parity, {}).tieWordEmbeddings, false);
  assertEquals(newPolicyConfig(parity, { tieWordEmbeddings: true }).tieWordEmbeddings, true);
  assertEquals(newPolicyConfig(taskByName("countdown"), {}).tieWordEmbeddings, true);
  const odd = newPolicyConfig(parity, { numAttentionHeads: 3, headDim: 16 });
  assertEquals([odd.hiddenSize, odd.headDim, odd.numKeyValueHeads], [64, 16, 3]);
});

Deno.test("ids beyond the task's vocabulary are sampled, judged and shown without harm", async () => {
  const task = taskByName("chain-sum");
  const config = newPolicyConfig(task, {
    hiddenSize: 16,
    numHiddenLayers: 1,
    numAttentionHeads: 2,
  });
  const gpu = await openGpu();
  const policy = Policy.create(gpu, config);
  const { completions } = await policy.generate([task.problem("eval", 0, 0).promptIds], {
    numGenerations: 32,
    maxCompletionLength: task.maxCompletionLength,
  });
  const beyond = completions.flat().find((id) => id >= task.vocabulary.length);
  assert(beyond !== undefined, "random weights find every id equally likely");
  assertMatch(task.describe([beyond]), new RegExp(`^<${beyond}>$`));
  const { meanAtN } = await evaluate(policy, task, { prompts: 4, numGenerations: 8 });
  assert(meanAtN >= 0 && meanAtN < 0.5);
  policy.destroy();
  await gpu.close();
});
