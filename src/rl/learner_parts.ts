/**
 * What a learner is made of, given for a step, and gives.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";
import type { Arena } from "../gpu/arena.ts";
import type { HostArray } from "../gpu/host_array.ts";
import type { Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { KlEstimator } from "../objective/kl.ts";
import type { OwnSurrogate } from "../objective/own_objective.ts";
import type { PolicyLossSettings } from "../objective/surrogate.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";

/** What a learner minimises, besides advantages and weights. */
export interface LearnerObjective extends PolicyLossSettings {
  /** A surrogate of one's own in place of `policyLoss`. */
  readonly own?: OwnSurrogate | undefined;
  /** Divides the logits. */
  readonly temperature: number;
  /** Coefficient of the divergence from the reference policy. */
  readonly beta: number;
  /** Its estimator; needs reference log-probabilities. */
  readonly klEstimator?: KlEstimator | undefined;
  /** Coefficient of the entropy bonus. */
  readonly entropyCoef: number;
}

/** Tensors a learner reads, one row or element per response b of the batch. */
export interface LearnerBatch {
  /** Advantage of each response (B). */
  readonly advantages: Tensor;
  /** Weight of each response in the loss (B). */
  readonly weights: Tensor;
  /** Log-probabilities under the policy that sampled the tokens (B, M). */
  readonly oldLogProbs: Tensor;
  /** Log-probabilities under the reference policy (B, M). */
  readonly refLogProbs?: Tensor | undefined;
}

/** What goes into a step besides the responses. */
export interface LearnerStep {
  /** Work to submit first, such as what computes the weights. */
  readonly before?: readonly Work[] | undefined;
  /** What steps the parameters. Without, their gradients are computed and nothing is changed. */
  readonly optimizer?: AdamW | undefined;
  /** Further tensors to read in the same submit. */
  readonly read?: readonly Tensor[] | undefined;
  /** Which step it is, for messages, such as `Step 7`. */
  readonly label?: string | undefined;
}

/** What a step gave. */
export interface LearnerReport {
  /** The loss. */
  readonly loss: number;
  /** Global norm of the gradient before clipping. */
  readonly gradNorm: number;
  /** Sums and maxima over the tokens, laid out as `POLICY_LOSS_STATS`. */
  readonly stats: Float32Array;
  /** Values of the tensors to read. */
  readonly read: readonly HostArray[];
}

/** What a learner takes memory for. */
export interface LearnerMemory {
  /** Packed tokens of a micro-batch. */
  readonly maxTokens: number;
  /** How activations wait for the backward pass. Default `"f32"`. */
  readonly activationDtype?: "f32" | "f16";
  /** Whether they do not wait at all: each layer runs again before its backward pass. Default `false`. */
  readonly activationCheckpointing?: boolean;
  /** Where activations live. Default: an arena of its own. */
  readonly arena?: Arena;
}

/** Every field of {@linkcode LearnerBatch}. */
export const BATCH: readonly string[] = namesOf<LearnerBatch>({
  advantages: true,
  weights: true,
  oldLogProbs: true,
  refLogProbs: true,
});

/** Every field of {@linkcode LearnerObjective}. */
export const OBJECTIVE: readonly string[] = namesOf<LearnerObjective>({
  policyLoss: true,
  epsilon: true,
  epsilonHigh: true,
  dualClip: true,
  sapoTemperaturePos: true,
  sapoTemperatureNeg: true,
  own: true,
  temperature: true,
  beta: true,
  klEstimator: true,
  entropyCoef: true,
});

/** Every field of {@linkcode LearnerMemory}. */
export const MEMORY: readonly string[] = namesOf<LearnerMemory>({
  maxTokens: true,
  activationDtype: true,
  activationCheckpointing: true,
  arena: true,
});

/** Every field of {@linkcode LearnerStep}. */
export const STEP: readonly string[] = namesOf<LearnerStep>({
  before: true,
  optimizer: true,
  read: true,
  label: true,
});
