/**
 * Credit: what each response is worth (its advantage) and how much it counts (its weight), computed on the GPU.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import { responseAdvantages } from "../ops/response_advantages.ts";
import { responseWeights } from "../ops/response_weights.ts";
import type { IndexRange } from "../objective/groups.ts";
import type { ObjectiveOptions, ResolvedTrainOptions } from "./train_options.ts";

/** The settings credit depends on. */
export type CreditOptions =
  & Required<
    Pick<
      ObjectiveOptions,
      | "numGenerations"
      | "advantageEstimator"
      | "lossAggregation"
      | "lossAlpha"
      | "lossScaleFactor"
      | "lossScope"
      | "lossMicroBatchSize"
      | "lossLambda"
      | "lossLambdaSpread"
    >
  >
  & Pick<ObjectiveOptions, "scaleRewards">
  & Partial<Pick<ResolvedTrainOptions, "overlongFiltering">>;

/** What decides the credit of a rollout batch; one entry per response. */
export interface CreditInputs {
  /** Rewards. */
  readonly rewards: readonly number[];
  /** Tokens of each response. */
  readonly lengths: readonly number[];
  /** Tokens of each that the loss scores; 0 leaves the response out of its sums and counts. Default: all. */
  readonly scoredLengths?: readonly number[];
  /** Which get advantage 0 after they have counted in the statistics; needs the option `overlongFiltering`. */
  readonly withheld?: readonly boolean[];
}

/** Advantages and weights of a rollout batch of at most a given size. */
export class Credit {
  /** Advantage of each response (B). */
  readonly advantages: Tensor;
  /** Weight of each response of the current mini-batch (B); 0 outside it. */
  readonly weights: Tensor;
  /** Computes {@linkcode advantages} from the rewards. */
  readonly advantagePlan: Plan;
  /** Computes {@linkcode weights} from the lengths. */
  readonly weightPlan: Plan;

  readonly #gpu: Gpu;
  readonly #responses: Dim;
  readonly #rewards: Tensor;
  readonly #lengths: Tensor;
  readonly #scoredLengths: Tensor;
  readonly #withheld: Tensor | undefined;
  #miniBatch: IndexRange = { start: 0, end: 0 };

  private constructor(gpu: Gpu, maxResponses: number, options: CreditOptions) {
    this.#gpu = gpu;
    this.#responses = new Dim("responses", maxResponses);
    this.#rewards = gpu.tensor([maxResponses], { name: "rewards" });
    const counts = (name: string) => gpu.tensor([maxResponses], { name, dtype: "u32" });
    this.#lengths = counts("lengths");
    this.#scoredLengths = counts("scored_lengths");
    this.#withheld = options.overlongFiltering ? counts("withheld") : undefined;
    const now = [this.#responses];
    const { numGenerations, advantageEstimator, scaleRewards } = options;
    this.advantagePlan = new Plan(gpu, "advantages");
    const rewards = this.#rewards.view(now);
    this.advantages = this.advantagePlan.keep(responseAdvantages(this.advantagePlan, rewards, {
      numGenerations,
      advantageEstimator,
      lengths: this.#lengths.view(now),
      ...(scaleRewards ? { scaleRewards } : {}),
      ...(this.#withheld ? { withheld: this.#withheld.view(now) } : {}),
    }));
    this.weightPlan = new Plan(gpu, "weights");
    const scoredLengths = this.#scoredLengths.view(now);
    this.weights = this.weightPlan.keep(responseWeights(this.weightPlan, scoredLengths, {
      lossAggregation: options.lossAggregation,
      lossAlpha: options.lossAlpha,
      lossScaleFactor: options.lossScaleFactor,
      lossScope: options.lossScope,
      lossMicroBatchSize: options.lossMicroBatchSize,
      lossLambda: options.lossLambda,
      lossLambdaSpread: options.lossLambdaSpread,
      numGenerations,
      start: () => this.#miniBatch.start,
      end: () => this.#miniBatch.end,
    }));
  }

  /**
   * Takes the memory and compiles the two plans.
   *
   * @param gpu The device.
   * @param maxResponses B, the largest batch.
   * @param options Estimator and aggregation rule.
   */
  static async create(gpu: Gpu, maxResponses: number, options: CreditOptions): Promise<Credit> {
    const credit = new Credit(gpu, maxResponses, options);
    await credit.advantagePlan.compile();
    await credit.weightPlan.compile();
    return credit;
  }

  /** Uploads a rollout batch. */
  upload({ rewards, lengths, scoredLengths = lengths, withheld }: CreditInputs): void {
    this.#responses.value = rewards.length;
    this.#miniBatch = { start: 0, end: rewards.length };
    this.#gpu.write(this.#rewards, rewards);
    this.#gpu.write(this.#lengths, lengths);
    this.#gpu.write(this.#scoredLengths, scoredLengths);
    if (this.#withheld) {
      this.#gpu.write(this.#withheld, rewards.map((_, b) => withheld?.[b] ? 1 : 0));
    }
  }

  /** Chooses the responses of the optimizer step that {@linkcode weightPlan} runs for next. */
  select(miniBatch: IndexRange): void {
    this.#miniBatch = miniBatch;
  }

  /** Releases the memory. */
  destroy(): void {
    this.advantagePlan.destroy();
    this.weightPlan.destroy();
    for (const tensor of [this.#rewards, this.#lengths, this.#scoredLengths, this.#withheld]) {
      if (tensor) this.#gpu.destroyTensor(tensor);
    }
  }
}
