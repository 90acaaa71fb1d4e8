/**
 * Credit: what each response is worth (its advantage) and how much it counts (its weight), computed on the GPU.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import { groupAdvantage } from "../ops/group_advantage.ts";
import { lengthWeight } from "../ops/length_weight.ts";
import type { IndexRange } from "./groups.ts";
import type { ObjectiveOptions } from "./train_options.ts";

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
    >
  >
  & Pick<ObjectiveOptions, "scaleRewards">;

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
  #miniBatch: IndexRange = { start: 0, end: 0 };

  private constructor(gpu: Gpu, maxResponses: number, options: CreditOptions) {
    this.#gpu = gpu;
    this.#responses = new Dim("responses", maxResponses);
    this.#rewards = gpu.tensor([maxResponses], { name: "rewards" });
    this.#lengths = gpu.tensor([maxResponses], { name: "lengths", dtype: "u32" });
    const rewards = this.#rewards.view([this.#responses]);
    const lengths = this.#lengths.view([this.#responses]);
    const { numGenerations, advantageEstimator, scaleRewards } = options;
    this.advantagePlan = new Plan(gpu, "advantages");
    this.advantages = this.advantagePlan.keep(groupAdvantage(this.advantagePlan, rewards, {
      numGenerations,
      advantageEstimator,
      lengths,
      ...(scaleRewards ? { scaleRewards } : {}),
    }));
    this.weightPlan = new Plan(gpu, "weights");
    this.weights = this.weightPlan.keep(lengthWeight(this.weightPlan, lengths, {
      lossAggregation: options.lossAggregation,
      lossAlpha: options.lossAlpha,
      lossScaleFactor: options.lossScaleFactor,
      lossScope: options.lossScope,
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

  /**
   * Uploads a rollout batch.
   *
   * @param rewards One per response.
   * @param lengths Scored tokens of each response; 0 leaves it out of the loss.
   */
  upload(rewards: readonly number[], lengths: readonly number[]): void {
    this.#responses.value = rewards.length;
    this.#miniBatch = { start: 0, end: rewards.length };
    this.#gpu.write(this.#rewards, rewards);
    this.#gpu.write(this.#lengths, lengths);
  }

  /** Chooses the responses of the optimizer step that {@linkcode weightPlan} runs for next. */
  select(miniBatch: IndexRange): void {
    this.#miniBatch = miniBatch;
  }

  /** Releases the memory. */
  destroy(): void {
    this.advantagePlan.destroy();
    this.weightPlan.destroy();
    for (const tensor of [this.#rewards, this.#lengths]) {
      this.#gpu.destroyTensor(tensor);
    }
  }
}
