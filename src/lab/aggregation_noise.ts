/**
 * What each aggregation rule does to the gradient estimate of a batch: bias, variance and noise, measured over many
 * batches, beside the closed forms of the paper's model (arXiv 2509.07558, §1: independent g_i, E g_i = ∇J,
 * Var g_i = V L_i).
 *
 * @module
 */

import { Random } from "../random/random.ts";
import {
  type AggregationRule,
  aggregationRules,
  type BatchSums,
  deltaLId,
} from "./aggregation_rules.ts";
import type { Gram } from "./gradient_pool.ts";
import { halvesInterval, type PromptProducts, promptProducts } from "./prompt_products.ts";
import type { Interval } from "./statistics.ts";

/** What a rule does. */
export interface RuleNoise {
  /** Short name. */
  readonly id: string;
  /** Name in tables. */
  readonly title: string;
  /** Exponent of f(L) = L^-α, the part of x_i that differs within a batch. */
  readonly alpha: number;
  /** E[ĝ] · ∇J / |∇J|²: the factor by which the estimate shrinks the gradient. */
  readonly bias: Interval;
  /** Σ x_i, which it is by the paper's model, mean over batches. */
  readonly biasClosed: number;
  /** Standard deviation over mean of Σ x_i from batch to batch: what makes a rule biased as lengths change. */
  readonly biasSpread: number;
  /** `bias / biasClosed`: 1 if E[g | L] does not depend on L. */
  readonly biasRatio: Interval;
  /** E |ĝ - E ĝ|². */
  readonly variance: Interval;
  /** Σ x_i² Var g_i with the measured Var g_i: what the variance would be if responses were independent. */
  readonly varianceIndependent: number;
  /** V Σ x_i² L_i, mean over batches; `null` where V is not known. */
  readonly varianceClosed: number | null;
  /** √variance / |E ĝ|: the noise that no learning rate removes. */
  readonly cv: Interval;
  /** √(V Σ x_i² L_i) / (Σ x_i |∇J|); `null` where V is not known. */
  readonly cvClosed: number | null;
  /** cv²: variance over squared mean. */
  readonly noiseToSignal: Interval;
  /** cv over that of ΔL α = 1, on the same batches. */
  readonly cvRatio: Interval;
  /** Cosine of the angle between E ĝ and ∇J. */
  readonly cosine: Interval;
}

/** What {@linkcode aggregationNoise} found. */
export interface AggregationNoise {
  /** By rule. */
  readonly rules: readonly RuleNoise[];
  /** The exponent of ΔL with the least measured cv, among those given. */
  readonly bestAlpha: Interval;
}

/** How to measure. */
export interface AggregationNoiseOptions {
  /** Responses per prompt. */
  readonly numGenerations: number;
  /** Length of each response (N). */
  readonly lengths: readonly number[];
  /** Divisor of each prompt's advantages (P). */
  readonly deviations: ArrayLike<number>;
  /** Prompts of a batch. */
  readonly batchPrompts: number;
  /** The constant M. */
  readonly lossScaleFactor: number;
  /** Exponents of ΔL; they include 1. */
  readonly alphas: readonly number[];
  /** Halves of the prompts, for the intervals. */
  readonly halves: readonly Uint32Array[];
  /** V of the paper's model. */
  readonly tokenVariance: number;
  /** Seed of the batches. */
  readonly seed: number;
  /** Random divisions of all prompts into batches; of each half a tenth of them. Default 200. */
  readonly partitions?: number;
}

/** Products of a rule's weighted sums with themselves, with the plain mean, and of that with itself. */
interface RuleProducts {
  readonly rule: AggregationRule;
  readonly own: PromptProducts;
  readonly withMean: PromptProducts;
  readonly mean: PromptProducts;
  /** Σ f by prompt. */
  readonly powers: Float64Array;
  /** Σ f² L by prompt. */
  readonly squares: Float64Array;
  /** Σ f² by prompt. */
  readonly weights: Float64Array;
  /** Σ f² |g_i|² by prompt. */
  readonly energies: Float64Array;
}

/** Sums over batches and pairs of batches. */
interface Tally {
  energy: number;
  cross: number;
  shared: number;
  signal: number;
  factor: number;
  factorSquared: number;
  squares: number;
  weights: number;
  energies: number;
  batches: number;
  pairs: number;
}

/** Stream number of this laboratory's batches. */
const BATCHES = 72;

