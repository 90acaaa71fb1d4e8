/**
 * One policy gradient, for those who write their own loop or want to look at it.
 *
 * @module
 */

import { Readback, submit } from "../gpu/submit.ts";
import type { Policy } from "../model/policy.ts";
import { POLICY_LOSS_STATS as AT } from "../ops/policy_loss.ts";
import { Credit } from "./credit.ts";
import { Learner } from "./learner.ts";
import { policyLossSettings } from "../objective/surrogate.ts";
import { type ObjectiveOptions, resolveObjective } from "./train_options.ts";

/** Responses and their rewards; the G responses to a prompt stand side by side. */
export interface PolicyGradientBatch {
  /** Prompt of each response, or one prompt for each group of `numGenerations` responses. */
  readonly prompts: readonly (readonly number[])[];
  /** Token ids of each response (B). */
  readonly completions: readonly (readonly number[])[];
  /** Reward of each response (B). */
  readonly rewards: ArrayLike<number>;
  /** Log-probabilities of each response's tokens under the policy that sampled them. */
  readonly oldLogProbs: readonly ArrayLike<number>[];
  /** Log-probabilities under a reference policy, needed when `beta` is not 0. */
  readonly refLogProbs?: readonly ArrayLike<number>[];
}

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
 * @throws {RangeError} If the batch is inconsistent or a setting is out of range.
 */
export async function policyGradient(
  policy: Policy,
  batch: PolicyGradientBatch,
  options: PolicyGradientOptions,
): Promise<PolicyGradient> {
  const { completions } = batch;
  const { numGenerations } = options;
  const prompts = checkBatch(policy, batch, numGenerations);
  const longest = completions.reduce((n, c) => Math.max(n, c.length), 1);
  const objective = resolveObjective(options, longest);
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
  const { gpu, parameters } = policy;
  const B = completions.length;
  const matrix = (rows: readonly ArrayLike<number>[], name: string) => {
    const data = new Float32Array(B * longest);
    for (const [b, row] of rows.entries()) data.set(Array.from(row), b * longest);
    return gpu.tensor([B, longest], { data, name });
  };
  const credit = await Credit.create(gpu, B, { ...objective, numGenerations });
  const oldLogProbs = matrix(batch.oldLogProbs, "old_log_probs");
  const refLogProbs = batch.refLogProbs && matrix(batch.refLogProbs, "ref_log_probs");
  const learner = await Learner.create(policy, {
    advantages: credit.advantages,
    weights: credit.weights,
    oldLogProbs,
    ...(refLogProbs ? { refLogProbs } : {}),
  }, {
    ...policyLossSettings(objective),
    temperature: objective.temperature,
    beta: objective.beta,
    entropyCoef: objective.entropyCoef,
    ...(refLogProbs ? { klEstimator: objective.klEstimator } : {}),
  }, options.maxTokensPerMicroBatch ?? packed);
  const readback = new Readback(gpu, [learner.stats]);
  try {
    credit.upload({
      rewards: Array.from(batch.rewards),
      lengths: completions.map((c) => c.length),
    });
    learner.accumulate(groups, [
      { clear: learner.stats },
      credit.advantagePlan,
      credit.weightPlan,
    ]);
    submit(gpu, [], readback);
    const [stats] = await readback.take();
    gpu.check();
    const gradients = await parameters.read(parameters.gradients);
    let squares = 0;
    for (const values of gradients.values()) for (const v of values) squares += v * v;
    const gradNorm = Math.sqrt(squares);
    const loss = stats![AT.loss]!;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      const where = await learner.locateNonFinite(groups);
      throw new Error(
        `The loss is ${loss} and the gradient norm ${gradNorm}. First value that is not finite: ${
          where ?? "none when run again"
        }`,
      );
    }
    return { loss, gradNorm, gradients, entropy: stats![AT.entropySum]! / stats![AT.items]! };
  } finally {
    readback.destroy();
    learner.destroy();
    credit.destroy();
    for (const tensor of [oldLogProbs, refLogProbs]) {
      if (tensor) gpu.destroyTensor(tensor);
    }
  }
}

/** Checks a batch and returns one prompt per group. */
function checkBatch(
  policy: Policy,
  batch: PolicyGradientBatch,
  numGenerations: number,
): readonly (readonly number[])[] {
  const { prompts, completions, rewards, oldLogProbs, refLogProbs } = batch;
  const B = completions.length;
  if (
    !Number.isInteger(numGenerations) || numGenerations < 1 || B % numGenerations !== 0 || B === 0
  ) {
    throw new RangeError(
      `numGenerations must be an integer that divides the ${B} completions: current value is ${numGenerations}`,
    );
  }
  for (const [name, list] of Object.entries({ rewards, oldLogProbs, refLogProbs })) {
    if (list && list.length !== B) {
      throw new RangeError(`${name} must have one entry per completion, ${B}: got ${list.length}`);
    }
  }
  for (const [b, completion] of completions.entries()) {
    policy.checkTokens(completion, `completions[${b}]`);
    for (const [name, lists] of Object.entries({ oldLogProbs, refLogProbs })) {
      if (lists && lists[b]!.length !== completion.length) {
        throw new RangeError(
          `${name}[${b}] must have one number per token of its completion, ${completion.length}: got ${
            lists[b]!.length
          }`,
        );
      }
    }
    if (!Number.isFinite(rewards[b])) {
      throw new RangeError(`rewards[${b}] must be a finite number: current value is ${rewards[b]}`);
    }
  }
  const groups = B / numGenerations;
  if (prompts.length !== B && prompts.length !== groups) {
    throw new RangeError(
      `prompts must have one entry per completion (${B}) or per group (${groups}): got ${prompts.length}`,
    );
  }
  const perGroup = Array.from({ length: groups }, (_, p) => {
    if (prompts.length === groups) return prompts[p]!;
    const group = prompts.slice(p * numGenerations, (p + 1) * numGenerations);
    const odd = group.findIndex((prompt) => prompt.join() !== group[0]!.join());
    if (odd >= 0) {
      throw new RangeError(
        `prompts[${p * numGenerations + odd}] differs from prompts[${
          p * numGenerations
        }]: the ${numGenerations} ` +
          "completions of a group answer one prompt",
      );
    }
    return group[0]!;
  });
  for (const [p, prompt] of perGroup.entries()) policy.checkTokens(prompt, `prompts[${p}]`);
  return perGroup;
}
