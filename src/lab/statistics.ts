/**
 * Statistics of small samples: intervals, fits through the origin.
 *
 * @module
 */

import { mean, variance } from "../objective/moments.ts";

/** A mean with its 95 % confidence interval. */
export interface Interval {
  /** The estimate. */
  readonly mean: number;
  /** Lower end; NaN where one value cannot tell. */
  readonly low: number;
  /** Upper end; NaN where one value cannot tell. */
  readonly high: number;
  /** Number of values. */
  readonly n: number;
}

/** n / Σ 1/v, for values above 0. */
export function harmonicMean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 1 / values[i]!;
  return values.length / sum;
}

/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** The q-quantile by linear interpolation between order statistics; NaN of nothing. */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return NaN;
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  const [below, above] = [sorted[low]!, sorted[high]!];
  // Infinities stand for "never" and must not meet a weight of 0 or each other.
  return at === low || below === above ? below : below + (at - low) * (above - below);
}

/** Mean with Student's 95 % interval, which assumes independent values of one normal population. */
export function studentInterval(values: ArrayLike<number>): Interval {
  const n = values.length;
  const m = mean(values);
  const half = n < 2 ? NaN : studentQuantile(0.975, n - 1) * Math.sqrt(variance(values) / n);
  return { mean: m, low: m - half, high: m + half, n };
}

/**
 * Quantile of Student's t distribution.
 *
 * @param p Probability between 0.5 and 1.
 * @param freedom Degrees of freedom, at least 1.
 */
export function studentQuantile(p: number, freedom: number): number {
  const key = `${p} ${freedom}`;
  const quantile = quantiles.get(key) ?? findQuantile(p, freedom);
  quantiles.set(key, quantile);
  return quantile;
}

/** Those that were asked for: intervals of many figures ask for the same ones. */
const quantiles = new Map<string, number>();

function findQuantile(p: number, freedom: number): number {
  const half = cosinePowerIntegral(Math.PI / 2, freedom - 1);
  const probability = (t: number) => {
    const angle = Math.atan(t / Math.sqrt(freedom));
    return 0.5 + 0.5 * cosinePowerIntegral(angle, freedom - 1) / half;
  };
  let low = 0;
  let high = 1;
  while (probability(high) < p) high *= 2;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (probability(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** ∫ cos(u)^power du from 0 to `end`, by Simpson's rule: over the angle arctan(t / √ν) Student's density is that power. */
function cosinePowerIntegral(end: number, power: number): number {
  const intervals = 200;
  let sum = 0;
  for (let i = 0; i <= intervals; i++) {
    const weight = i === 0 || i === intervals ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * Math.cos(end * i / intervals) ** power;
  }
  return sum * end / (3 * intervals);
}

/** A straight line y = slope · x. */
export interface OriginFit {
  /** Its slope. */
  readonly slope: number;
  /** 1 - residual / total sum of squares, the total taken about the mean of y: negative where the mean fits better. */
  readonly rSquared: number;
}

/**
 * Weighted least squares of y = slope · x.
 *
 * @param x Abscissas.
 * @param y Ordinates.
 * @param weights Weight of each point. Default: all alike.
 */
export function fitThroughOrigin(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  weights: ArrayLike<number> = new Float64Array(x.length).fill(1),
): OriginFit {
  let xx = 0;
  let xy = 0;
  let total = 0;
  let sumY = 0;
  for (let i = 0; i < x.length; i++) {
    xx += weights[i]! * x[i]! ** 2;
    xy += weights[i]! * x[i]! * y[i]!;
    total += weights[i]!;
    sumY += weights[i]! * y[i]!;
  }
  const slope = xy / xx;
  const centre = sumY / total;
  let residual = 0;
  let spread = 0;
  for (let i = 0; i < x.length; i++) {
    residual += weights[i]! * (y[i]! - slope * x[i]!) ** 2;
    spread += weights[i]! * (y[i]! - centre) ** 2;
  }
  return { slope, rSquared: 1 - residual / spread };
}
