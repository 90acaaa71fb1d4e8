/**
 * Intervals and a method's figures as text.
 *
 * @module
 */

import type { ArmRow, Measure } from "./comparison_table.ts";
import type { Interval } from "./statistics.ts";

/** `0.712 ± 0.031`, without the second part where one run cannot tell. */
export function withHalfWidth({ mean, high }: Interval, digits: number): string {
  if (!Number.isFinite(mean)) return mean === Infinity ? "never" : "–";
  const half = high - mean;
  return mean.toFixed(digits) + (Number.isFinite(half) ? ` ± ${half.toFixed(digits)}` : "");
}

/** `+0.012 [-0.020, +0.044]`. */
export function withEnds({ mean, low, high }: Interval, digits: number): string {
  const signed = (value: number) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
  return Number.isFinite(low) ? `${signed(mean)} [${signed(low)}, ${signed(high)}]` : signed(mean);
}

/** What a cell of the table says. */
export function cellText(row: ArmRow, measure: Measure): string {
  const interval = row.measures[measure.name];
  if (!interval) return "";
  if (measure.name === "stepsToTarget") {
    const steps = Number.isFinite(interval.mean) ? interval.mean.toFixed(1) : "never";
    return `${steps} (${row.reached}/${interval.n})`;
  }
  return withHalfWidth(interval, measure.digits);
}
