/**
 * The learner: forward pass, policy loss and backward pass over packed responses, as one plan, and the optimizer's step
 * behind it.
 *
 * A batch larger than the plan's token capacity is run in micro-batches that only add up: the weight of each response is
 * decided beforehand, so the split does not change the gradient.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { checkOwnSurrogate } from "./own_surrogate.ts";
import { Plan } from "../gpu/plan.ts";
import type { HostArray } from "../gpu/host_array.ts";
import { locateNonFinite } from "../gpu/locate_non_finite.ts";
import { Readback } from "../gpu/readback.ts";
import { assembled, readied } from "../gpu/readied.ts";
import { submit, type Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { PackedInputs } from "../model/packed_inputs.ts";
import { type PromptGroup, splitGroups } from "../model/packing.ts";
import type { Policy } from "../model/policy.ts";
import { recordScoring } from "../model/scoring.ts";
import { gradNorm } from "../ops/grad_norm.ts";
import { POLICY_LOSS_STATS as AT, policyLoss } from "../ops/policy_loss.ts";
import { recompute } from "../ops/recompute.ts";
import { saveInHalf } from "../ops/saved_halves.ts";
import {
  BATCH,
  type LearnerBatch,
  type LearnerMemory,
  type LearnerObjective,
  type LearnerReport,
  type LearnerStep,
  MEMORY,
  OBJECTIVE,
  STEP,
} from "./learner_parts.ts";

/** The layer that a dispatch belongs to. */
function layerOf(label: string): string | undefined {
  return /^layers\.\d+/.exec(label)?.[0];
}

/** Computes loss and gradient of a policy, and steps it. */
export class Learner {
  readonly #policy: Policy;
  readonly #plan: Plan;
  readonly #inputs: PackedInputs;
  readonly #stats: Tensor;
  readonly #maxTokens: number;
  #norm: { readonly plan: Plan; readonly gradNorm: Tensor } | undefined;
  #readback: Readback | undefined;

  private constructor(
    policy: Policy,
    batch: LearnerBatch,
    objective: LearnerObjective,
    memory: LearnerMemory,
  ) {
    const { maxTokens, activationDtype = "f32", activationCheckpointing = false, arena } = memory;
    const { parameters } = policy;
    policy.trained.requireGradients();
    const plan = new Plan(policy.gpu, "learner", { gradients: true, ...(arena && { arena }) });
    const { inputs, scored } = recordScoring(plan, parameters, maxTokens, {
      temperature: objective.temperature,
      ...(activationCheckpointing && { keptBytes: 0 }),
    });
    const { items, itemSequences, itemPositions, itemRanges } = inputs;
    const { klEstimator, temperature: _, ...rest } = objective;
    const { stats } = policyLoss(plan, {
      ...scored,
      itemSequences,
      itemPositions,
      itemRanges,
      items,
      ...batch,
    }, { ...rest, klEstimator: batch.refLogProbs && klEstimator });
    const forward = plan.dispatches;
    plan.backward();
    if (activationCheckpointing) recompute(plan, forward, layerOf);
    if (activationDtype === "f16") saveInHalf(plan, forward);
    this.#stats = plan.keep(stats);
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
   * @param memory How large micro-batches are, and what they leave for the backward pass.
   */
  static async create(
    policy: Policy,
    batch: LearnerBatch,
    objective: LearnerObjective,
    memory: LearnerMemory,
  ): Promise<Learner> {
    checkNames("Learner's batch", batch, BATCH);
    checkNames("Learner's objective", objective, OBJECTIVE);
    checkNames("Learner's memory", memory, MEMORY);
    if (objective.own) await checkOwnSurrogate(policy.gpu, objective.own);
    return await readied(
      policy.gpu,
      () => new Learner(policy, batch, objective, memory),
      (learner) => learner.#plan.compile(),
    );
  }

  /**
   * Leaves the gradient of the loss over some responses in the policy's gradients, steps the parameters, and reads what
   * came of it, all in one submit for each micro-batch.
   *
   * @param groups The responses; may be empty, which gives a zero gradient.
   * @param step The optimizer, and what to do before.
   * @throws {Error} If the loss or the gradient is not finite, naming the first such value. The parameters are then as
   * they were before, for AdamW leaves them where the norm is not finite.
   */
  async step(groups: readonly PromptGroup[], step: LearnerStep = {}): Promise<LearnerReport> {
    checkNames("Learner.step", step, STEP);
    const { before = [], optimizer, read = [], label = "The gradient" } = step;
    const { gpu } = this.#policy;
    const after = optimizer ?? (this.#norm ??= await this.#recordNorm());
    const readback = this.#readbackOf([this.#stats, after.gradNorm, ...read]);
    this.#accumulate(groups, before, after.plan, readback);
    const [stats, [gradNorm], ...values] = await readback.take() as [
      Float32Array,
      Float32Array,
      ...HostArray[],
    ];
    gpu.check();
    const loss = stats[AT.loss]!;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm) || stats[AT.notFinite] !== 0) {
      // It has stepped where the norm was finite all the same.
      if (Number.isFinite(gradNorm)) optimizer?.advance();
      throw new Error(
        `${label}: the loss is ${loss}, the gradient norm ${gradNorm}. ${await this.explain(
          groups,
        )}`,
      );
    }
    optimizer?.advance();
    return { loss, gradNorm: gradNorm!, stats, read: values };
  }

