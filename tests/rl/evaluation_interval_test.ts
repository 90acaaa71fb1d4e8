import { assertAlmostEquals, assertEquals } from "@std/assert";
import { rewardInterval, shareInterval } from "../../src/rl/evaluation_interval.ts";

/** Both ends within rounding. */
function assertEnds(found: readonly number[], low: number, high: number) {
  assertAlmostEquals(found[0]!, low, 5e-7);
  assertAlmostEquals(found[1]!, high, 5e-7);
}

Deno.test("the interval of a share is Wilson's", () => {
  // statsmodels.stats.proportion.proportion_confint(count, n, method="wilson").
  assertEnds(shareInterval(15 / 128, 128), 0.0723168, 0.1843662);
  assertEnds(shareInterval(0, 128), 0, 0.0291371);
  assertEnds(shareInterval(1, 10), 0.7224672, 1);
});

Deno.test("samples of a prompt count as far as they differ from each other", () => {
  const binomial = Math.sqrt(0.3 * 0.7 / 512);
  // Independent samples: as many prompts with one sample each.
  assertEquals(shareInterval(0.3, 128, 4, binomial), shareInterval(0.3, 512));
  // Four samples that always agree say no more than one.
  const alike = shareInterval(0.3, 128, 4, Math.sqrt(0.3 * 0.7 / 128));
  shareInterval(0.3, 128).forEach((end, i) => assertAlmostEquals(alike[i]!, end, 1e-12));
  // An error smaller than independent samples would have does not make more samples of them.
  assertEquals(shareInterval(0.5, 8, 2, 0), shareInterval(0.5, 16));
  assertEquals(shareInterval(0, 8, 2, 0), shareInterval(0, 8));
  assertEquals(shareInterval(0.5, 8, 2, NaN), shareInterval(0.5, 8));
});

Deno.test("the interval of a mean reward is 1.96 errors to both sides", () => {
  assertEnds(rewardInterval(-0.5, 0.1), -0.6959964, -0.3040036);
});
