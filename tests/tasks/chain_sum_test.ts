import { assert, assertAlmostEquals, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { mean } from "../../src/objective/moments.ts";
import { chainSum, type ChainSumOptions } from "../../src/tasks/mod.ts";

const task = chainSum();

/** The ids of a text of one-character symbols; `$` stands for end of sequence. */
function ids(text: string): number[] {
  return Array.from(text, (c) => c === "$" ? task.eosTokenId : task.vocabulary.indexOf(c));
}

interface Sample {
  style: "guess" | "hasty" | "careful";
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
    const style = completion[0] === "~" ? "hasty" : completion[0] === "=" ? "careful" : "guess";
    const reward = task.verify({ digits, answer }, completionIds);
    return { style, digits, completion, length: completionIds.length, reward };
  });
}

/** Sums of the first, the first two, … and of all digits. */
function runningSums(digits: readonly number[], base: number): number[] {
  let sum = 0;
  return digits.map((digit) => sum = (sum + digit) % base);
}

/** The steps a demonstration wrote before its answer. */
function steps({ completion }: Sample): number[] {
  return completion.slice(1, completion.indexOf(">")).split("").map(Number);
}

Deno.test("chain-sum: prompts are a field of fixed width and a colon, answers are sums", () => {
  const counts = new Array(13).fill(0);
  for (let i = 0; i < 2000; i++) {
    const { promptIds, metadata } = task.problem(i % 2 === 0 ? "train" : "eval", 1, i);
    const { digits, answer } = metadata;
    assertEquals(task.describe(promptIds), digits.join("").padEnd(12, "_") + ":");
    assertEquals(answer, runningSums(digits, 10).at(-1));
    counts[digits.length]++;
  }
  assert(counts.slice(0, 3).every((count) => count === 0));
  assert(counts.slice(3).every((count) => count > 100), counts.join());
});

Deno.test("chain-sum: the verifier wants >, the right answer and end of sequence", () => {
  const problem = { digits: [4, 0, 7, 1], answer: 2 };
  const cases: [string, number][] = [
    ["=4412>2$", 1],
    ["~49>2$", 1],
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

Deno.test("chain-sum: without noise and impatience both styles write running sums and are right", () => {
  const calm = { hastyNoise: 0, hastyStop: 0, carefulNoise: 0 };
  const seen = { guess: 0, hasty: 0, careful: 0 };
  const samples = demonstrations(1000, { ...calm, base: 16, minDigits: 1, maxDigits: 7 });
  for (const { style, digits, completion, reward } of samples) {
    seen[style]++;
    if (style === "guess") {
      assert(/^>[0-9a-f]<eos>$/.test(completion), completion);
      continue;
    }
    const sums = runningSums(digits, 16).map((sum) => sum.toString(16));
    const mark = style === "hasty" ? "~" : "=";
    assertEquals(completion, `${mark}${sums.join("")}>${sums.at(-1)}<eos>`);
    assertEquals(reward, 1);
  }
  assert(Object.values(seen).every((count) => count > 100));
});

Deno.test("chain-sum: slips happen at the stated rate and are carried on", () => {
  for (const [style, noise] of [["hasty", 0.15], ["careful", 0.03]] as const) {
    let count = 0;
    let slips = 0;
    const wrongBy = new Array(10).fill(0);
    const hastyShare = style === "hasty" ? 1 : 0;
    for (const sample of demonstrations(4000, { guessShare: 0, hastyShare })) {
      assertEquals(sample.style, style);
      const sums = steps(sample);
      assertEquals(sample.completion.at(sums.length + 2), String(sums.at(-1)));
      sums.forEach((sum, k) => {
        const error = (sum - (sums[k - 1] ?? 0) - sample.digits[k]! + 20) % 10;
        count++;
        if (error !== 0) slips++;
        wrongBy[error]++;
      });
    }
    assertAlmostEquals(slips / count, noise, 4 * Math.sqrt(noise * (1 - noise) / count));
    // Every wrong digit is as likely as the others.
    for (const wrong of wrongBy.slice(1)) assertAlmostEquals(wrong / slips, 1 / 9, 0.045);
  }
});

Deno.test("chain-sum: hasty demonstrations stop early at the stated rate, careful ones never", () => {
  let chances = 0;
  let stops = 0;
  for (const sample of demonstrations(6000)) {
    if (sample.style === "guess") continue;
    const { length } = steps(sample);
    const early = length < sample.digits.length;
    if (sample.style === "careful") assert(!early);
    // The last digit ends the sums anyway.
    else chances += early ? length : length - 1;
    if (early) stops++;
  }
  assertAlmostEquals(stops / chances, 0.1, 4 * Math.sqrt(0.09 / chances));
});

Deno.test("chain-sum: demonstrations pass as often as their mixture says", () => {
  const samples = demonstrations(20_000);
  // A slip is uniform over the wrong digits: after so many steps the sum is right this often.
  const right = (noise: number, count: number) => 0.1 + 0.9 * (1 - noise * 10 / 9) ** count;
  const expected = mean(samples.map(({ digits: { length } }) => {
    // Where digits were left out any answer is equally likely.
    const patient = 0.9 ** (length - 1);
    const hasty = patient * right(0.15, length) + (1 - patient) * 0.1;
    return 0.25 * 0.1 + 0.5 * hasty + 0.25 * right(0.03, length);
  }));
  assertAlmostEquals(mean(samples.map((s) => s.reward)), expected, 0.014); // 4 standard errors
  const share = (style: string) => mean(samples.map((s) => s.style === style ? 1 : 0));
  assertAlmostEquals(share("guess"), 0.25, 0.013);
  assertAlmostEquals(share("hasty"), 0.5, 0.015);
});

Deno.test("chain-sum: the longer style is the better one and lengths spread from 3 to 16", () => {
  const samples = demonstrations(20_000);
  assertEquals(
    [...new Set(samples.map((s) => s.length))].sort((a, b) => a - b),
    [3, ...Array.from({ length: 12 }, (_, k) => k + 5)],
  );
  const of = (style: string) => samples.filter((s) => s.style === style);
  const pass = (style: string) => mean(of(style).map((s) => s.reward));
  assertGreater(pass("hasty"), pass("guess") + 0.1);
  assertGreater(pass("careful"), pass("hasty") + 0.4);
  assertGreater(mean(of("careful").map((s) => s.length)), mean(of("hasty").map((s) => s.length)));
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
    [{ guessShare: 0.75, hastyShare: 0.5 }, "guessShare + hastyShare must be at most 1, got 1.25"],
    [{ hastyNoise: -1 }, "hastyNoise must be a number from 0 to 1, got -1"],
    [{ hastyStop: 2 }, "hastyStop must be a number from 0 to 1, got 2"],
    [{ carefulNoise: NaN }, "carefulNoise must be a number from 0 to 1, got NaN"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => chainSum(options), RangeError, message);
  }
});
