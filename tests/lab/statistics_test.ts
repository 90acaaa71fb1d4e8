import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  fitThroughOrigin,
  harmonicMean,
  median,
  quantile,
  studentInterval,
  studentQuantile,
} from "../../src/lab/statistics.ts";
import { variance } from "../../src/objective/moments.ts";

Deno.test("Student's quantiles are those of printed tables", () => {
  const table: [freedom: number, t: number][] = [
    [1, 12.7062],
    [2, 4.30265],
    [4, 2.77645],
    [9, 2.26216],
    [30, 2.04227],
    [120, 1.97993],
  ];
  for (const [freedom, t] of table) {
    assertAlmostEquals(studentQuantile(0.975, freedom), t, 5e-5 * t);
  }
  assertAlmostEquals(studentQuantile(0.95, 4), 2.13185, 1e-4);
});

Deno.test("a 95 % interval holds the mean of its population in 95 % of samples", () => {
  // A small linear congruential generator: the test is of the interval, not of our random numbers.
  let state = 1;
  const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  let inside = 0;
  for (let k = 0; k < 2000; k++) {
    const { low, high } = studentInterval(Array.from({ length: 5 }, () => 3 + 2 * normal()));
    if (low <= 3 && 3 <= high) inside++;
  }
  assertAlmostEquals(inside / 2000, 0.95, 0.015);
});

Deno.test("one value has a mean and no interval", () => {
  assertEquals(studentInterval([0.5]), { mean: 0.5, low: NaN, high: NaN, n: 1 });
  assertEquals(variance([1]), NaN);
});

Deno.test("quantiles interpolate, and infinities stay what they are", () => {
  assertEquals(quantile([3, 1, 2, 4], 0.5), 2.5);
  assertEquals(median([1, Infinity, 2]), 2);
  assertEquals(median([Infinity, Infinity]), Infinity);
  assertEquals(quantile([1, 2, Infinity], 0.9), Infinity);
  assertEquals(quantile([], 0.5), NaN);
});

Deno.test("the harmonic mean is n over the sum of reciprocals", () => {
  assertAlmostEquals(harmonicMean([1, 4, 4]), 2, 1e-12);
});

Deno.test("a line through the origin: exact, and worse than the mean where it has no business", () => {
  const exact = fitThroughOrigin([1, 2, 5], [3, 6, 15]);
  assertAlmostEquals(exact.slope, 3, 1e-12);
  assertAlmostEquals(exact.rSquared, 1, 1e-12);
  const flat = fitThroughOrigin([1, 2, 3], [5, 5.1, 4.9]);
  assertEquals(flat.rSquared < 0, true);
  // A weight is worth as many copies of its point.
  const weighted = fitThroughOrigin([1, 2], [1, 3], [1, 3]);
  const copies = fitThroughOrigin([1, 2, 2, 2], [1, 3, 3, 3]);
  assertAlmostEquals(weighted.slope, copies.slope, 1e-12);
  assertAlmostEquals(weighted.rSquared, copies.rSquared, 1e-12);
});
