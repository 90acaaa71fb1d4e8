/**
 * The update: from a rollout to optimizer steps.
 *
 * @module
 */

import type { Arena } from "../gpu/arena.ts";
import { assembled } from "../gpu/readied.ts";
import type { Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Policy } from "../model/policy.ts";
import type { AdamW } from "../optim/adamw_optimizer.ts";
import { surrogateSettings } from "../objective/policy_loss.ts";
import { Coefficients } from "./coefficients.ts";
import { Learner } from "./learner.ts";
import type { Reference } from "./reference.ts";
import { promptGroups, type Rollout } from "./rollout.ts";
import { shapeRewards } from "./shaped_rewards.ts";
import { teaching } from "./signal.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";
import { advantageMetrics, UpdateTotals, weightMetrics } from "./update_metrics.ts";

/** What an update did. */
export interface UpdateReport {
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
  /** Advantage of each response. */
  readonly advantages: Float32Array;
}

/** Turns rollouts into optimizer steps. */
export class Updater {
  /** Optimizer steps of one update. */
  readonly optimizerStepsPerUpdate: number;

  readonly #options: ResolvedTrainOptions;
  readonly #optimizer: AdamW;
  readonly #reference: Reference | undefined;
  readonly #coefficients: Coefficients;
  readonly #learner: Learner;
  readonly #miniBatch: number;

  private constructor(
    options: ResolvedTrainOptions,
    parts: {
      optimizer: AdamW;
      reference: Reference | undefined;
      coefficients: Coefficients;
      learner: Learner;
    },
  ) {
    this.#options = options;
    this.#optimizer = parts.optimizer;
    this.#reference = parts.reference;
    this.#coefficients = parts.coefficients;
    this.#learner = parts.learner;
    const responses = options.promptsPerStep * options.numGenerations;
    this.#miniBatch = options.miniBatchSize === "all" ? responses : options.miniBatchSize;
    this.optimizerStepsPerUpdate = options.numIterations * Math.ceil(responses / this.#miniBatch);
  }

  /**
   * Takes the memory and compiles the plans.
   *
   * @param parts The `optimizer` over all its parameters, where the log-probabilities of the sampler will be
   * (`oldLogProbs`, B, M), the `reference` if there is one, and an `arena` for activations.
   */
  static async create(
    policy: Policy,
    parts: {
      optimizer: AdamW;
      oldLogProbs: Tensor;
      reference: Reference | undefined;
      arena: Arena;
    },
    options: ResolvedTrainOptions,
  ): Promise<Updater> {
    const { oldLogProbs, reference } = parts;
    const responses = options.promptsPerStep * options.numGenerations;
    return await assembled(async (own) => {
      const coefficients = own(await Coefficients.create(policy.gpu, responses, options));
      const { advantages, weights } = coefficients;
      const learner = own(
        await Learner.create(
          policy,
          { advantages, weights, oldLogProbs, refLogProbs: reference?.logProbs },
          {
            ...surrogateSettings(options),
            own: options.objective?.surrogate,
            temperature: options.temperature,
            beta: options.klInReward ? 0 : options.beta,
            entropyCoef: options.entropyCoef,
            klEstimator: reference && !options.klInReward ? options.klEstimator : undefined,
          },
          {
            maxTokens: options.maxTokensPerMicroBatch,
            activationDtype: options.activationDtype,
            activationCheckpointing: options.activationCheckpointing,
            arena: parts.arena,
          },
        ),
      );
      return new Updater(options, { ...parts, coefficients, learner });
    });
  }

  /**
   * All optimizer steps on one rollout.
   *
   * Responses that can teach nothing have no part in the gradient unless there is a divergence or entropy term, and are
   * then not computed at all; they still count in the weights of the others.
   *
   * @param rollout Completions and rewards; without any, nothing happens.
   * @param at `learningRate` by the share of the update's optimizer steps done, and the training `step` for messages.
   * @throws {Error} If a sampled probability, a loss or a gradient is not finite.
   */
  async update(
    rollout: Rollout,
    at: { learningRate: (done: number) => number; step: number },
  ): Promise<UpdateReport> {
    const options = this.#options;
    await this.#checkSampled(rollout, at.step);
    const { rewards, penalties, metrics } = await shapeRewards(rollout, this.#reference, options);
    const lengths = rollout.completions.map((c) => c.length);
    const scoredLengths = lengths.map((length, b) =>
      options.maskTruncatedCompletions && rollout.truncated[b] ? 0 : length
    );
    const withheld = lengths.map((length) =>
      options.overlongFiltering && length >= options.maxCompletionLength
    );
    const { numGenerations, advantageEstimator } = options;
    const coefficients = this.#coefficients;
    const own = coefficients.upload({ rewards, lengths, scoredLengths, penalties, withheld });
    const teaches = own
      ? Array.from(own, (advantage) => advantage !== 0)
      : teaching(rewards, numGenerations, advantageEstimator);
    const onlyRewards = options.beta === 0 ||
      (options.klInReward && !options.klAfterNormalization);
    const onlyAdvantage = onlyRewards && options.entropyCoef === 0;
    const counts = (b: number) =>
      rewards[b] !== null && scoredLengths[b]! > 0 &&
      !(onlyAdvantage && (!teaches[b] || withheld[b]));

    const totals = new UpdateTotals();
    const weights = new Float64Array(lengths.length);
    let advantages: Float32Array = new Float32Array(lengths.length);
    let before: Work[] = [coefficients.advantagePlan];
    const steps = options.numIterations * Math.ceil(lengths.length / this.#miniBatch);
    let taken = 0;
    for (let iteration = 0; iteration < options.numIterations; iteration++) {
      for (let start = 0; start < lengths.length; start += this.#miniBatch) {
        const end = Math.min(start + this.#miniBatch, lengths.length);
        const groups = promptGroups(rollout, { start, end }, counts);
        coefficients.select({ start, end });
        this.#optimizer.options.learningRate = at.learningRate(taken++ / steps);
        const { stats, gradNorm, read } = await this.#learner.step(groups, {
          before: [...before, coefficients.weightPlan],
          optimizer: this.#optimizer,
          read: [coefficients.advantages, coefficients.weights],
          label: `Step ${at.step}`,
        });
        before = [];
        advantages = read[0] as Float32Array;
        weights.set(read[1]!.subarray(start, end), start);
        totals.add(stats, gradNorm, this.#optimizer.options.learningRate);
      }
    }
    return {
      advantages,
      metrics: {
        ...metrics,
        ...advantageMetrics(advantages),
        ...totals.metrics(),
        ...(this.#reference && !options.klInReward ? { "actor/kl": totals.kl } : {}),
        ...weightMetrics(weights),
      },
    };
  }

  /** A policy with a weight that is not finite samples all the same; its entropies tell. */
  async #checkSampled(rollout: Rollout, step: number): Promise<void> {
    const bad = rollout.entropySums.findIndex((entropy) => !Number.isFinite(entropy));
    if (bad < 0) return;
    const groups = promptGroups(rollout);
    throw new Error(
      `Step ${step}: completion ${bad} was sampled from probabilities that are not finite. ${await this
        .#learner
        .explain(groups)}`,
    );
  }

  /** Releases the memory. */
  destroy(): void {
    this.#learner.destroy();
    this.#coefficients.destroy();
  }
}
