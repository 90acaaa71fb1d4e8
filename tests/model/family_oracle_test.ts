/** Policies of the other families against transformers: logits, log-probabilities, gradients, greedy tokens. */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Policy } from "../../src/model/policy.ts";
import { policyGradient, type PolicyGradientOptions } from "../../src/rl/policy_gradient.ts";
import { assertClose } from "../helpers/assert_close.ts";
import {
  FAMILY_FIXTURES,
  type FamilyOracle,
  loadFamily,
  LOGITS_OF,
} from "../helpers/family_oracle.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { softmax } from "../reference/softmax.ts";
import { test } from "../helpers/test.ts";

const RULES: Record<string, Partial<PolicyGradientOptions>> = {
  "grpo": { lossAggregation: "grpo" },
  "dapo": { lossAggregation: "dapo" },
  "delta_l:0.75": { lossAggregation: "deltaL", lossAlpha: 0.75 },
};

function optionsOf(oracle: FamilyOracle, rule: string): PolicyGradientOptions {
  return {
    numGenerations: oracle.num_generations,
    lossScaleFactor: oracle.M,
    policyLoss: "ppo",
    epsilon: oracle.clip_ratio_low,
    epsilonHigh: oracle.clip_ratio_high,
    dualClip: oracle.clip_ratio_c,
    ...RULES[rule],
  };
}

test.onGpu("policies of every family compute what transformers computes", async (gpu, t) => {
  for (const name of FAMILY_FIXTURES) {
    const { folder, oracle, truth } = loadFamily(name);
    const policy = await Policy.load(gpu, fileURLToPath(folder));
    const P = oracle.prompt_length;
    const prompts = oracle.tokens.map((row) => row.slice(0, P));
    const completions = oracle.tokens.map((row, b) =>
      row.slice(P, P + oracle.response_lengths[b]!)
    );
    const V = policy.config.vocabSize;
    const S = oracle.tokens[0]!.length;
    const logits = truth.get("logits")!.data;

    await t.step(`${name}: logits, also after saving and loading`, async () => {
      const rows = LOGITS_OF.map((b) => oracle.tokens[b]!);
      const computed = await policy.logits(rows);
      assertClose(computed, logits, { tolerance: 2e-5, label: name });
      await inTempDir(async (dir) => {
        await policy.save(dir);
        const again = await Policy.load(gpu, dir);
        assertEquals(again.config, policy.config);
        assertEquals(await again.logits(rows), computed);
        again.destroy();
      });
    });

    await t.step(`${name}: log-probabilities of packed responses`, async () => {
      const scored = await policy.score(prompts, completions);
      for (const [i, b] of LOGITS_OF.entries()) {
        const expected = completions[b]!.map((token, j) => {
          const at = (i * S + P + j - 1) * V;
          return Math.log(softmax(logits.subarray(at, at + V), 1, V)[token]!);
        });
        assertClose(scored[b]!, expected, { tolerance: 2e-5, label: `${name} ${b}` });
      }
    });

    await t.step(`${name}: losses and gradients`, async () => {
      const old = truth.get("old_log_probs")!;
      const batch = {
        prompts,
        completions,
        rewards: oracle.rewards,
        oldLogProbs: completions.map(({ length }, b) =>
          Array.from(old.data.subarray(b * old.shape[1]!, b * old.shape[1]! + length))
        ),
      };
      const scale = Math.max(...Object.values(oracle.cases).map(({ loss }) => Math.abs(loss)));
      for (const rule of Object.keys(RULES)) {
        const expected = oracle.cases[`clip.${rule}`]!;
        const found = await policyGradient(policy, batch, optionsOf(oracle, rule));
        assertClose([found.loss], [expected.loss], { tolerance: 2e-5, scale, label: rule });
        assertClose([found.gradNorm], [expected.grad_norm], { tolerance: 2e-5, label: rule });
        assertEquals(found.gradients.size, policy.parameters.names.length);
        if (rule !== "delta_l:0.75") continue;
        for (const [parameter, values] of found.gradients) {
          assertClose(values, truth.get(`grad.clip.${rule}.${parameter}`)!.data, {
            tolerance: 5e-4,
            label: `${name} ${parameter}`,
          });
        }
      }
    });

    await t.step(`${name}: greedy tokens from the cache`, async () => {
      const distinct = prompts.filter((_, b) => b % oracle.num_generations === 0);
      const { completions: greedy } = await policy.generate(distinct, {
        maxCompletionLength: oracle.greedy[0]!.length,
        temperature: 0,
        eosTokenIds: [],
      });
      assertEquals(greedy, oracle.greedy);
    });
    policy.destroy();
  }
});
