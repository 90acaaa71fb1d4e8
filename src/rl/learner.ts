/**
 * The learner: forward pass, policy loss and backward pass over packed responses, as one plan.
 *
 * A batch larger than the plan's token capacity is run in micro-batches that only add up: the weight of each response is
 * decided beforehand, so the split does not change the gradient.
 *
 * @module
 */

import { Plan } from "../gpu/plan.ts";
import { locateNonFinite, type Readback, submit, type Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { PackedInputs } from "../model/packed_inputs.ts";
import { type PromptGroup, splitGroups } from "../model/packing.ts";
import type { StoredDType } from "../model/parameters.ts";
import type { Policy } from "../model/policy.ts";
import { encode, head } from "../model/transformer.ts";
import { logProb } from "../ops/log_prob.ts";
import { policyLoss } from "../ops/policy_loss.ts";
import { saveInHalf } from "../ops/saved_halves.ts";
import type { KlEstimator } from "../objective/kl.ts";
import type { PolicyLossSettings } from "../objective/surrogate.ts";

/** What a {@linkcode Learner} minimises, besides advantages and weights. */
export interface LearnerObjective extends PolicyLossSettings {
  /** Divides the logits. */
  readonly temperature: number;
  /** Coefficient of the divergence from the reference policy. */
  readonly beta: number;
  /** Its estimator; needs reference log-probabilities. */
  readonly klEstimator?: KlEstimator;
  /** Coefficient of the entropy bonus. */
  readonly entropyCoef: number;
}

/** Tensors a {@linkcode Learner} reads, one row or element per response b of the batch. */
export interface LearnerBatch {
  /** Advantage of each response (B). */
  readonly advantages: Tensor;
  /** Weight of each response in the loss (B). */
  readonly weights: Tensor;
  /** Log-probabilities under the policy that sampled the tokens (B, M). */
  readonly oldLogProbs: Tensor;
  /** Log-probabilities under the reference policy (B, M). */
  readonly refLogProbs?: Tensor;
}

/** Computes loss and gradient of a policy. */
export class Learner {
  /** Sums and maxima since the last clear, laid out as `POLICY_LOSS_STATS`. */
  readonly stats: Tensor;

  readonly #policy: Policy;
  readonly #plan: Plan;
  readonly #inputs: PackedInputs;
  readonly #maxTokens: number;

  private constructor(
    policy: Policy,
    batch: LearnerBatch,
    objective: LearnerObjective,
    maxTokens: number,
    activationDtype: StoredDType,
  ) {
    const { parameters } = policy;
    parameters.requireGradients();
    const plan = new Plan(policy.gpu, "learner", { gradients: true });
    const inputs = new PackedInputs(plan, maxTokens);
    const logits = head(plan, parameters, encode(plan, parameters, inputs));
    const { items, itemSequences, itemPositions, itemRanges } = inputs;
    const scored = logProb(plan, logits, inputs, { temperature: objective.temperature });
    const { klEstimator, ...rest } = objective;
    const { stats } = policyLoss(plan, {
      ...scored,
      itemSequences,
      itemPositions,
      itemRanges,
      items,
      ...batch,
    }, {
      ...rest,
      ...(klEstimator && batch.refLogProbs ? { klEstimator } : {}),
    });
    const forward = plan.commands.length;
    plan.backward();
    if (activationDtype === "f16") saveInHalf(plan, forward);
    this.stats = plan.keep(stats);
    this.#policy = policy;
    this.#plan = plan;
    this.#inputs = inputs;
    this.#maxTokens = maxTokens;
  }

  /**
   * Records and compiles the plan.
   *
   * @param policy What to differentiate.
   * @param batch Where advantages, weights and old log-probabilities will be.
   * @param objective The loss.
   * @param maxTokens Packed tokens of a micro-batch.
   * @param activationDtype How activations wait for the backward pass. Default `"f32"`.
   */
  static async create(
    policy: Policy,
    batch: LearnerBatch,
    objective: LearnerObjective,
    maxTokens: number,
    activationDtype: StoredDType = "f32",
  ): Promise<Learner> {
    const learner = new Learner(policy, batch, objective, maxTokens, activationDtype);
    await learner.#plan.compile();
    return learner;
  }

  /**
   * Leaves the gradient of the loss over some responses in the policy's gradients, and adds to {@linkcode stats}.
   *
   * @param groups The responses; may be empty, which gives a zero gradient.
   * @param before Work to submit first, such as what computes the weights.
   * @param after Work to submit last, such as the optimizer's step.
   * @param readback What to copy to the host at the end, in the same submit.
   */
  accumulate(
    groups: readonly PromptGroup[],
    before: readonly Work[] = [],
    after: readonly Work[] = [],
    readback?: Readback,
  ): void {
    const { gpu, parameters } = this.#policy;
    let work: Work[] = [...before, { clear: parameters.gradients }];
    const microBatches = splitGroups(groups, this.#maxTokens);
    for (const [i, microBatch] of microBatches.entries()) {
      this.#inputs.upload(microBatch);
      work.push(this.#plan);
      // Another upload would overwrite what this run reads, so only the last one may wait for more work.
      if (i + 1 < microBatches.length) {
        submit(gpu, work);
        work = [];
      }
    }
    submit(gpu, [...work, ...after], readback);
  }

  /**
   * Says where the first value that is not finite appears. Call it after {@linkcode accumulate} gave one, with the same
   * groups and before anything else changed.
   *
   * @returns `path of the kernel: tensor[index] = value`, or `undefined` if all is finite now.
   */
  async locateNonFinite(groups: readonly PromptGroup[]): Promise<string | undefined> {
    const { gpu, parameters } = this.#policy;
    submit(gpu, [{ clear: parameters.gradients }, { clear: this.stats }]);
    for (const microBatch of splitGroups(groups, this.#maxTokens)) {
      this.#inputs.upload(microBatch);
      const found = await locateNonFinite(gpu, this.#plan);
      if (found) return `${found.label}: ${found.tensor}[${found.index}] = ${found.value}`;
    }
    return undefined;
  }

  /** Releases the memory. */
  destroy(): void {
    this.#plan.destroy();
  }
}
