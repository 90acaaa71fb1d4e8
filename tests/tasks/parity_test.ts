import { assert, assertAlmostEquals, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { mean } from "../../src/objective/moments.ts";
import { parity, type ParityOptions } from "../../src/tasks/mod.ts";

const task = parity();

/** The ids of a text of one-character symbols; `$` stands for end of sequence. */
function ids(text: string): number[] {
  return Array.from(text, (c) => c === "$" ? task.eosTokenId : task.vocabulary.indexOf(c));
}

interface Sample {
  bits: number[];
  completion: string;
  length: number;
  reward: number;
}

function demonstrations(count: number, options: ParityOptions = {}): Sample[] {
  const task = parity(options);
  return Array.from({ length: count }, (_, i) => {
    const { promptIds, completionIds } = task.demonstration(1, i);
    const bits = task.describe(promptIds).replace(/[_:]/g, "").split("").map(Number);
    const answer = bits.reduce((sum, bit) => sum + bit, 0) % 2;
    return {
      bits,
      completion: task.describe(completionIds),
      length: completionIds.length,
      reward: task.verify({ bits, answer }, completionIds),
    };
  });
}

Deno.test("parity: prompts are a field of fixed width and a colon", () => {
  const counts = new Array(15).fill(0);
  for (let i = 0; i < 2000; i++) {
    const { promptIds, metadata } = task.problem("train", 1, i);
    const text = task.describe(promptIds);
    assertEquals(text, metadata.bits.join("").padEnd(14, "_") + ":");
    counts[metadata.bits.length]++;
  }
  assert(counts.slice(0, 4).every((count) => count === 0));
  assert(counts.slice(4).every((count) => count > 100), counts.join());
});

Deno.test("parity: the answer of every problem of 2 to 9 bits is right", () => {
  const small = parity({ minBits: 2, maxBits: 9 });
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const { bits, answer } = small.problem(i % 4 === 0 ? "eval" : "train", 0, i).metadata;
    seen.add(bits.join(""));
    assertEquals(answer, bits.filter((bit) => bit === 1).length % 2);
  }
  assertGreater(seen.size, 980); // of 1020
});

Deno.test("parity: the verifier wants >, the right answer and end of sequence", () => {
  const odd = { bits: [1, 0, 1, 1], answer: 1 };
  const cases: [string, number][] = [
    ["1101>1$", 1],
    [">1$", 1], // a lucky guess is right too
    ["00000000>1$", 1], // only the answer counts
    [">0>1$", 1], // the last answer counts
    ["1101>1$0_", 1], // what is behind the end does not
    ["1101>0$", 0],
    [">1>0$", 0],
    ["1101>1", 0], // cut off
    ["1101>", 0],
    ["1101>$", 0],
    ["11011$", 0], // no mark
    ["1$", 0],
    [">$1$", 0],
    [">1 1$".replace(" ", ""), 0], // text after the answer
    [">1_$", 0],
    [">1:$", 0],
    ["$", 0],
    ["", 0],
  ];
  for (const [text, reward] of cases) assertEquals(task.verify(odd, ids(text)), reward, text);
  assertEquals(task.verify({ bits: [1, 1, 0, 0], answer: 0 }, ids("1000>0$")), 1);
  assertEquals(task.verify({ bits: [1, 1, 0, 0], answer: 0 }, ids("1000>1$")), 0);
});

Deno.test("parity: demonstrations pass as often as their mixture says", () => {
  const samples = demonstrations(20_000);
  // A complete count of n bits is right if an even number of its steps slipped.
  const complete = mean(samples.map(({ bits }) => (1 + (1 - 2 * 0.02) ** bits.length) / 2));
  const expected = 0.2 * complete + 0.8 * 0.5;
  assertAlmostEquals(mean(samples.map((s) => s.reward)), expected, 0.014); // 4 standard errors
  assertAlmostEquals(mean(samples.map((s) => s.length === 3 ? 1 : 0)), 0.4, 0.014);
  assertAlmostEquals(mean(samples.map((s) => s.length === s.bits.length + 3 ? 1 : 0)), 0.2, 0.012);
});

Deno.test("parity: without noise complete counts are running parities", () => {
  for (
    const { bits, completion, reward } of demonstrations(300, {
      fullShare: 1,
      partialShare: 0,
      stepNoise: 0,
    })
  ) {
    let running = 0;
    const parities = bits.map((bit) => running ^= bit);
    assertEquals(completion, `${parities.join("")}>${running}<eos>`);
    assertEquals(reward, 1);
  }
});

Deno.test("parity: with noise 1 every step flips", () => {
  for (
    const { bits, completion } of demonstrations(100, {
      fullShare: 1,
      partialShare: 0,
      stepNoise: 1,
    })
  ) {
    let running = 0;
    const parities = bits.map((bit) => running ^= bit ^ 1);
    assertEquals(completion, `${parities.join("")}>${running}<eos>`);
  }
});

Deno.test("parity: lengths spread from 3 to the field's width and longer ones are right more often", () => {
  const samples = demonstrations(20_000);
  assertEquals(new Set(samples.map((s) => s.length)).size, 15); // 3 … 17
  const passOf = (keep: (s: Sample) => boolean) => mean(samples.filter(keep).map((s) => s.reward));
  assertAlmostEquals(passOf((s) => s.length === 3), 0.5, 0.025);
  assertGreater(passOf((s) => s.length === s.bits.length + 3), 0.8);
  assertGreater(passOf((s) => s.length > 8), passOf((s) => s.length === 3) + 0.03);
  const lengths = (reward: number) =>
    mean(samples.filter((s) => s.reward === reward).map((s) => s.length));
  assertGreater(lengths(1), lengths(0) + 0.5);
});

Deno.test("parity: options out of range are named", () => {
  const cases: [ParityOptions, string][] = [
    [{ maxBits: 1 }, "maxBits must be an integer from 2 to 1024, got 1"],
    [{ maxBits: 14.5 }, "maxBits must be an integer"],
    [{ minBits: 1 }, "minBits must be an integer from 2 to 14, got 1"],
    [{ minBits: 15 }, "minBits must be an integer from 2 to 14, got 15"],
    [{ fullShare: -0.1 }, "fullShare must be a number from 0 to 1, got -0.1"],
    [{ fullShare: 0.6, partialShare: 0.6 }, "fullShare + partialShare must be at most 1, got 1.2"],
    [{ stepNoise: NaN }, "stepNoise must be a number from 0 to 1, got NaN"],
  ];
  for (const [options, message] of cases) assertThrows(() => parity(options), RangeError, message);
});
