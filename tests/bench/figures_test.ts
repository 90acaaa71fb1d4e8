import { assert, assertEquals } from "@std/assert";
import { measure, median } from "../../bench/harness/measure.ts";
import { figure, table } from "../../bench/harness/table.ts";
import { inputTokens, inputValues } from "../../bench/harness/work_items.ts";
import { attendedKeys } from "../../bench/suites/steps.ts";
import { fittedExponent, skewedLengths } from "../../bench/suites/sweep.ts";
import { uniform } from "../../bench/cases/random.ts";
import { geometricLengths, lengthsBetween } from "../../bench/cases/workloads.ts";

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

Deno.test("median is the middle value, or the mean of the two in the middle", () => {
  assertEquals([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])], [2, 2.5, 7]);
  assert(Number.isNaN(median([])));
});

Deno.test("measure repeats short work until a sample is long enough, and takes the median", async () => {
  // A clock that only the work moves: the machine's load does not count.
  const { now } = performance;
  let [time, calls] = [0, 0];
  performance.now = () => time;
  const timing = await measure((repetitions) => {
    calls += repetitions;
    time += 2 * repetitions + (calls === 12 ? 100 : 0); // the first of the samples is disturbed
    return Promise.resolve();
  }, { samples: 3, sampleMs: 20, maxRepetitions: 100 }).finally(() => performance.now = now);
  assertEquals([timing.repetitions, calls], [10, 2 + 3 * 10]);
  assertEquals([timing.wallMs, timing.minWallMs], [2, 2]);
  assert(timing.cpuMs >= 0, "CPU time");
});

Deno.test("figures have three digits", () => {
  assertEquals(
    [1234.5, 12.345, 1.2345, 0.12345, 0.012345, 0, NaN].map(figure),
    ["1235", "12.3", "1.23", "0.123", "0.0123", "0", "NaN"],
  );
});

Deno.test("a table aligns numbers to the right and text to the left", () => {
  assertEquals(
    table("T", ["name", "ms"], [["ab", 1], ["c", 100], ["longer", undefined]]),
    "\n## T\nname      ms\nab      1.00\nc        100\nlonger",
  );
});

Deno.test("fittedExponent finds the exponent of a power law", () => {
  const points = [1, 3, 10, 64].map((x) => ({ x, y: 5 * x ** 1.75 }));
  assert(Math.abs(fittedExponent(points) - 1.75) < 1e-12);
});

Deno.test("attendedKeys counts what a causal mask lets through", () => {
  const batch = { promptLength: 3, numGenerations: 2, lengths: [4, 1, 2, 6] };
  // Packed: each prompt once, then the responses without their last token, which predicts nothing.
  let keys = 0;
  for (let prompt = 0; prompt < 2; prompt++) for (let at = 0; at < 3; at++) keys += at + 1;
  for (const length of batch.lengths) for (let at = 0; at < length - 1; at++) keys += 3 + at + 1;
  assertEquals(attendedKeys(batch), keys);
});

Deno.test("skewed lengths keep their mean while the longest grows", () => {
  for (const longest of [32, 64, 128, 256, 512]) {
    const lengths = skewedLengths(32, longest, 256);
    assertEquals(Math.max(...lengths), longest);
    assert(Math.abs(mean(lengths) - 32) < 1, `${longest}: mean ${mean(lengths)}`);
  }
});

Deno.test("drawn lengths lie within their bounds and have the stated mean", () => {
  const even = lengthsBetween(3, 17, 4000);
  assertEquals([Math.min(...even), Math.max(...even)], [3, 17]);
  assert(Math.abs(mean(even) - 10) < 0.3);
  const skewed = geometricLengths(36, 1000, 4000);
  assert(Math.abs(mean(skewed) - 36) < 2, `${mean(skewed)}`);
  assertEquals(Math.max(...geometricLengths(36, 50, 4000)), 50);
});

Deno.test("inputs are the same in every run and fill their range", () => {
  for (const values of [inputValues(5000), uniform(1, 5000)]) {
    assert(Math.min(...values) >= -1 && Math.max(...values) < 1);
    assert(Math.abs(mean([...values])) < 0.05);
  }
  assertEquals(inputValues(3), inputValues(9).slice(0, 3));
  assertEquals(uniform(7, 10), uniform(7, 10));
  const ids = inputTokens(2000, 7);
  assertEquals([...new Set(ids)].sort(), [0, 1, 2, 3, 4, 5, 6]);
});
