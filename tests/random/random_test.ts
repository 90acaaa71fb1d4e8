import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { mean } from "../../src/objective/moments.ts";
import { Random, threefry2x32 } from "../../src/random/random.ts";

function draws<T>(count: number, draw: () => T): T[] {
  return Array.from({ length: count }, draw);
}

/** Pearson's statistic of `counts` against equal probabilities. */
function chiSquared(counts: number[]): number {
  const expected = counts.reduce((sum, c) => sum + c, 0) / counts.length;
  return counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
}

Deno.test("threefry2x32 gives the known answers of Random123", () => {
  assertEquals(threefry2x32(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  assertEquals(
    threefry2x32(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff),
    [0x1cb996fc, 0xbb002be7],
  );
  assertEquals(
    threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3),
    [0xc4923a9c, 0x483df7a0],
  );
});

Deno.test("threefry2x32 reads signed and unsigned words alike", () => {
  assertEquals(threefry2x32(-1, -1, -1, -1), [0x1cb996fc, 0xbb002be7]);
});

Deno.test("threefry2x32 changes about half of its bits when one counter bit changes", () => {
  let changed = 0;
  for (let bit = 0; bit < 64; bit++) {
    for (let i = 0; i < 16; i++) {
      const a = threefry2x32(1, 2, i, 3);
      const b = bit < 32
        ? threefry2x32(1, 2, i ^ (1 << bit), 3)
        : threefry2x32(1, 2, i, 3 ^ (1 << (bit - 32)));
      for (const x of [a[0] ^ b[0], a[1] ^ b[1]]) {
        for (let k = 0; k < 32; k++) changed += (x >>> k) & 1;
      }
    }
  }
  // Mean 0.5, standard error 0.002.
  assertAlmostEquals(changed / (64 * 16 * 64), 0.5, 0.01);
});

Deno.test("Random is a pure function of the seed and the stream", () => {
  const all = (r: Random) => [...draws(5, () => r.next()), r.uniform(), r.normal(), r.integer(9)];
  assertEquals(all(new Random(7, 1, 2)), all(new Random(7, 1, 2)));
});

Deno.test("Random starts from the documented block", () => {
  const random = new Random(5 + 3 * 2 ** 32);
  assertEquals(draws(2, () => random.next()), threefry2x32(5, 3, 0, 0));
  assertEquals(draws(2, () => random.next()), threefry2x32(5, 3, 1, 0));
});

Deno.test("Random gives another stream for every seed, part and order of parts", () => {
  const arguments_: [number, ...number[]][] = [];
  for (let seed = 0; seed < 6; seed++) {
    arguments_.push([seed], [seed + 2 ** 32]);
    for (let a = 0; a < 6; a++) {
      arguments_.push([seed, a], [seed, a + 2 ** 32]);
      for (let b = 0; b < 6; b++) arguments_.push([seed, a, b]);
    }
  }
  const words = arguments_.flatMap((args) => {
    const random = new Random(...args);
    return draws(8, () => random.next());
  });
  // Two streams that overlap anywhere share words; by chance 2600 words of 32 bits do not.
  assertEquals(new Set(words).size, words.length);
});

Deno.test("Random rejects seeds and streams that are not small whole numbers", () => {
  for (const bad of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => new Random(bad), RangeError, "seed must be an integer");
    assertThrows(() => new Random(0, bad), RangeError, "stream must be an integer");
  }
});

Deno.test("uniform lies in [0, 1) with the moments of the uniform distribution", () => {
  const random = new Random(1);
  const x = draws(40_000, () => random.uniform());
  assert(x.every((value) => value >= 0 && value < 1));
  assertAlmostEquals(mean(x), 1 / 2, 0.006); // 4 standard errors
  assertAlmostEquals(mean(x.map((value) => value ** 2)), 1 / 3, 0.006);
  assertAlmostEquals(mean(x.slice(1).map((value, i) => value * x[i]!)), 1 / 4, 0.006);
  assert(x.some((value) => value * 2 ** 40 % 1 !== 0), "fewer than 40 random bits");
});

Deno.test("integer covers its range evenly", () => {
  const random = new Random(2);
  for (const n of [2, 3, 7, 10, 61]) {
    const counts = new Array(n).fill(0);
    for (let i = 0; i < 20_000; i++) counts[random.integer(n)]++;
    const freedom = n - 1;
    assert(chiSquared(counts) < freedom + 4.5 * Math.sqrt(2 * freedom), `n = ${n}: ${counts}`);
  }
});

Deno.test("integer is unbiased where a plain remainder would not be", () => {
  const random = new Random(3);
  const n = 3 * 2 ** 30; // word % n would fall below 2^30 half of the time
  const share = mean(draws(20_000, () => random.integer(n) < 2 ** 30 ? 1 : 0));
  assertAlmostEquals(share, 1 / 3, 0.014);
  assertEquals(random.integer(1), 0);
  assert(random.integer(2 ** 32) < 2 ** 32);
});

Deno.test("integer rejects an impossible range", () => {
  for (const bad of [0, -1, 1.5, NaN, 2 ** 32 + 1]) {
    assertThrows(() => new Random(0).integer(bad), RangeError, "n must be an integer");
  }
});

Deno.test("normal has the moments of the normal distribution", () => {
  const random = new Random(4);
  const x = draws(40_000, () => random.normal());
  assertAlmostEquals(mean(x), 0, 0.02);
  assertAlmostEquals(mean(x.map((value) => value ** 2)), 1, 0.03);
  assertAlmostEquals(mean(x.map((value) => value ** 4)), 3, 0.25);
  assertAlmostEquals(mean(x.map((value) => Math.abs(value) < 1 ? 1 : 0)), 0.6827, 0.01);
});

Deno.test("pick takes every element and rejects an empty list", () => {
  const random = new Random(5);
  assertEquals(new Set(draws(100, () => random.pick(["a", "b", "c"]))).size, 3);
  assertThrows(() => random.pick([]), RangeError, "list must have an element");
});

Deno.test("shuffle is a permutation and every order is equally likely", () => {
  const random = new Random(6);
  const counts = new Map<string, number>();
  for (let i = 0; i < 12_000; i++) {
    const list = [1, 2, 3, 4];
    assertEquals(random.shuffle(list), list);
    const order = list.join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assertEquals(counts.size, 24);
  assert([...counts.keys()].every((order) => [...order].sort().join("") === "1234"));
  assert(chiSquared([...counts.values()]) < 23 + 4.5 * Math.sqrt(46));
  const long = random.shuffle(Array.from({ length: 50 }, (_, i) => i));
  assertNotEquals(long, long.toSorted((a, b) => a - b));
});
