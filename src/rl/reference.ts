/**
 * The reference policy: a frozen copy of the policy that training is not to stray from.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Arena } from "../gpu/arena.ts";
import { Plan } from "../gpu/plan.ts";
import { Readback } from "../gpu/readback.ts";
import { readied } from "../gpu/readied.ts";
import { submit } from "../gpu/submit.ts";
import { Dim, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import type { PackedInputs } from "../model/packed_inputs.ts";
import { type PromptGroup, splitGroups } from "../model/packing.ts";
import { Parameters } from "../model/parameters.ts";
import type { Policy } from "../model/policy.ts";
import { recordScoring } from "../model/scoring.ts";
import { responseKl } from "../ops/response_kl.ts";
import { scatterItems } from "../ops/scatter_items.ts";
import type { KlEstimator } from "../objective/kl.ts";

/** Options of {@linkcode Reference.create}. */
export interface ReferenceOptions {
  /** Divides the logits. */
  readonly temperature: number;
  /** Packed tokens per forward pass. */
  readonly maxTokens: number;
  /** Estimator of {@linkcode Reference.divergence}. */
  readonly klEstimator: KlEstimator;
  /** Where activations live. Default: an arena of its own. */
  readonly arena?: Arena;
}

const NAMES = namesOf<ReferenceOptions>({
  temperature: true,
  maxTokens: true,
  klEstimator: true,
  arena: true,
});

/** A frozen policy, and what it says about a rollout: a copy, or the policy without its adapters. */
export class Reference {
  /** The frozen weights; write here what a checkpoint has. None where they are the policy's own, without its adapters. */
  readonly parameters: Parameters | undefined;
  /** Log-probabilities of the tokens last scored (B, M). */
  readonly logProbs: Tensor;

  readonly #policy: Policy;
  readonly #maxTokens: number;
  readonly #plan: Plan;
  readonly #inputs: PackedInputs;
  readonly #responses: Dim;
  readonly #lengths: Tensor;
  readonly #divergencePlan: Plan;
  readonly #divergences: Readback<readonly [Tensor<"f32">]>;

  private constructor(policy: Policy, oldLogProbs: Tensor, options: ReferenceOptions) {
    const { gpu, config } = policy;
    this.#policy = policy;
    this.#maxTokens = options.maxTokens;
    this.parameters = policy.parameters.adapters ? undefined : new Parameters(gpu, config, {
      dtype: policy.dtype,
      cacheDtype: policy.parameters.cacheDtype,
    });
    const [B, M] = oldLogProbs.shape.map(sizeLimit) as [number, number];
    this.logProbs = gpu.tensor([B, M], { name: "ref_log_probs" });

    this.#plan = new Plan(gpu, "reference", options.arena && { arena: options.arena });
    const { inputs, scored } = recordScoring(
      this.#plan,
      this.parameters ?? policy.parameters.base,
      options.maxTokens,
      options,
    );
    scatterItems(this.#plan, scored.logProbs, inputs, this.logProbs);
    this.#inputs = inputs;

    this.#responses = new Dim("responses", B);
    this.#lengths = gpu.tensor([this.#responses], { name: "reference.lengths", dtype: "u32" });
    this.#divergencePlan = new Plan(gpu, "divergence");
    const sums = responseKl(
      this.#divergencePlan,
      { logProbs: oldLogProbs, refLogProbs: this.logProbs, lengths: this.#lengths },
      { klEstimator: options.klEstimator },
    );
    this.#divergences = new Readback(gpu, [this.#divergencePlan.keep(sums)]);
  }

  /**
   * Copies the policy's weights as they are and compiles what scoring needs.
   *
   * @param policy What to copy.
   * @param oldLogProbs Where the sampler's log-probabilities are (B, M).
   * @param options Temperature, memory and estimator.
   */
  static async create(
    policy: Policy,
    oldLogProbs: Tensor,
    options: ReferenceOptions,
  ): Promise<Reference> {
    checkNames("Reference", options, NAMES);
    return await readied(
      policy.gpu,
      () => new Reference(policy, oldLogProbs, options),
      async (reference) => {
        await reference.#plan.compile();
        await reference.#divergencePlan.compile();
        reference.synchronise();
      },
    );
  }

  /** Takes over the policy's weights as they are now. */
  synchronise(): void {
    const { gpu, parameters } = this.#policy;
    if (this.parameters) submit(gpu, this.parameters.copyFrom(parameters));
  }

  /** Fills {@linkcode logProbs} for some responses. */
  score(groups: readonly PromptGroup[]): void {
    for (const microBatch of splitGroups(groups, this.#maxTokens)) {
      this.#inputs.upload(microBatch);
      submit(this.#policy.gpu, [this.#plan]);
    }
  }

  /**
   * Estimates of the divergence of the policy that sampled the responses from this one, summed over the tokens of each.
   * Call {@linkcode score} first.
   *
   * @param lengths Tokens of each response (B).
   * @returns Nats (B).
   */
  async divergence(lengths: readonly number[]): Promise<Float32Array> {
    const { gpu } = this.#policy;
    this.#responses.value = lengths.length;
    gpu.write(this.#lengths, lengths);
    submit(gpu, [this.#divergencePlan], this.#divergences);
    const [sums] = await this.#divergences.take();
    gpu.check();
    return sums;
  }

  /** Releases the memory. */
  destroy(): void {
    const { gpu } = this.#policy;
    this.#divergences.destroy();
    this.#divergencePlan.destroy();
    this.#plan.destroy();
    this.parameters?.destroy();
    for (const tensor of [this.logProbs, this.#lengths]) gpu.destroyTensor(tensor);
  }
}
