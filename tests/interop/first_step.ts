/**
 * Exports a policy for both engines under several methods, with responses to its prompts and what deltal makes of them:
 * loss and norm of the gradient of the first step. Arguments: a warm start of parity, and a folder to write.
 */

import { join } from "node:path";
import { exportRun } from "../../src/export/export.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Policy } from "../../src/model/policy.ts";
import { policyGradient } from "../../src/rl/policy_gradient.ts";
import type { ObjectiveOptions } from "../../src/rl/train_options.ts";
import { resolveTrainOptions } from "../../src/rl/resolve_options.ts";
import { defineTask } from "../../src/task/define_task.ts";
import type { Task } from "../../src/task/task.ts";
import { parity } from "../../src/tasks/parity.ts";
import { loadTokenizer } from "../../src/text/hf_tokenizer.ts";
import { writeTinyTextModel } from "../helpers/tiny_text_model.ts";

const methods = (lossScaleFactor: number): Record<string, ObjectiveOptions> => ({
  grpo: { lossAggregation: "grpo" },
  dapo: { lossAggregation: "dapo" },
  drGrpo: { lossAggregation: "drGrpo", advantageEstimator: "drGrpo", lossScaleFactor },
  "deltaL-1": { lossScaleFactor },
  "deltaL-0.75": { lossAlpha: 0.75, lossScaleFactor },
});

const SIZES = { promptsPerStep: 8, numGenerations: 8, maxSteps: 1, learningRate: 1e-3 };

async function handOver(task: Task, model: string, reward: string, out: string): Promise<void> {
  const { promptsPerStep, numGenerations } = SIZES;
  const { maxCompletionLength } = task;
  const policy = await Policy.load(gpu, model);
  const problems = Array.from({ length: promptsPerStep }, (_, i) => task.problem("train", 42, i));
  const prompts = problems.map(({ promptIds }) => promptIds);
  const generated = await policy.generate(
    prompts,
    { numGenerations, maxCompletionLength, eosTokenIds: [task.eosTokenId], seed: 1 },
  );
  // A model with random weights seldom ends: responses are cut to lengths that differ.
  const cut = <T>(rows: readonly { slice(from: number, to: number): T }[]) =>
    rows.map((row, i) => row.slice(0, 2 + 7 * i % maxCompletionLength));
  const [completions, logProbs] = task.name === "parity"
    ? [generated.completions, generated.logProbs]
    : [cut(generated.completions), cut(generated.logProbs)];
  const rewards = await Promise.all(completions.map((ids, i) => {
    const { metadata } = problems[Math.floor(i / numGenerations)]!;
    return task.verify(metadata, ids) as number;
  }));
  const source = await Deno.readTextFile(new URL(reward, import.meta.url));
  const expected: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(methods(maxCompletionLength))) {
    const options = resolveTrainOptions({ ...SIZES, ...method }, maxCompletionLength);
    for (const engine of ["trl", "verl"] as const) {
      const what = { model, task, options, reward: source, trainPrompts: 8, evalPrompts: 4 };
      await exportRun(join(out, engine, name), engine, what);
    }
    const { loss, gradNorm, gradients } = await policyGradient(
      policy,
      { prompts, completions, rewards, oldLogProbs: logProbs },
      { numGenerations, ...method },
    );
    const norms = [...gradients].map(([tensor, values]) => [tensor, Math.hypot(...values)]);
    expected[name] = { loss, gradNorm, norms: Object.fromEntries(norms) };
  }
  policy.destroy();
  const texts = problems.map(({ promptIds }) => task.describe(promptIds));
  await Deno.writeTextFile(
    join(out, "rollout.json"),
    JSON.stringify({ texts, prompts, completions, rewards, expected }),
  );
}

const [warmStart, out] = Deno.args as [string, string];
const gpu = await openGpu();
await handOver(parity(), warmStart, "parity_reward.py", join(out, "parity"));
const model = join(out, "tiny");
await writeTinyTextModel(gpu, model);
const text = defineTask({
  name: "digits",
  tokenizer: await loadTokenizer(model),
  prompts: Array.from({ length: 8 }, (_, i) => ({ prompt: `Is ${i} + ${i * i} odd? ` })),
  evalPrompts: Array.from({ length: 4 }, (_, i) => ({ prompt: `Is ${i} + ${i + 40} odd? ` })),
  verify: ({ completion }) => (completion.match(/[0-9]/g) ?? []).length % 2,
  maxCompletionLength: 24,
});
await handOver(text, model, "digits_reward.py", join(out, "digits"));
await gpu.close();
