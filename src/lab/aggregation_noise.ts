/**
 * What each aggregation rule does to the gradient estimate of a batch: bias, variance and noise, measured over many
 * batches, beside the closed forms of the paper's model (arXiv 2509.07558, §1: independent g_i, E g_i = ∇J,
 * Var g_i = V L_i).
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { type AggregationRule, deltaLId } from "./aggregation_rules.ts";
import type { Gram } from "./gradient_pool.ts";
import { halvesInterval } from "./prompt_products.ts";
import { divisions, type RulePool, ruleProducts, type Tally, tallyRules } from "./rule_tally.ts";
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
export interface AggregationNoiseOptions extends RulePool {
  /** Prompts of a batch. */
  readonly batchPrompts: number;
  /** Halves of the prompts, for the intervals. */
  readonly halves: readonly Uint32Array[];
  /** V of the paper's model. */
  readonly tokenVariance: number;
  /** Seed of the batches. */
  readonly seed: number;
  /** Random divisions of all prompts into batches; of each half a tenth of them. Default 200. */
  readonly partitions?: number;
}

const NAMES = namesOf<AggregationNoiseOptions>({
  numGenerations: true,
  lengths: true,
  deviations: true,
  lossScaleFactor: true,
  alphas: true,
  batchPrompts: true,
  halves: true,
  tokenVariance: true,
  seed: true,
  partitions: true,
});

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
  checkNames("aggregationNoise", options, NAMES);
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
