/**
 * The batch of a policy gradient, checked.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Policy } from "../model/policy.ts";
import { checkPositions, checkWritten } from "../model/token_ids.ts";
import { checkNumbers } from "../objective/check_numbers.ts";

/** Responses and their rewards; the G responses to a prompt stand side by side. */
export interface PolicyGradientBatch {
  /** Prompt of each response, or one prompt for each group of `numGenerations` responses. */
  readonly prompts: readonly (readonly number[])[];
  /** Token ids of each response (B). */
  readonly completions: readonly (readonly number[])[];
  /** Reward of each response (B); `null` leaves one that could not be judged out of statistics and loss. */
  readonly rewards: ArrayLike<number | null>;
  /** Log-probabilities of each response's tokens under the policy that sampled them. */
  readonly oldLogProbs: readonly ArrayLike<number>[];
  /** Log-probabilities under a reference policy, needed when `beta` is not 0. */
  readonly refLogProbs?: readonly ArrayLike<number>[];
}

const NAMES = namesOf<PolicyGradientBatch>(
  { prompts: true, completions: true, rewards: true, oldLogProbs: true, refLogProbs: true },
);

/**
 * Checks a batch.
 *
 * @param policy Whose vocabulary the tokens are from.
 * @param numGenerations G.
 * @returns One prompt for each group.
 * @throws {TypeError} If a part is missing, or one is given that there is not.
 * @throws {RangeError} If parts do not go together, or a number is none; the message names the place.
 */
export function checkBatch(
  policy: Policy,
  batch: PolicyGradientBatch,
  numGenerations: number,
): readonly (readonly number[])[] {
  checkNames("policyGradient's batch", batch ?? {}, NAMES);
  // Programs in JavaScript may leave any of it out.
  const { prompts, completions, rewards, oldLogProbs, refLogProbs } = batch ?? {};
  for (const [name, part] of Object.entries({ prompts, completions, rewards, oldLogProbs })) {
    if (part === undefined || part === null) {
      throw new TypeError(
        `policyGradient needs ${name}, one entry for each completion: got ${part}`,
      );
    }
  }
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
    checkWritten(policy.config, completion, `completions[${b}]`);
    for (const [name, lists] of Object.entries({ oldLogProbs, refLogProbs })) {
      if (!lists) continue;
      const row: ArrayLike<number> | undefined = lists[b];
      if (row?.length !== completion.length) {
        throw new RangeError(
          `${name}[${b}] must have one number per token of its completion, ` +
            `${completion.length}: got ${row?.length ?? row}`,
        );
      }
      checkNumbers(row, `${name}[${b}]`);
    }
  }
  checkNumbers(Array.from(rewards, (reward) => reward === null ? 0 : reward), "rewards");
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
        `prompts[${p * numGenerations + odd}] differs from prompts[${p * numGenerations}]: the ` +
          `${numGenerations} completions of a group answer one prompt`,
      );
    }
    return group[0]!;
  });
  for (const [p, prompt] of perGroup.entries()) {
    policy.checkTokens(prompt, `prompts[${p}]`);
    const responses = completions.slice(p * numGenerations, (p + 1) * numGenerations);
    for (const [g, { length }] of responses.entries()) {
      const what = `completions[${p * numGenerations + g}] with its prompt`;
      checkPositions(policy.config, prompt.length + length, what);
    }
  }
  return perGroup;
}