  /** What computes the norm where there is no optimizer to do so. */
  async #recordNorm(): Promise<{ plan: Plan; gradNorm: Tensor }> {
    const { gpu, trained } = this.#policy;
    return await assembled(async (own) => {
      const plan = own(new Plan(gpu, "norm"));
      const norm = plan.keep(gradNorm(plan, trained.gradients));
      await plan.compile();
      return { plan, gradNorm: norm };
    });
  }

  /** Clears, runs all micro-batches and what follows, and copies the results for the host. */
  #accumulate(
    groups: readonly PromptGroup[],
    before: readonly Work[],
    after: Plan,
    readback: Readback,
  ): void {
    const { gpu, trained } = this.#policy;
    let work: Work[] = [...before, { clear: this.#stats }, { clear: trained.gradients }];
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
    submit(gpu, [...work, after], readback);
  }

  /** The staging buffer for a list of tensors; a loop asks for the same ones every time. */
  #readbackOf(tensors: readonly Tensor[]): Readback {
    const now = this.#readback?.tensors;
    if (now?.length !== tensors.length || now.some((tensor, i) => tensor !== tensors[i])) {
      this.#readback?.destroy();
      this.#readback = new Readback(this.#policy.gpu, tensors);
    }
    return this.#readback!;
  }

  /**
   * Says where the first value that is not finite appears, by running once more, and what to do about it. The policy must
   * be as it was then.
   *
   * @param groups The responses of the step that gave one.
   */
  async explain(groups: readonly PromptGroup[]): Promise<string> {
    const where = await this.#locateNonFinite(groups);
    return `First value that is not finite: ${
      where ?? "none when run again"
    }. The parameters are as the last good ` +
      "optimizer step left them; go on from there with a lower learning rate";
  }

  async #locateNonFinite(groups: readonly PromptGroup[]): Promise<string | undefined> {
    const { gpu, trained } = this.#policy;
    submit(gpu, [{ clear: trained.gradients }, { clear: this.#stats }]);
    for (const microBatch of splitGroups(groups, this.#maxTokens)) {
      this.#inputs.upload(microBatch);
      const found = await locateNonFinite(gpu, this.#plan);
      if (found) return `${found.label}: ${found.tensor}[${found.index}] = ${found.value}`;
    }
    return undefined;
  }

  /** Releases the memory. */
  destroy(): void {
    this.#readback?.destroy();
    this.#norm?.plan.destroy();
    this.#plan.destroy();
  }
}
