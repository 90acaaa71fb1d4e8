/**
 * The coefficients of a batch: the advantage of each response and its weight in the loss, computed on the GPU.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { readied } from "../gpu/readied.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import { responseAdvantages } from "../ops/response_advantages.ts";
import { responseWeights } from "../ops/response_weights.ts";
import type { IndexRange } from "../objective/groups.ts";
import { ownAdvantages, ownWeights } from "../objective/own_objective.ts";
import { centredRewards } from "./centred_rewards.ts";
import type { ObjectiveOptions, ResolvedTrainOptions } from "./train_options.ts";

/** The settings coefficients depend on. */
export type CoefficientOptions =
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
  & Pick<ObjectiveOptions, "scaleRewards" | "objective">
  & Partial<Pick<ResolvedTrainOptions, "overlongFiltering" | "klAfterNormalization">>;

/** What decides the coefficients of a batch; one entry per response. */
export interface CoefficientInputs {
  /** Rewards; `null` where a response could not be judged: it counts in no statistics and weighs nothing. */
  readonly rewards: readonly (number | null)[];
  /** Tokens of each response. */
  readonly lengths: readonly number[];
  /** Tokens of each that the loss scores; 0 leaves the response out of its sums and counts. Default: all. */
  readonly scoredLengths?: readonly number[] | undefined;
  /** What is taken off each advantage; needs the option `klAfterNormalization`. Default: nothing. */
  readonly penalties?: readonly number[] | undefined;
  /** Which get advantage 0 after they have counted in the statistics; needs the option `overlongFiltering`. */
  readonly withheld?: readonly boolean[] | undefined;
}

/** Advantages and weights of a batch of at most a given size. */
export class Coefficients {
  /** Advantage of each response (B). */
  readonly advantages: Tensor;
  /** Weight of each response of the current mini-batch (B); 0 outside it. */
  readonly weights: Tensor;
  /** Computes {@linkcode advantages} from the rewards. */
  readonly advantagePlan: Plan;
  /** Computes {@linkcode weights} from the lengths. */
  readonly weightPlan: Plan;

