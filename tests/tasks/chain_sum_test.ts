import { assert, assertAlmostEquals, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { chainSum, type ChainSumOptions } from "../../src/tasks/mod.ts";

const task = chainSum();

/** The ids of a text of one-character symbols; `$` stands for end of sequence. */
function ids(text: string): number[] {
  return Array.from(text, (c) => c === "$" ? task.eosTokenId : task.vocabulary.indexOf(c));
}

interface Sample {
  style: "guess" | "pairs" | "singles";
  digits: number[];
  completion: string;
  length: number;
  reward: number;
}

function demonstrations(count: number, options: ChainSumOptions = {}): Sample[] {
  const task = chainSum(options);
  return Array.from({ length: count }, (_, i) => {
    const { promptIds, completionIds } = task.demonstration(1, i);
    const digits = task.describe(promptIds).replace(/[_:]/g, "").split("").map((digit) =>
      parseInt(digit, 36)
    );
    const answer = digits.reduce((sum, digit) => sum + digit, 0) % (options.base ?? 10);
    const completion = task.describe(completionIds);
    const style = completion[0] === "~" ? "pairs" : completion[0] === "=" ? "singles" : "guess";
    const reward = task.verify({ digits, answer }, completionIds);
    return { style, digits, completion, length: completionIds.length, reward };
  });
}

function mean(x: number[]): number {
  return x.reduce((sum, value) => sum + value, 0) / x.length;
}

/** Sums of the first stride, 2·stride, … digits and of all. */
function partialSums(digits: readonly number[], stride: number, base: number): number[] {
  const ends = Array.from(
    { length: Math.ceil(digits.length / stride) },
    (_, k) => Math.min((k + 1) * stride, digits.length),
  );
  return ends.map((end) => digits.slice(0, end).reduce((sum, digit) => sum + digit, 0) % base);
}

Deno.test("chain-sum: prompts are a field of fixed width and a colon, answers are sums", () => {
  const counts = new Array(13).fill(0);
  for (let i = 0; i < 2000; i++) {
    const { promptIds, metadata } = task.problem(i % 2 === 0 ? "train" : "eval", 1, i);
    const { digits, answer } = metadata;
    assertEquals(task.describe(promptIds), digits.join("").padEnd(12, "_") + ":");
    assertEquals(answer, partialSums(digits, digits.length, 10)[0]);
    counts[digits.length]++;
  }
  assert(counts.slice(0, 3).every((count) => count === 0));
  assert(counts.slice(3).every((count) => count > 100), counts.join());
});

Deno.test("chain-sum: the verifier wants >, the right answer and end of sequence", () => {
  const problem = { digits: [4, 0, 7, 1], answer: 2 };
  const cases: [string, number][] = [
    ["=4412>2$", 1],
    ["~42>2$", 1],
    [">2$", 1],
    ["=9999>2$", 1], // only the answer counts
    [">5>2$", 1], // the last answer counts
    ["=4412>2$77", 1], // what is behind the end does not
    ["=4412>1$", 0],
    [">2>5$", 0],
    ["=4412>2", 0], // cut off
    ["=4412$", 0], // no answer
    ["=44122$", 0],
    [">22$", 0], // text after the answer
    [">2>$", 0],
    [">2_$", 0],
    [">$2$", 0],
    ["$", 0],
    ["", 0],
  ];
  for (const [text, reward] of cases) assertEquals(task.verify(problem, ids(text)), reward, text);
});

Deno.test("chain-sum: without noise each style writes its running sums and is right", () => {
  const options = { pairNoise: 0, singleNoise: 0, base: 16, minDigits: 1, maxDigits: 7 };
  const seen = { guess: 0, pairs: 0, singles: 0 };
  for (const { style, digits, completion, reward } of demonstrations(1000, options)) {
    seen[style]++;
    if (style === "guess") {
      assert(/^>[0-9a-f]<eos>$/.test(completion), completion);
      continue;
    }
    const sums = partialSums(digits, style === "pairs" ? 2 : 1, 16).map((s) => s.toString(16));
    const mark = style === "pairs" ? "~" : "=";
    assertEquals(completion, `${mark}${sums.join("")}>${sums.at(-1)}<eos>`);
    assertEquals(reward, 1);
  }
  assert(Object.values(seen).every((count) => count > 100));
});

Deno.test("chain-sum: slips happen at the stated rate and are carried on", () => {
  for (const [style, stride, noise] of [["pairs", 2, 0.15], ["singles", 1, 0.03]] as const) {
    const shares = style === "pairs" ? { pairShare: 1 } : { pairShare: 0 };
    let steps = 0;
    let slips = 0;
    const wrongBy = new Array(10).fill(0);
    for (const { digits, completion } of demonstrations(4000, { guessShare: 0, ...shares })) {
      const written = completion.slice(1, completion.indexOf(">")).split("").map(Number);
      written.forEach((sum, k) => {
        const before = k === 0 ? 0 : written[k - 1]!;
        const right = partialSums([before, ...digits.slice(k * stride, (k + 1) * stride)], 99, 10);
        steps++;
        if (sum !== right[0]) slips++;
        wrongBy[(sum - right[0]! + 10) % 10]++;
      });
    }
    assertAlmostEquals(slips / steps, noise, 4 * Math.sqrt(noise * (1 - noise) / steps));
    // Every wrong digit is as likely as the others.
    for (const count of wrongBy.slice(1)) assertAlmostEquals(count / slips, 1 / 9, 0.045);
  }
});

Deno.test("chain-sum: demonstrations pass as often as their mixture says", () => {
  const samples = demonstrations(20_000);
  // A slip is uniform over the wrong digits: after k steps the sum is right with this probability.
  const right = (noise: number, steps: number) => 0.1 + 0.9 * (1 - noise * 10 / 9) ** steps;
  const expected = mean(
    samples.map(({ digits: { length } }) =>
      0.3 * 0.1 + 0.2 * right(0.15, Math.ceil(length / 2)) + 0.5 * right(0.03, length)
    ),
  );
  assertAlmostEquals(mean(samples.map((s) => s.reward)), expected, 0.014); // 4 standard errors
  const share = (style: string) => mean(samples.map((s) => s.style === style ? 1 : 0));
  assertAlmostEquals(share("guess"), 0.3, 0.014);
  assertAlmostEquals(share("pairs"), 0.2, 0.013);
});

Deno.test("chain-sum: the longer style is the better one and lengths spread from 3 to 16", () => {
  const samples = demonstrations(20_000);
  const lengths = samples.map((s) => s.length);
  assertEquals([Math.min(...lengths), Math.max(...lengths)], [3, 16]);
  const of = (style: string) => samples.filter((s) => s.style === style);
  const pass = (style: string) => mean(of(style).map((s) => s.reward));
  assertGreater(pass("pairs"), pass("guess") + 0.3);
  assertGreater(pass("singles"), pass("pairs") + 0.2);
  assertGreater(mean(of("singles").map((s) => s.length)), mean(of("pairs").map((s) => s.length)));
  const lengthOf = (reward: number) =>
    mean(samples.filter((s) => s.reward === reward).map((s) => s.length));
  assertGreater(lengthOf(1), lengthOf(0) + 1.5);
});

Deno.test("chain-sum: options out of range are named", () => {
  const cases: [ChainSumOptions, string][] = [
    [{ maxDigits: 0 }, "maxDigits must be an integer from 1 to 1024, got 0"],
    [{ minDigits: 13 }, "minDigits must be an integer from 1 to 12, got 13"],
    [{ base: 1 }, "base must be an integer from 2 to 36, got 1"],
    [{ base: 37 }, "base must be an integer from 2 to 36, got 37"],
    [{ guessShare: 2 }, "guessShare must be a number from 0 to 1, got 2"],
    [{ guessShare: 0.75, pairShare: 0.5 }, "guessShare + pairShare must be at most 1, got 1.25"],
    [{ pairNoise: -1 }, "pairNoise must be a number from 0 to 1, got -1"],
    [{ singleNoise: NaN }, "singleNoise must be a number from 0 to 1, got NaN"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => chainSum(options), RangeError, message);
  }
});
