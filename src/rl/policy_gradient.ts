/**
 * One policy gradient, for those who write their own loop or want to look at it.
 *
 * @module
 */

import { memoryOf, usingParts } from "../gpu/readied.ts";
import type { Policy } from "../model/policy.ts";
import { POLICY_LOSS_STATS as AT } from "../ops/policy_loss.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { Coefficients } from "./coefficients.ts";
import { Learner } from "./learner.ts";
import { checkBatch, type PolicyGradientBatch } from "./policy_gradient_batch.ts";
import { resolveObjective } from "./resolve_options.ts";
import { settingOf } from "./settings.ts";
import type { ObjectiveOptions } from "./train_options.ts";

/** Options of {@linkcode policyGradient}. */
export interface PolicyGradientOptions extends ObjectiveOptions {
  /** Responses per prompt. */
  numGenerations: number;
  /** Packed tokens per forward and backward pass; does not change the result. Default: all at once. */
  maxTokensPerMicroBatch?: number;
}

/** What {@linkcode policyGradient} returns. */
export interface PolicyGradient {
  /** The loss. Near 0 on-policy, whatever the gradient. */
  readonly loss: number;
  /** Global norm of the gradient. */
  readonly gradNorm: number;
  /** Gradient by Hugging Face name. */
  readonly gradients: Map<string, Float32Array<ArrayBuffer>>;
  /** Mean entropy of the distributions the tokens were drawn from, nats. */
  readonly entropy: number;
}

/**
 * Loss and gradient of a batch of responses: advantages from rewards, weights from lengths, a surrogate per token.
 *
 * @param policy The policy to differentiate; its parameters are not changed.
 * @param batch Responses and rewards.
 * @param options The objective; `lossScaleFactor` is the longest response unless given.
 * @throws {TypeError} If a part of the batch is missing, or an option does not exist or is one of training alone.
 * @throws {RangeError} If the batch is inconsistent, a number in it is none, or a setting is out of range.
 * @throws {Error} If the loss or the gradient is not finite, naming the first such value.
 */
export async function policyGradient(
  policy: Policy,
  batch: PolicyGradientBatch,
  options: PolicyGradientOptions,
): Promise<PolicyGradient> {
  for (const name of Object.keys(options ?? {})) settingOf(name);
  const prompts = checkBatch(policy, batch, options?.numGenerations);
  const { completions } = batch;
  const { numGenerations } = options;
  const longest = completions.reduce((n, c) => Math.max(n, c.length), 1);
  const objective = resolveObjective(options, longest, [
    "numGenerations",
    "maxTokensPerMicroBatch",
  ]);
  if (objective.beta !== 0 && batch.refLogProbs === undefined) {
    throw new RangeError(
      `beta is ${objective.beta} and refLogProbs are missing: give the log-probabilities of each response's tokens ` +
        "under the reference policy, as its score() returns them",
    );
  }
  const groups = prompts.map((prompt, p) => ({
    prompt,
    responses: completions
      .slice(p * numGenerations, (p + 1) * numGenerations)
      .map((tokens, g) => ({ sequence: p * numGenerations + g, tokens })),
  }));
  const packed = groups.reduce(
    (n, g) => n + g.responses.reduce((m, r) => m + r.tokens.length, g.prompt.length),
    0,
  );
  const { gpu, trained } = policy;
  const B = completions.length;
  return await usingParts(async (own) => {
    const matrix = (rows: readonly ArrayLike<number>[], name: string) => {
      const data = new Float32Array(B * longest);
      for (const [b, row] of rows.entries()) data.set(row, b * longest);
      const tensor = gpu.tensor([B, longest], { data, name });
      own(memoryOf(gpu, tensor));
      return tensor;
    };
    const coefficients = own(await Coefficients.create(gpu, B, { ...objective, numGenerations }));
    const oldLogProbs = matrix(batch.oldLogProbs, "old_log_probs");
    const refLogProbs = batch.refLogProbs && matrix(batch.refLogProbs, "ref_log_probs");
    const { advantages, weights } = coefficients;
    const learner = own(
      await Learner.create(
        policy,
        { advantages, weights, oldLogProbs, refLogProbs },
        {
          ...surrogateSettings(objective),
          own: objective.objective?.surrogate,
          temperature: objective.temperature,
          beta: objective.beta,
          entropyCoef: objective.entropyCoef,
          klEstimator: refLogProbs && objective.klEstimator,
        },
        { maxTokens: options.maxTokensPerMicroBatch ?? packed },
      ),
    );
    coefficients.upload({
      rewards: Array.from(batch.rewards),
      lengths: completions.map((c) => c.length),
    });
    const { loss, gradNorm, stats } = await learner.step(groups, {
      before: [coefficients.advantagePlan, coefficients.weightPlan],
      label: "policyGradient",
    });
    const gradients = await trained.read(trained.gradients);
    return { loss, gradNorm, gradients, entropy: stats[AT.entropySum]! / stats[AT.items]! };
  });
}
