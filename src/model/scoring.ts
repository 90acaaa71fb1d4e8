/**
 * Scoring: the forward pass over packed prompts and responses, as every part of the program that asks a policy for
 * log-probabilities records it.
 *
 * @module
 */

import type { Plan } from "../gpu/plan.ts";
import { headLogProb } from "../ops/head_log_prob.ts";
import type { Scores } from "../ops/log_prob.ts";
import { PackedInputs } from "./packed_inputs.ts";
import type { PolicyWeights } from "./policy_weights.ts";
import { encode } from "./transformer.ts";

/** A forward pass with the log-probabilities of the responses' tokens. */
export interface Scoring {
  /** Where to upload prompts and responses. */
  readonly inputs: PackedInputs;
  /** Log-probability and entropy of each scored token (N). */
  readonly scored: Scores;
}

/**
 * Records a forward pass and the log-probabilities of the responses' tokens.
 *
 * @param maxTokens The most packed tokens of a run.
 * @param options `temperature`, which divides the logits, and `keptBytes`, see {@linkcode headLogProb}.
 */
export function recordScoring(
  plan: Plan,
  parameters: PolicyWeights,
  maxTokens: number,
  { temperature, keptBytes }: { readonly temperature: number; readonly keptBytes?: number },
): Scoring {
  const inputs = new PackedInputs(plan, maxTokens, { frozenToken: parameters.config.padTokenId });
  const hidden = encode(plan, parameters, inputs);
  const scored = headLogProb(plan, hidden, parameters.head, inputs, {
    temperature,
    ...(keptBytes !== undefined && { keptBytes }),
    excludedToken: parameters.config.suppressedTokenId,
  });
  return { inputs, scored };
}
