/**
 * How a response's gradient depends on its length: variance and mean by length bin.
 *
 * @module
 */

import type { Gram } from "./gradient_pool.ts";
import {
  halvesInterval,
  pairCount,
  pairSum,
  type PromptProducts,
  promptProducts,
} from "./prompt_products.ts";
import { fitThroughOrigin, type Interval, type OriginFit } from "./statistics.ts";

/** Responses of similar length. */
export interface LengthBin {
  /** Shortest. */
  readonly from: number;
  /** Longest. */
  readonly to: number;
  /** Mean length. */
  readonly meanLength: number;
  /** Indices of its responses. */
  readonly members: readonly number[];
}

/**
 * Sorts responses into bins of about equal counts; responses of one length are never split.
 *
 * @param lengths Length of each response.
 * @param count Bins at most.
 */
export function lengthBins(lengths: readonly number[], count: number): LengthBin[] {
  const order = lengths.map((_, i) => i).sort((i, j) => lengths[i]! - lengths[j]!);
  const bins: LengthBin[] = [];
  for (let start = 0; start < order.length;) {
    const aim = Math.max(1, Math.round((order.length - start) / Math.max(1, count - bins.length)));
    let end = Math.min(start + aim, order.length);
    while (end < order.length && lengths[order[end]!] === lengths[order[end - 1]!]) end++;
    const members = order.slice(start, end);
    bins.push({
      from: lengths[members[0]!]!,
      to: lengths[members.at(-1)!]!,
      meanLength: members.reduce((sum, i) => sum + lengths[i]!, 0) / members.length,
      members,
    });
    start = end;
  }
  return bins;
}

/** What a bin's gradients are like. */
export interface BinProfile extends Omit<LengthBin, "members"> {
  /** Responses. */
  readonly count: number;
  /** Mean of |g_i|² minus |E g_i|². */
  readonly variance: Interval;
  /** E[g_i | bin] · ∇J / |∇J|²: 1 everywhere if the mean gradient does not depend on the length. */
  readonly projection: Interval;
}

/** How variance and mean depend on the length. */
export interface LengthProfile {
  /** By bin, shortest first. */
  readonly bins: readonly BinProfile[];
  /** V of Var = V L over the bins, each weighted by its responses, with the fit's R². */
  readonly line: OriginFit;
  /** Interval of V. */
  readonly slope: Interval;
  /** Interval of R². */
  readonly rSquared: Interval;
  /** p of Var ∝ L^p: the paper has 1, independence of the length would be 0. */
  readonly exponent: Interval;
  /** |∇J|², the squared mean gradient of a response; negative where noise hides it. */
  readonly signal: Interval;
}

interface BinProducts {
  readonly bin: LengthBin;
  /** Responses of the bin by prompt. */
  readonly counts: Float64Array;
  /** Σ |g_i|² over them by prompt. */
  readonly energies: Float64Array;
  readonly own: PromptProducts;
  readonly withAll: PromptProducts;
}

/**
 * Profile of a pool's gradients.
 *
 * @param gram Scalar products of the gradients (N).
 * @param numGenerations Responses per prompt.
 * @param bins From {@linkcode lengthBins}.
 * @param halves Halves of the prompts, for the intervals.
 */
export function lengthProfile(
  gram: Gram,
  numGenerations: number,
  bins: readonly LengthBin[],
  halves: readonly Uint32Array[],
): LengthProfile {
  const N = gram.size;
  const prompts = N / numGenerations;
  const ones = new Float64Array(N).fill(1);
  const all = promptProducts(gram, numGenerations, ones, ones);
  const perPrompt = new Float64Array(prompts).fill(numGenerations);
  const products = bins.map((bin): BinProducts => {
    const inside = new Float64Array(N);
    const counts = new Float64Array(prompts);
    const energies = new Float64Array(prompts);
    for (const i of bin.members) {
      const p = Math.floor(i / numGenerations);
      inside[i] = 1;
      counts[p]!++;
      energies[p]! += gram.products[i * N + i]!;
    }
    return {
      bin,
      counts,
      energies,
      own: promptProducts(gram, numGenerations, inside, inside),
      withAll: promptProducts(gram, numGenerations, inside, ones),
    };
  });
  const whole = Uint32Array.from({ length: prompts }, (_, p) => p);
  const figures = (set: Uint32Array) => profileOf(products, all, perPrompt, set);
  const full = figures(whole);
  const onHalves = halves.map(figures);
  const interval = (
    of: (f: ReturnType<typeof figures>) => number,
    bounds?: readonly [number, number],
  ) => halvesInterval(of(full), onHalves.map(of), bounds);
  return {
    bins: bins.map(({ from, to, meanLength, members }, k) => ({
      from,
      to,
      meanLength,
      count: members.length,
      variance: interval((f) => f.variances[k]!),
      projection: interval((f) => f.projections[k]!),
    })),
    line: full.line,
    slope: interval((f) => f.line.slope),
    rSquared: interval((f) => f.line.rSquared, [-Infinity, 1]),
    exponent: interval((f) => f.exponent),
    signal: interval((f) => f.signal),
  };
}

/** The figures of some prompts. */
function profileOf(
  products: readonly BinProducts[],
  all: PromptProducts,
  perPrompt: Float64Array,
  set: Uint32Array,
) {
  const signal = pairSum(all, set) / pairCount(perPrompt, perPrompt, set);
  const variances: number[] = [];
  const projections: number[] = [];
  const counts: number[] = [];
  for (const { counts: n, energies, own, withAll } of products) {
    let count = 0;
    let energy = 0;
    for (const p of set) {
      count += n[p]!;
      energy += energies[p]!;
    }
    // Prompts without a response in the bin add nothing.
    const inBin = set.filter((p) => n[p]! > 0);
    const meanSquared = pairSum(own, inBin) / pairCount(n, n, set);
    const shared = pairSum(withAll, inBin, set) / pairCount(n, perPrompt, set);
    counts.push(count);
    variances.push(energy / count - meanSquared);
    projections.push(shared / signal);
  }
  const used = products.map((_, k) => k).filter((k) => Number.isFinite(variances[k]!));
  const x = used.map((k) => products[k]!.bin.meanLength);
  const y = used.map((k) => variances[k]!);
  const weights = used.map((k) => counts[k]!);
  return {
    signal,
    variances,
    projections,
    line: fitThroughOrigin(x, y, weights),
    exponent: logSlope(x, y, weights),
  };
}

/** Weighted least squares slope of ln y over ln x, over positive y; NaN for fewer than two of them. */
function logSlope(x: readonly number[], y: readonly number[], weights: readonly number[]): number {
  const points = x.flatMap((x, k) =>
    y[k]! > 0 ? [{ x: Math.log(x), y: Math.log(y[k]!), w: weights[k]! }] : []
  );
  const total = points.reduce((sum, { w }) => sum + w, 0);
  const [mx, my] = [
    points.reduce((sum, { x, w }) => sum + w * x, 0) / total,
    points.reduce((sum, { y, w }) => sum + w * y, 0) / total,
  ];
  const xy = points.reduce((sum, { x, y, w }) => sum + w * (x - mx) * (y - my), 0);
  const xx = points.reduce((sum, { x, w }) => sum + w * (x - mx) ** 2, 0);
  return points.length < 2 ? NaN : xy / xx;
}