/**
 * Measures every rule on batches of different prompts.
 *
 * The prompts are divided at random into batches, again and again. |E ĝ|² and E ĝ · ∇J come from pairs of batches of
 * one division, which have no prompt in common: no noise of the estimates themselves enters them. ∇J is the mean
 * gradient of a response.
 *
 * @throws {RangeError} If half of the prompts are not two batches.
 */
export function aggregationNoise(gram: Gram, options: AggregationNoiseOptions): AggregationNoise {
  const { numGenerations, batchPrompts, halves, alphas, partitions = 200, seed } = options;
  const prompts = gram.size / numGenerations;
  if (prompts < 4 * batchPrompts) {
    throw new RangeError(
      `${prompts} prompts are too few for batches of ${batchPrompts}: half of them have to make two batches, ` +
        `so give at least ${4 * batchPrompts}`,
    );
  }
  const products = ruleProducts(gram, options);
  const whole = Uint32Array.from({ length: prompts }, (_, p) => p);
  const tally = (set: Uint32Array, times: number, stream: number) =>
    tallyRules(products, options, divisions(set, batchPrompts, times, seed, stream));
  const full = tally(whole, partitions, 0);
  const onHalves = halves.map((set, k) =>
    tally(set, Math.max(1, Math.round(partitions / 10)), k + 1)
  );

  const reference = products.findIndex(({ rule }) => rule.id === deltaLId(1));
  const deltaL = products.flatMap(({ rule }, r) =>
    alphas.includes(rule.alpha) && rule.id.startsWith("delta-l-") ? [r] : []
  );
  const best = (tallies: readonly Tally[]) =>
    products[deltaL.reduce((a, b) => noise(tallies[b]!) < noise(tallies[a]!) ? b : a)]!.rule.alpha;
  return {
    rules: products.map(({ rule }, r) => {
      const interval = (
        of: (t: Tally, all: readonly Tally[]) => number,
        bounds?: readonly [number, number],
      ) => halvesInterval(of(full[r]!, full), onHalves.map((all) => of(all[r]!, all)), bounds);
      const closed = closedForms(full[r]!, rule, options.tokenVariance);
      return {
        id: rule.id,
        title: rule.title,
        alpha: rule.alpha,
        bias: interval(bias),
        ...closed,
        biasRatio: interval((t) => bias(t) / (t.factor / t.batches)),
        variance: interval((t) => t.energy / t.batches - t.cross / t.pairs, POSITIVE),
        cv: interval(noise, POSITIVE),
        noiseToSignal: interval((t) => noise(t) ** 2, POSITIVE),
        cvRatio: interval((t, all) => noise(t) / noise(all[reference]!), POSITIVE),
        cosine: interval(
          (t) => t.cross > 0 && t.signal > 0 ? t.shared / Math.sqrt(t.cross * t.signal) : NaN,
          [-1, 1],
        ),
      };
    }),
    bestAlpha: halvesInterval(best(full), onHalves.map(best), [
      Math.min(...alphas),
      Math.max(...alphas),
    ]),
  };
}

const POSITIVE = [0, Infinity] as const;

const bias = (t: Tally): number => t.shared / t.signal;

/** √Var / |E|; infinite where the mean drowns in the noise. */
function noise(t: Tally): number {
  const squaredMean = t.cross / t.pairs;
  const variance = t.energy / t.batches - squaredMean;
  return squaredMean > 0 ? Math.sqrt(Math.max(0, variance) / squaredMean) : Infinity;
}

function closedForms(t: Tally, { std }: AggregationRule, V: number) {
  const factor = t.factor / t.batches;
  const spread = Math.sqrt(Math.max(0, t.factorSquared / t.batches - factor ** 2));
  const variance = V * t.squares / t.batches;
  const signal = t.signal / t.pairs;
  return {
    biasClosed: factor,
    biasSpread: spread / factor,
    varianceIndependent: (t.energies - t.weights * signal) / t.batches,
    // V belongs to gradients with normalised advantages.
    varianceClosed: std ? variance : null,
    cvClosed: std && signal > 0 ? Math.sqrt(variance / signal) / factor : null,
  };
}

