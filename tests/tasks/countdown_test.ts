import { assert, assertAlmostEquals, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { mean } from "../../src/objective/moments.ts";
import { Random } from "../../src/random/random.ts";
import {
  countdown,
  type CountdownOptions,
  type CountdownProblem,
  type SymbolicTask,
} from "../../src/tasks/mod.ts";

const task = countdown();

/** The ids of symbols between spaces; `$` stands for end of sequence. */
function ids(text: string, of: SymbolicTask<CountdownProblem> = task): number[] {
  return text.split(" ").filter((symbol) => symbol !== "").map((symbol) => {
    const id = symbol === "$" ? of.eosTokenId : of.vocabulary.indexOf(symbol);
    assert(id >= 0, `no symbol ${symbol}`);
    return id;
  });
}

interface Sample {
  problem: CountdownProblem;
  completion: string;
  length: number;
  attempts: number;
  reward: number;
}

function demonstrations(count: number, options: CountdownOptions = {}): Sample[] {
  const task = countdown(options);
  return Array.from({ length: count }, (_, i) => {
    const { promptIds, completionIds } = task.demonstration(1, i);
    const numbers = task.describe(promptIds).split(" ").slice(0, -1).map(Number);
    const problem = { target: numbers.pop()!, numbers };
    const completion = task.describe(completionIds);
    return {
      problem,
      completion,
      length: completionIds.length,
      attempts: completion.match(/[✓✗]/g)!.length,
      reward: task.verify(problem, completionIds),
    };
  });
}

/** The results of every expression over `numbers`, written as text: one list of results each. */
function allResults(numbers: readonly number[]): number[][] {
  if (numbers.length === 1) return [[numbers[0]!]];
  return numbers.flatMap((last, i) =>
    allResults(numbers.toSpliced(i, 1)).flatMap((results) => {
      const value = results.at(-1)!;
      return [value + last, value - last, value * last].map((next) => [...results, next]);
    })
  );
}

/** The probability that a random expression reaches the target without leaving 0 … maxTarget. */
function hitRate({ numbers, target }: CountdownProblem, maxTarget = 60): number {
  const all = allResults(numbers);
  const hits = all.filter((results) =>
    results.at(-1) === target && results.every((value) => value >= 0 && value <= maxTarget)
  );
  return hits.length / all.length;
}

Deno.test("countdown: sizes follow from the options", () => {
  assertEquals([task.maxPromptLength, task.maxCompletionLength], [5, 127]);
  assertEquals(task.vocabulary.length, 70);
  assertEquals(countdown({ maxAttempts: 7 }).maxCompletionLength, 64);
  assertEquals(countdown({ numberCount: 4, maxAttempts: 32 }).maxCompletionLength, 385);
});

Deno.test("countdown: every problem can be solved within the numbers that can be written", () => {
  for (const options of [{}, { numberCount: 4, maxNumber: 12, maxTarget: 99 }]) {
    const task = countdown(options);
    const maxTarget = options.maxTarget ?? 60;
    for (let i = 0; i < 300; i++) {
      const { promptIds, metadata } = task.problem(i % 2 === 0 ? "train" : "eval", 1, i);
      const { numbers, target } = metadata;
      assertEquals(task.describe(promptIds), `${numbers.join(" ")} ${target} :`);
      assert(numbers.every((number) => number >= 1 && number <= (options.maxNumber ?? 6)));
      assert(target >= 1 && target <= maxTarget);
      assertGreater(hitRate(metadata, maxTarget), 0);
    }
  }
});

Deno.test("countdown: the verifier", () => {
  const problem = { numbers: [2, 5, 6], target: 16 };
  const cases: [string, number, string][] = [
    ["2 * 5 10 + 6 16 16 ✓ $", 1, "right"],
    ["5 * 2 10 + 6 16 16 ✓ $", 1, "another order"],
    ["5 + 6 11 * 2 22 16 ✗ 2 * 5 10 + 6 16 16 ✓ $", 1, "right after a failure"],
    ["5 + 6 11 * 2 22 16 ✓ 2 * 5 10 + 6 16 16 ✓ $", 1, "only the last attempt counts"],
    ["7 7 7 ✓ : 2 * 5 10 + 6 16 16 ✓ $", 1, "nonsense before the last attempt"],
    ["2 * 5 10 + 6 16 16 ✓ $ 5 5 0", 1, "padding behind the end"],
    ["2 * 5 7 + 6 13 16 ✓ $", 1, "wrong claims, right expression"],
    ["2 * 5 OV + 6 ✗ : ✓ $", 1, "claims that are no numbers"],
    ["2 * 5 10 + 6 16 16 ✗ $", 0, "right but given up"],
    ["2 * 5 10 + 6 16 16 $", 0, "no verdict"],
    ["2 * 5 10 + 6 16 16 ✓", 0, "cut off"],
    ["2 * 5 10 + 6 16 16 ✓ 5 $", 0, "text after the answer"],
    ["2 * 5 10 + 6 16 16 ✓ 5 + 6 11 * 2 22 16 ✗ $", 0, "gave up after the answer"],
    ["2 * 5 10 + 6 16 16 ✓ 5 + 6 11 * 2 22 16 ✓ $", 0, "the last attempt is wrong"],
    ["5 + 6 11 + 2 13 16 ✓ $", 0, "wrong value"],
    ["5 + 6 11 + 2 16 16 ✓ $", 0, "wrong value, claimed to be right"],
    ["5 + 6 14 + 2 16 16 ✓ $", 0, "wrong value, wrong intermediate"],
    ["5 * 2 10 + 6 16 22 ✓ $", 1, "the target is not read from the completion"],
    ["5 + 6 11 + 2 13 13 ✓ $", 0, "another target"],
    ["5 + 6 11 + 5 16 16 ✓ $", 0, "a number used twice"],
    ["2 * 5 10 + 5 15 16 ✓ $", 0, "a number missing"],
    ["2 * 8 16 + 0 16 16 ✓ $", 0, "numbers not given"],
    ["16 + 0 16 + 0 16 16 ✓ $", 0, "the target itself"],
    ["2 * 5 10 6 16 16 ✓ $", 0, "an operator missing"],
    ["2 5 * 10 + 6 16 16 ✓ $", 0, "the order of symbols"],
    ["2 : 5 10 + 6 16 16 ✓ $", 0, "no operator"],
    ["✓ $", 0, "no attempt"],
    ["2 * 5 10 16 ✓ $", 0, "too short"],
    ["$", 0, "nothing"],
    ["", 0, "not even the end"],
  ];
  for (const [text, reward, why] of cases) {
    assertEquals(task.verify(problem, ids(text)), reward, `${why}: ${text}`);
  }
});

Deno.test("countdown: a number given twice is used twice", () => {
  const problem = { numbers: [3, 3, 5], target: 14 };
  assertEquals(task.verify(problem, ids("3 * 3 9 + 5 14 14 ✓ $")), 1);
  assertEquals(task.verify({ numbers: [3, 5, 5], target: 14 }, ids("3 * 3 9 + 5 14 14 ✓ $")), 0);
});

Deno.test("countdown: arithmetic is exact where results cannot be written", () => {
  const below = { numbers: [2, 5, 6], target: 3 };
  assertEquals(task.verify(below, ids("2 - 5 OV + 6 OV 3 ✓ $")), 1);
  const six = countdown({ numberCount: 6, maxNumber: 100, maxTarget: 100 });
  const numbers = [100, 100, 100, 100, 99, 1];
  const product = "100 * 100 OV * 100 OV * 100 OV * 99 OV - 1 OV 1 ✓ $";
  assertEquals(six.verify({ numbers, target: 1 }, ids(product, six)), 0);
});

Deno.test("countdown: the verifier agrees with enumeration for every expression", () => {
  // All 54 expressions of a problem as completions with random claims, against each target.
  const random = new Random(1);
  const numbers = [2, 3, 3];
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
  for (let target = 1; target <= 30; target++) {
    let rewards = 0;
    for (const [a, b, c] of orders.map((order) => order.map((i) => numbers[i]!))) {
      for (const first of "+-*") {
        for (const second of "+-*") {
          const [claim, result] = [random.integer(61), random.integer(61)];
          const text = `${a} ${first} ${b} ${claim} ${second} ${c} ${result} ${target} ✓ $`;
          rewards += task.verify({ numbers, target }, ids(text));
        }
      }
    }
    const expected = allResults(numbers).filter((results) => results.at(-1) === target).length;
    assertEquals(rewards, expected, `target ${target}`);
  }
});

Deno.test("countdown: demonstrations are attempts with honest results and verdicts", () => {
  const apply = (left: number, operator: string, right: number) =>
    operator === "+" ? left + right : operator === "-" ? left - right : left * right;
  for (const { completion, problem, reward } of demonstrations(500, { arithmeticNoise: 0 })) {
    const attempts = completion.match(/.*?[✓✗] /g)!;
    assertEquals(attempts.join("") + "<eos>", completion);
    attempts.forEach((attempt, i) => {
      const [x, first, y, middle, second, z, result, target, verdict] = attempt.split(" ");
      assertEquals([x, y, z].map(Number).sort(), problem.numbers.toSorted());
      const write = (value: number) => value >= 0 && value <= 60 ? String(value) : "OV";
      assertEquals(middle, write(apply(Number(x), first!, Number(y))));
      // NaN, the number of OV, cannot be written either.
      assertEquals(result, write(apply(Number(middle), second!, Number(z))));
      assertEquals(target, String(problem.target));
      assertEquals(verdict, result === target ? "✓" : "✗");
      if (i < attempts.length - 1) assertEquals(verdict, "✗");
    });
    assertEquals(reward, completion.endsWith("✓ <eos>") ? 1 : 0);
  }
});

Deno.test("countdown: demonstrations pass as often as their hazards say", () => {
  const hazards = [0.6, 0.4, 0.2, 0.03];
  const samples = demonstrations(20_000, { arithmeticNoise: 0 });
  // Solved at attempt k + 1 after k failures that were not given up.
  const rates = new Map<string, number>();
  const expected = mean(samples.map(({ problem }) => {
    const key = JSON.stringify(problem);
    if (!rates.has(key)) {
      const p = hitRate(problem);
      rates.set(
        key,
        mean(hazards.map((hazard) => {
          const survive = (1 - p) * (1 - hazard);
          return p * (1 - survive ** 14) / (1 - survive);
        })),
      );
    }
    return rates.get(key)!;
  }));
  assert(expected > 0.15 && expected < 0.6, `pass rate ${expected}`);
  assertAlmostEquals(mean(samples.map((s) => s.reward)), expected, 0.013); // 4 standard errors
});

Deno.test("countdown: noise spoils the stated share of results", () => {
  let results = 0;
  let wrong = 0;
  for (const { completion } of demonstrations(6000, { arithmeticNoise: 0.1 })) {
    for (const attempt of completion.match(/.*?[✓✗] /g)!) {
      const [x, operator, y, middle] = attempt.split(" ");
      if (operator !== "+") continue; // sums never leave 0 … 60 here
      results++;
      if (Number(middle) !== Number(x) + Number(y)) wrong++;
    }
  }
  // One noisy result in 61 happens to be right.
  const expected = 0.1 * 60 / 61;
  assertAlmostEquals(wrong / results, expected, 4 * Math.sqrt(0.09 / results));
});

Deno.test("countdown: lengths spread widely, and persistence pays", () => {
  const lengths = demonstrations(5000).map((s) => s.length);
  assertEquals([Math.min(...lengths), Math.max(...lengths)], [10, 127]);
  const average = mean(lengths);
  const deviation = Math.sqrt(mean(lengths.map((length) => (length - average) ** 2)));
  assertGreater(deviation, 0.9 * average);
  assert(lengths.every((length) => length % 9 === 1));

  const passes = [0.6, 0.4, 0.2, 0.03, 0].map((hazard) =>
    mean(demonstrations(3000, { giveUpHazards: [hazard] }).map((s) => s.reward))
  );
  for (let i = 1; i < passes.length; i++) assertGreater(passes[i]!, passes[i - 1]! + 0.03);
  assertGreater(passes.at(-1)!, 3 * passes[0]!);
});

Deno.test("countdown: persistence is drawn per demonstration, not per attempt", () => {
  // With one common hazard the number of failures before giving up would fall geometrically.
  const failed = (options: CountdownOptions) =>
    demonstrations(8000, options).filter((s) => s.reward === 0).map((s) => s.attempts);
  const latent = failed({ giveUpHazards: [0.9, 0.02] });
  const middling = failed({ giveUpHazards: [0.46] });
  const share = (attempts: number[], least: number) =>
    mean(attempts.map((count) => count >= least ? 1 : 0));
  assertGreater(share(latent, 14), 5 * share(middling, 14) + 0.05);
  assertGreater(1 - share(latent, 2), 0.5);
});

Deno.test("countdown: options out of range are named", () => {
  const cases: [CountdownOptions, string][] = [
    [{ numberCount: 1 }, "numberCount must be an integer from 2 to 6, got 1"],
    [{ maxNumber: 0 }, "maxNumber must be an integer from 1 to 60, got 0"],
    [{ maxNumber: 61 }, "maxNumber must be an integer from 1 to 60, got 61"],
    [{ maxTarget: 1001 }, "maxTarget must be an integer from 2 to 1000, got 1001"],
    [{ maxAttempts: 0 }, "maxAttempts must be an integer from 1 to 1024, got 0"],
    [{ giveUpHazards: [] }, "giveUpHazards must have at least one probability, got none"],
    [{ giveUpHazards: [0.5, 2] }, "giveUpHazards must be a number from 0 to 1, got 2"],
    [{ arithmeticNoise: -0.1 }, "arithmeticNoise must be a number from 0 to 1, got -0.1"],
  ];
  for (const [options, message] of cases) {
    assertThrows(() => countdown(options), RangeError, message);
  }
});
