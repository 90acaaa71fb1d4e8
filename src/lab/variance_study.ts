/**
 * The estimator laboratory: from one policy to the table of what each aggregation rule does to its gradient.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Policy } from "../model/policy.ts";
import { type AggregationNoise, aggregationNoise } from "./aggregation_noise.ts";
import { addGram, type GradientPool, type Gram, gram } from "./gradient_pool.ts";
import { lengthBins, type LengthProfile, lengthProfile } from "./length_profile.ts";
import { randomHalves } from "./prompt_products.ts";
import { mean, variance } from "../objective/moments.ts";
import { harmonicMean } from "./statistics.ts";

/** How to analyse a pool. */
export interface VarianceStudyOptions {
  /** Prompts of a batch. */
  readonly batchPrompts: number;
  /** The constant M. */
  readonly lossScaleFactor: number;
  /** Length bins at most. */
  readonly bins: number;
  /** Random halves of the prompts, for the intervals. */
  readonly halves: number;
  /** Seed of halves and batches. */
  readonly seed: number;
  /** Exponents of ΔL. Default 0, 0.05 … 1.5. */
  readonly alphas?: readonly number[];
  /** Called after each parameter; the study is given up where it gives true. */
  readonly onProgress?: (done: number, total: number) => Promise<boolean>;
}

const NAMES = namesOf<VarianceStudyOptions>({
  batchPrompts: true,
  lossScaleFactor: true,
  bins: true,
  halves: true,
  seed: true,
  alphas: true,
  onProgress: true,
});

/** How the gradient of one parameter depends on the response's length. */
export interface ParameterProfile extends Omit<LengthProfile, "bins"> {
  /** Its Hugging Face name. */
  readonly name: string;
  /** Its shape. */
  readonly shape: readonly number[];
  /** Variance by bin, for figures. */
  readonly variances: readonly number[];
  /** Its share of Σ |g_i|². */
  readonly share: number;
}

/** What a study found. */
export interface VarianceStudy {
  /** Responses, and what they are like. */
  readonly responses: {
    readonly count: number;
    readonly prompts: number;
    readonly numGenerations: number;
    readonly withSignal: number;
    readonly meanReward: number;
    readonly meanLength: number;
    readonly stdLength: number;
    readonly harmonicLength: number;
    readonly minLength: number;
    readonly maxLength: number;
    readonly truncated: number;
  };
  /** Prompts of a batch. */
  readonly batchPrompts: number;
  /** The constant M. */
  readonly lossScaleFactor: number;
  /** All parameters together. */
  readonly profile: LengthProfile;
  /** Each parameter by itself. */
  readonly parameters: readonly ParameterProfile[];
  /** By aggregation rule. */
  readonly noise: AggregationNoise;
}

/** α of the figure: 0, 0.05 … 1.5. */
export const ALPHA_GRID: readonly number[] = Array.from({ length: 31 }, (_, k) => k / 20);

/**
 * Analyses a pool of gradients.
 *
 * @returns `undefined` if `onProgress` gave it up.
 */
export async function varianceStudy(
  policy: Policy,
  pool: GradientPool,
  options: VarianceStudyOptions,
): Promise<VarianceStudy | undefined> {
  checkNames("varianceStudy", options, NAMES);
  const { lengths, numGenerations, gradients } = pool;
  const { batchPrompts, lossScaleFactor, seed, alphas = ALPHA_GRID } = options;
  const count = lengths.length;
  const prompts = count / numGenerations;
  const bins = lengthBins(lengths, options.bins);
  const halves = randomHalves(prompts, options.halves, seed);
  const { parameters } = policy;
  const total: Gram = { size: count, products: new Float64Array(count * count) };
  const profiles: (ParameterProfile & { energy: number })[] = [];
  const { names } = parameters;
  for (const [k, name] of names.entries()) {
    const range = parameters.range(name);
    const own = await gram(policy, gradients, range);
    addGram(total, own);
    const { bins: binned, ...rest } = lengthProfile(own, numGenerations, bins, halves);
    profiles.push({
      name,
      shape: range.shape,
      ...rest,
      variances: binned.map(({ variance }) => variance.mean),
      share: 0,
      energy: trace(own),
    });
    if (await options.onProgress?.(k + 1, names.length)) return undefined;
  }
  const profile = lengthProfile(total, numGenerations, bins, halves);
  const energy = trace(total);
  return {
    responses: {
      count,
      prompts,
      numGenerations,
      withSignal: gradients.filter((g) => g !== undefined).length / count,
      meanReward: mean(pool.rewards),
      meanLength: mean(lengths),
      stdLength: Math.sqrt(variance(lengths)),
      harmonicLength: harmonicMean(lengths),
      minLength: lengths.reduce((a, b) => Math.min(a, b)),
      maxLength: lengths.reduce((a, b) => Math.max(a, b)),
      truncated: mean(pool.truncated.map(Number)),
    },
    batchPrompts,
    lossScaleFactor,
    profile,
    parameters: profiles.map(({ energy: own, ...rest }) => ({ ...rest, share: own / energy })),
    noise: aggregationNoise(total, {
      numGenerations,
      lengths,
      deviations: pool.deviations,
      batchPrompts,
      lossScaleFactor,
      alphas,
      halves,
      tokenVariance: profile.slope.mean,
      seed,
    }),
  };
}

/** Σ |g_i|². */
function trace({ size, products }: Gram): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += products[i * size + i]!;
  return sum;
}
