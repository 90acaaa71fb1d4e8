import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import {
  halvesInterval,
  pairCount,
  pairSum,
  promptProducts,
  randomHalves,
} from "../../src/lab/prompt_products.ts";

Deno.test("sums by prompt and their pairs are what they say", () => {
  // Scalar gradients 1 … 6 of three prompts with two responses each.
  const g = [1, 2, 3, 4, 5, 6];
  const gram = {
    size: 6,
    products: Float64Array.from({ length: 36 }, (_, k) => g[Math.floor(k / 6)]! * g[k % 6]!),
  };
  const a = [1, 0, 1, 1, 0, 2];
  const b = [1, 1, 1, 1, 1, 1];
  const products = promptProducts(gram, 2, a, b);
  const left = [1, 7, 12];
  const right = [3, 7, 11];
  assertEquals([...products.values], left.flatMap((l) => right.map((r) => l * r)));
  assertEquals(pairSum(products, [0, 2]), 1 * 11 + 12 * 3);
  assertEquals(pairCount([1, 2, 1], [2, 2, 2], [0, 1, 2]), 1 * 4 + 2 * 4 + 1 * 4);
});

Deno.test("pairs of different prompts estimate a squared mean without the noise", () => {
  let [pairs, naive] = [0, 0];
  const trials = 400;
  for (let k = 0; k < trials; k++) {
    const random = new Random(3, k);
    const g = Array.from({ length: 8 }, () => 0.5 + random.normal());
    const gram = {
      size: 8,
      products: Float64Array.from({ length: 64 }, (_, k) => g[k >> 3]! * g[k & 7]!),
    };
    const ones = new Array(8).fill(1);
    const products = promptProducts(gram, 1, ones, ones);
    const all = [...g.keys()];
    pairs += pairSum(products, all) / pairCount(ones, ones, all) / trials;
    naive += (g.reduce((a, b) => a + b) / 8) ** 2 / trials;
  }
  assertAlmostEquals(pairs, 0.25, 0.05);
  assertAlmostEquals(naive, 0.25 + 1 / 8, 0.05);
});

Deno.test("intervals from halves hold a mean in about 95 % of samples", () => {
  let inside = 0;
  const trials = 1000;
  const halves = randomHalves(32, 200, 1);
  for (let k = 0; k < trials; k++) {
    const random = new Random(4, k);
    const values = Array.from({ length: 32 }, () => random.normal());
    const meanOf = (set: Iterable<number>) => {
      const list = [...set];
      return list.reduce((sum, p) => sum + values[p]!, 0) / list.length;
    };
    const { low, high } = halvesInterval(meanOf(values.keys()), halves.map(meanOf));
    if (low <= 0 && 0 <= high) inside++;
  }
  assert(inside / trials > 0.9 && inside / trials < 0.98, `${inside} of ${trials}`);
});

Deno.test("halves are halves, differ, and are the same for the same seed", () => {
  const halves = randomHalves(9, 5, 7);
  for (const half of halves) {
    assertEquals(half.length, 4);
    assertEquals(new Set(half).size, 4);
    assert(half.every((p) => p < 9));
  }
  assert(new Set(halves.map(String)).size > 1);
  assertEquals(randomHalves(9, 5, 7).map(String), halves.map(String));
  assert(randomHalves(9, 5, 8).map(String).join() !== halves.map(String).join());
});

Deno.test("an interval is moved by its halves' own offset, keeps its bounds and shows what is unbounded", () => {
  // Values on the halves lie lower than on the whole, as R² does.
  const offset = halvesInterval(0.95, [0.6, 0.7, 0.8], [-Infinity, 1]);
  assertAlmostEquals(offset.low, 0.855, 1e-9);
  assertEquals(offset.high, 1);
  const open = halvesInterval(2, [1, 2, 2, 2, Infinity]);
  assertEquals(open.high, Infinity);
  assertEquals(halvesInterval(2, [1, NaN, 3]).n, 2);
});
