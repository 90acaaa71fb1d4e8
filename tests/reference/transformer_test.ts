/** The whole reference against PyTorch: logits, log-probabilities, losses, gradients, AdamW. */

import { assertEquals } from "@std/assert";
import { assertClose } from "../helpers/assert_close.ts";
import { randomIntegers } from "../helpers/random.ts";
import { atScoredTokens, loadTinyQwen2, scoredTokens } from "../helpers/tiny_qwen2.ts";
import { adamwStep, clipCoefficient, globalNorm } from "./adamw.ts";
import { finiteDifference } from "./finite_difference.ts";
import { logProb } from "./log_prob.ts";
import { policyLoss, type PolicyLossInput } from "./policy_loss.ts";
import { argmax } from "./sample.ts";
import { packSegments } from "./segments.ts";
import { transformer, transformerRows, type Weights } from "./transformer.ts";

const fixture = loadTinyQwen2();
const { config, weights, oracle, truth } = fixture;
const items = scoredTokens(fixture);
const vocabulary = config.vocab_size;
const near = { tolerance: 1e-9 };

/** The prompts once, each followed by its responses, as the training batch is packed. */
const groups = Array.from({ length: oracle.num_prompts }, (_, p) => ({
  promptLength: oracle.prompt_length,
  responseLengths: oracle.response_lengths.slice(
    p * oracle.num_generations,
    (p + 1) * oracle.num_generations,
  ),
}));
const segments = packSegments(groups);
const packedTokens: number[] = [];
/** Packed row that predicts each scored token. */
const packedRows: number[] = [];
for (let p = 0; p < groups.length; p++) {
  const promptRow = oracle.tokens[p * oracle.num_generations]!;
  packedTokens.push(...promptRow.slice(0, oracle.prompt_length));
  const lastPromptRow = packedTokens.length - 1;
  groups[p]!.responseLengths.forEach((length, g) => {
    const row = oracle.tokens[p * oracle.num_generations + g]!;
    for (let t = 0; t < length; t++) {
      packedRows.push(t === 0 ? lastPromptRow : packedTokens.length - 1);
      packedTokens.push(row[oracle.prompt_length + t]!);
    }
  });
}

function scores(parameters: Weights, temperature: number) {
  const logits = transformer(config, parameters, packedTokens, segments);
  return logProb(logits, { vocabulary, targets: items.targets, rows: packedRows, temperature });
}

/** The fixture's objectives, which are all taken at temperature 1. */
function lossInput(
  name: string,
  { logProbs, entropies }: { logProbs: Float64Array; entropies: Float64Array },
): PolicyLossInput {
  const [objective, rule] = name.split(/\.(.*)/) as [string, string];
  return {
    logProbs,
    oldLogProbs: atScoredTokens(truth.get("old_log_probs")!, items),
    sequences: items.sequences,
    advantages: truth.get(objective === "reinforce" ? "advantages.dr_grpo" : "advantages.grpo")!
      .data,
    weights: truth.get(`coefficients.${rule}`)!.data,
    surrogate: objective === "reinforce" ? { kind: "reinforce" } : {
      kind: "ppo",
      epsilon: oracle.clip_ratio_low,
      epsilonHigh: oracle.clip_ratio_high,
      dualClip: oracle.clip_ratio_c,
    },
    ...(objective === "clip_kl_entropy" && {
      kl: {
        refLogProbs: atScoredTokens(truth.get("ref_log_probs")!, items),
        estimator: "k3",
        coefficient: oracle.kl_coef,
      },
      entropy: { entropies, coefficient: oracle.entropy_coef },
    }),
  };
}

Deno.test("transformer reference gives PyTorch's logits", () => {
  const logits = transformerRows(config, weights, oracle.tokens);
  assertClose(logits, truth.get("logits")!.data, near);
});

Deno.test("transformer reference gives PyTorch's log-probabilities and entropies when packed", () => {
  for (const [temperature, suffix] of [[1, ""], [oracle.temperature, "_temperature"]] as const) {
    const { logProbs, entropies } = scores(weights, temperature);
    const expected = (name: string) => atScoredTokens(truth.get(name + suffix)!, items);
    assertClose(logProbs, expected("log_probs"), near);
    assertClose(entropies, expected("entropy"), near);
  }
});

Deno.test("policy loss reference gives PyTorch's loss for every objective and rule", () => {
  const scored = scores(weights, 1);
  const names = Object.keys(oracle.cases).filter((name) => name !== "sft");
  assertEquals(names.length, 21);
  for (const name of names) {
    const { loss } = policyLoss(lossInput(name, scored));
    assertClose([loss], [oracle.cases[name]!.loss], { ...near, label: name });
  }
  const nll = -scored.logProbs.reduce((a, b) => a + b) / scored.logProbs.length;
  assertClose([nll], [oracle.cases.sft!.loss], { ...near, label: "sft" });
});

Deno.test("finite differences of the whole reference give PyTorch's gradients", () => {
  const name = "clip.delta_l:0.75";
  const copy = new Map([...weights].map(([key, data]) => [key, data.slice()]));
  const objective = () => policyLoss(lossInput(name, scores(copy, 1))).loss;
  for (const [index, [key, data]] of [...copy].entries()) {
    const gradient = truth.get(`grad.${name}.${key}`)!.data;
    const largest = argmax(gradient.map(Math.abs), 0, gradient.length);
    const indices = [largest, ...randomIntegers(index, 1, data.length)];
    assertClose(
      finiteDifference(objective, data, { indices }),
      indices.map((i) => gradient[i]!),
      { tolerance: 1e-6, label: key },
    );
  }
});

Deno.test("an AdamW step on PyTorch's gradients leads to PyTorch's next loss", () => {
  const { lr, beta1, beta2, eps, weight_decay, max_grad_norm } = oracle.adamw;
  const name = "clip.delta_l:0.75";
  const gradients = [...weights.keys()].map((key) => truth.get(`grad.${name}.${key}`)!.data);
  const norm = globalNorm(gradients);
  assertClose([norm], [oracle.adamw_trajectory[0]!.grad_norm], near);
  const coefficient = clipCoefficient(norm, max_grad_norm);
  const stepped = new Map(
    [...weights].map(([key, data], i) => {
      const parameter = data.slice();
      const clipped = gradients[i]!.map((g) => g * coefficient);
      adamwStep(parameter, new Float64Array(data.length), new Float64Array(data.length), clipped, {
        learningRate: lr,
        beta1,
        beta2,
        eps,
        weightDecay: weight_decay,
        step: 1,
      });
      return [key, parameter];
    }),
  );
  const { loss } = policyLoss(lossInput(name, scores(stepped, 1)));
  assertClose([loss], [oracle.adamw_trajectory[1]!.loss], near);
});

Deno.test("greedy decoding with the reference gives PyTorch's tokens", () => {
  for (let p = 0; p < oracle.num_prompts; p++) {
    const tokens = oracle.tokens[p * oracle.num_generations]!.slice(0, oracle.prompt_length);
    for (let i = 0; i < oracle.greedy[p]!.length; i++) {
      const logits = transformerRows(config, weights, [tokens]);
      tokens.push(argmax(logits, tokens.length - 1, vocabulary));
    }
    assertEquals(tokens.slice(oracle.prompt_length), oracle.greedy[p]);
  }
});
