/**
 * Scoring: the forward pass over packed prompts and responses, as every part of the program that asks a policy for
 * log-probabilities records it.
 *
 * @module
 */

import type { Plan } from "../gpu/plan.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { logProb } from "../ops/log_prob.ts";
import { PackedInputs } from "./packed_inputs.ts";
import type { Parameters } from "./parameters.ts";
import { encode, head } from "./transformer.ts";

/** A forward pass that is recorded. */
export interface Forward {
  /** Where to upload prompts and responses. */
  readonly inputs: PackedInputs;
  /** Logits (rows, V). */
  readonly logits: Tensor;
}

/** A forward pass with the log-probabilities of the responses' tokens. */
export interface Scoring extends Forward {
  /** Log-probability and entropy of each scored token (N). */
  readonly scored: { readonly logProbs: Tensor; readonly entropies: Tensor };
}

/**
 * Records a forward pass.
 *
 * @param plan Where to record.
 * @param parameters The policy's.
 * @param maxTokens The most packed tokens of a run.
 */
export function recordForward(plan: Plan, parameters: Parameters, maxTokens: number): Forward {
  const inputs = new PackedInputs(plan, maxTokens);
  return { inputs, logits: head(plan, parameters, encode(plan, parameters, inputs)) };
}

/**
 * Records a forward pass and the log-probabilities of the responses' tokens.
 *
 * @param plan Where to record.
 * @param parameters The policy's.
 * @param maxTokens The most packed tokens of a run.
 * @param options `temperature`, which divides the logits.
 */
export function recordScoring(
  plan: Plan,
  parameters: Parameters,
  maxTokens: number,
  { temperature }: { readonly temperature: number },
): Scoring {
  const { inputs, logits } = recordForward(plan, parameters, maxTokens);
  return { inputs, logits, scored: logProb(plan, logits, inputs, { temperature }) };
}