function ruleProducts(gram: Gram, options: AggregationNoiseOptions): RuleProducts[] {
  const { numGenerations, lengths, deviations, alphas } = options;
  const prompts = gram.size / numGenerations;
  const promptOf = (i: number) => Math.floor(i / numGenerations);
  const byPrompt = (of: (i: number) => number) => {
    const sums = new Float64Array(prompts);
    for (let i = 0; i < lengths.length; i++) sums[promptOf(i)]! += of(i);
    return sums;
  };
  const known = new Map<string, Omit<RuleProducts, "rule">>();
  return aggregationRules(alphas).map((rule) => {
    const key = `${rule.alpha} ${rule.std}`;
    let made = known.get(key);
    if (!made) {
      const advantage = (i: number) => rule.std ? 1 : deviations[promptOf(i)]!;
      const power = (i: number) => lengths[i]! ** -rule.alpha;
      const plain = Float64Array.from(lengths, (_, i) => advantage(i));
      const weighted = Float64Array.from(lengths, (_, i) => advantage(i) * power(i));
      made = {
        own: promptProducts(gram, numGenerations, weighted, weighted),
        withMean: promptProducts(gram, numGenerations, weighted, plain),
        mean: promptProducts(gram, numGenerations, plain, plain),
        powers: byPrompt(power),
        squares: byPrompt((i) => power(i) ** 2 * lengths[i]!),
        weights: byPrompt((i) => (advantage(i) * power(i)) ** 2),
        energies: byPrompt((i) =>
          (advantage(i) * power(i)) ** 2 * gram.products[i * gram.size + i]!
        ),
      };
      known.set(key, made);
    }
    return { rule, ...made };
  });
}

/** Random divisions of prompts into batches; what does not fill a batch is left out. */
function divisions(
  set: Uint32Array,
  batchPrompts: number,
  times: number,
  seed: number,
  stream: number,
): number[][][] {
  const batches = Math.floor(set.length / batchPrompts);
  return Array.from({ length: times }, (_, k) => {
    const order = new Random(seed, BATCHES, stream * 4096 + k).shuffle(Array.from(set));
    return Array.from(
      { length: batches },
      (_, b) => order.slice(b * batchPrompts, (b + 1) * batchPrompts),
    );
  });
}

function tallyRules(
  products: readonly RuleProducts[],
  { numGenerations, lengths, lossScaleFactor }: AggregationNoiseOptions,
  division: readonly number[][][],
): Tally[] {
  const tokens = new Float64Array(lengths.length / numGenerations);
  for (const [i, length] of lengths.entries()) tokens[Math.floor(i / numGenerations)]! += length;
  const total = (values: Float64Array, batch: readonly number[]) =>
    batch.reduce((sum, p) => sum + values[p]!, 0);
  return products.map(({ rule, own, withMean, mean, powers, squares, weights, energies }) => {
    const t: Tally = {
      energy: 0,
      cross: 0,
      shared: 0,
      signal: 0,
      factor: 0,
      factorSquared: 0,
      squares: 0,
      weights: 0,
      energies: 0,
      batches: 0,
      pairs: 0,
    };
    for (const batches of division) {
      const scales = batches.map((batch) => {
        const sums: BatchSums = {
          responses: batch.length * numGenerations,
          tokens: total(tokens, batch),
          powers: total(powers, batch),
        };
        const scale = rule.scale(sums, lossScaleFactor);
        t.factor += scale * sums.powers;
        t.factorSquared += (scale * sums.powers) ** 2;
        t.squares += scale ** 2 * total(squares, batch);
        t.weights += scale ** 2 * total(weights, batch);
        t.energies += scale ** 2 * total(energies, batch);
        t.batches++;
        return scale;
      });
      for (const [b, batch] of batches.entries()) {
        for (const [c, other] of batches.entries()) {
          const product = scales[b]! * scales[c]! * blockSum(own, batch, other);
          if (b === c) {
            t.energy += product;
            continue;
          }
          const responses = batch.length * numGenerations;
          t.cross += product;
          t.shared += scales[b]! / responses * blockSum(withMean, batch, other);
          t.signal += blockSum(mean, batch, other) / responses ** 2;
          t.pairs++;
        }
      }
    }
    return t;
  });
}

/** Σ over p in one list and q in another. */
function blockSum(
  { prompts, values }: PromptProducts,
  rows: readonly number[],
  columns: readonly number[],
): number {
  let sum = 0;
  for (const p of rows) {
    const from = p * prompts;
    for (const q of columns) sum += values[from + q]!;
  }
  return sum;
}