  readonly #gpu: Gpu;
  readonly #options: CoefficientOptions;
  readonly #responses: Dim;
  readonly #columns: {
    readonly rewards: Tensor;
    readonly origins: Tensor;
    readonly judged: Tensor;
    readonly lengths: Tensor;
    readonly scoredLengths: Tensor;
    readonly penalties: Tensor | undefined;
    readonly withheld: Tensor | undefined;
  };
  /** Where rules of one's own put what they give. */
  readonly #own: { readonly advantages: Tensor | undefined; readonly weights: Tensor | undefined };
  #scoredLengths: readonly number[] = [];
  #miniBatch: IndexRange = { start: 0, end: 0 };

  private constructor(gpu: Gpu, maxResponses: number, options: CoefficientOptions) {
    this.#gpu = gpu;
    this.#options = options;
    this.#responses = new Dim("responses", maxResponses);
    const column = (name: string, dtype: "f32" | "u32") =>
      gpu.tensor([this.#responses], { name, dtype });
    const { rewards, origins, judged, lengths, scoredLengths, penalties, withheld } = this
      .#columns = {
        rewards: column("rewards", "f32"),
        origins: column("reward_origins", "f32"),
        judged: column("judged", "u32"),
        lengths: column("lengths", "u32"),
        scoredLengths: column("scored_lengths", "u32"),
        penalties: options.klAfterNormalization ? column("penalties", "f32") : undefined,
        withheld: options.overlongFiltering ? column("withheld", "u32") : undefined,
      };
    const { objective, advantageEstimator, scaleRewards, numGenerations } = options;
    const whole = () => gpu.tensor([this.#responses], { name: "own", dtype: "f32" });
    this.#own = {
      advantages: objective?.advantages && whole(),
      weights: objective?.weights && whole(),
    };
    this.advantagePlan = new Plan(gpu, "advantages");
    this.advantages = this.#own.advantages ??
      this.advantagePlan.keep(responseAdvantages(this.advantagePlan, rewards, {
        advantageEstimator,
        scaleRewards,
        numGenerations,
        lengths,
        origins,
        judged,
        penalties,
        withheld,
      }));
    this.weightPlan = new Plan(gpu, "weights");
    this.weights = this.#own.weights ??
      this.weightPlan.keep(responseWeights(this.weightPlan, scoredLengths, {
        lossAggregation: options.lossAggregation,
        lossAlpha: options.lossAlpha,
        lossScaleFactor: options.lossScaleFactor,
        lossScope: options.lossScope,
        lossLambda: options.lossLambda,
        lossLambdaSpread: options.lossLambdaSpread,
        lossMicroBatchSize: options.lossMicroBatchSize,
        numGenerations,
        start: () => this.#miniBatch.start,
        end: () => this.#miniBatch.end,
      }));
  }

  /**
   * Takes the memory and compiles the two plans.
   *
   * @param maxResponses B, the largest batch.
   * @param options Estimator and aggregation rule.
   */
  static async create(
    gpu: Gpu,
    maxResponses: number,
    options: CoefficientOptions,
  ): Promise<Coefficients> {
    return await readied(
      gpu,
      () => new Coefficients(gpu, maxResponses, options),
      async ({ advantagePlan, weightPlan }) => {
        await advantagePlan.compile();
        await weightPlan.compile();
      },
    );
  }

  /**
   * Uploads a batch; its first mini-batch is all of it.
   *
   * @returns The advantages, where a rule of one's own gives them.
   *
   * @throws {RangeError} If a reward is less than the estimator accepts.
   */
  upload(inputs: CoefficientInputs): Float64Array | undefined {
    const { rewards, lengths, scoredLengths = lengths, penalties, withheld } = inputs;
    const columns = this.#columns;
    const { differences, origins } = centredRewards(rewards, this.#options);
    this.#responses.value = rewards.length;
    this.#scoredLengths = scoredLengths.map((length, b) => rewards[b] === null ? 0 : length);
    this.select({ start: 0, end: rewards.length });
    this.#gpu.write(columns.rewards, differences);
    this.#gpu.write(columns.origins, origins);
    this.#gpu.write(columns.judged, rewards.map((reward) => reward === null ? 0 : 1));
    this.#gpu.write(columns.lengths, lengths);
    this.#gpu.write(columns.scoredLengths, this.#scoredLengths);
    if (columns.penalties) {
      this.#gpu.write(
        columns.penalties,
        rewards.map((reward, b) => reward === null ? 0 : penalties?.[b] ?? 0),
      );
    }
    if (columns.withheld) {
      this.#gpu.write(columns.withheld, rewards.map((_, b) => withheld?.[b] ? 1 : 0));
    }
    const { objective, numGenerations } = this.#options;
    if (!objective?.advantages) return undefined;
    const own = ownAdvantages(objective, { rewards, lengths, numGenerations })
      .map((advantage, b) => withheld?.[b] ? 0 : advantage - (penalties?.[b] ?? 0));
    this.#gpu.write(this.#own.advantages!, Float32Array.from(own));
    return own;
  }

  /** Chooses the responses of the optimizer step that {@linkcode weightPlan} runs for next. */
  select(miniBatch: IndexRange): void {
    this.#miniBatch = miniBatch;
    const { objective, numGenerations, lossScaleFactor } = this.#options;
    if (!objective?.weights) return;
    const lengths = this.#scoredLengths;
    const weights = new Float32Array(lengths.length);
    weights.set(
      ownWeights(objective, { lengths, numGenerations, miniBatch, lossScaleFactor }),
      miniBatch.start,
    );
    this.#gpu.write(this.#own.weights!, weights);
  }

  /** Releases the memory. */
  destroy(): void {
    this.advantagePlan.destroy();
    this.weightPlan.destroy();
    for (const tensor of [...Object.values(this.#columns), ...Object.values(this.#own)]) {
      if (tensor) this.#gpu.destroyTensor(tensor);
    }
  }
}
