/** The paper's setting end to end on a tiny model: a Hugging Face folder, text, training, and a folder again. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { defineTask } from "../../src/task/define_task.ts";
import { evaluate } from "../../src/rl/evaluation.ts";
import { train } from "../../src/rl/train.ts";
import { countdownReward, textCountdown } from "../../src/text/countdown.ts";
import { loadTokenizer } from "../../src/text/hf_tokenizer.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";

const OPTIONS = {
  maxSteps: 2,
  learningRate: 1e-3,
  promptsPerStep: 2,
  numGenerations: 4,
  lossAggregation: "deltaL",
  lossAlpha: 1,
  epsilonHigh: 0.3,
} as const;

async function withModel(body: (gpu: Gpu, dir: string) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  try {
    await inTempDir(async (dir) => {
      await writeTinyTextModel(gpu, `${dir}/model`);
      await body(gpu, `${dir}/model`);
    });
  } finally {
    await gpu.close();
  }
}

Deno.test("CountDown in words trains a model of a Hugging Face folder, and saves one with its tokenizer", async () => {
  await withModel(async (gpu, dir) => {
    const tokenizer = await loadTokenizer(dir);
    const task = textCountdown({ tokenizer, maxPromptLength: 512, maxCompletionLength: 24 });
    const policy = await Policy.load(gpu, dir);
    assertEquals(policy.eosTokenIds, tokenizer.eosTokenIds);
    const before = await policy.parameters.read();
    const reports = await Array.fromAsync(train({ policy, task, ...OPTIONS }));
    for (const { completions, metrics } of reports) {
      assertEquals(completions.length, 8);
      assertEquals(metrics["reward/mean"], 0);
      for (const { promptIds, completionIds, reward } of completions) {
        assert(
          /^A conversation .* \[\d+(, \d+){2,3}\], .*\n<think>$/s.test(tokenizer.decode(promptIds)),
        );
        const problem = { nums: [1], target: 1 };
        assertEquals(reward, countdownReward(tokenizer.decode(completionIds), problem));
      }
    }
    await evaluate(policy, task, { prompts: 2, numGenerations: 2 });

    const saved = `${dir}-trained`;
    await policy.save(saved);
    const copy = await Policy.load(gpu, saved);
    assertEquals(await copy.parameters.read(), await policy.parameters.read());
    assertEquals(copy.config, policy.config);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      assertEquals(await Deno.readFile(`${saved}/${name}`), await Deno.readFile(`${dir}/${name}`));
    }
    assertEquals((await loadTokenizer(saved)).eosTokenIds, tokenizer.eosTokenIds);
    assertEquals(before.size, policy.parameters.names.length);
    copy.destroy();
    policy.destroy();
  });
});

Deno.test("a reward on text moves a model with a tokenizer", async () => {
  await withModel(async (gpu, dir) => {
    const task = defineTask({
      name: "answers",
      tokenizer: await loadTokenizer(dir, { chatTemplate: true }),
      prompts: [
        { prompt: "Show your work." },
        { prompt: [{ role: "user", content: "return the final answer" }] },
      ],
      verify: {
        letters: ({ completion }) => completion.replace(/[^a-z]/g, "").length / 20,
        ended: ({ truncated }) => !truncated,
      },
      rewardWeights: { ended: 0.05 },
      maxCompletionLength: 12,
    });
    const policy = await Policy.load(gpu, dir);
    const before = await policy.parameters.read();
    const rewards: number[] = [];
    const options = { ...OPTIONS, maxSteps: 12, learningRate: 5e-3, numGenerations: 32 };
    for await (const { metrics } of train({ policy, task, ...options })) {
      rewards.push(metrics["rewards/letters/mean"]!);
    }
    assert(rewards.at(-1)! > rewards[0]! + 0.1, rewards.join(" "));
    const name = "model.embed_tokens.weight";
    assertNotEquals((await policy.parameters.read()).get(name), before.get(name));
    policy.destroy();
  });
});
