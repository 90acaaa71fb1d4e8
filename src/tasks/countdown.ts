/**
 * Countdown: reach a target with given numbers by trying expressions, the task of the paper
 * (arXiv 2509.07558) in miniature.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Random } from "../random/random.ts";
import { SMALL_POLICY, type SymbolicTask } from "../task/task.ts";
import { checkInteger, checkProbability } from "./knobs.ts";
import { symbolicTask, vocabularyOf } from "./symbolic_task.ts";

/** What a countdown task is built with. */
export interface CountdownOptions {
  /** Numbers given, 2 to 6. Default 3. */
  readonly numberCount?: number;
  /** The largest number given; the smallest is 1. Default 6. */
  readonly maxNumber?: number;
  /** The largest target, and the largest number with a symbol. Default 60. */
  readonly maxTarget?: number;
  /** The most attempts of a completion. Default 14, which fit 128 ids. */
  readonly maxAttempts?: number;
  /** Probabilities of giving up after a failed attempt, one per demonstration. Default 0.6 to 0.03. */
  readonly giveUpHazards?: readonly number[];
  /** Probability that a demonstrated result is wrong. Default 0.01. */
  readonly arithmeticNoise?: number;
}

const NAMES = namesOf<CountdownOptions>({
  numberCount: true,
  maxNumber: true,
  maxTarget: true,
  maxAttempts: true,
  giveUpHazards: true,
  arithmeticNoise: true,
});

/** The facts of a countdown problem. */
export interface CountdownProblem {
  /** The numbers to use, every one exactly once. */
  readonly numbers: readonly number[];
  /** The value to reach. */
  readonly target: number;
}

/** Numbers combined from left to right: ((n0 op0 n1) op1 n2) … */
interface Expression {
  readonly numbers: readonly number[];
  readonly operators: readonly Operator[];
}

const OPERATORS = ["+", "-", "*"] as const;
type Operator = (typeof OPERATORS)[number];

function apply(left: number, operator: Operator, right: number): number {
  if (operator === "+") return left + right;
  return operator === "-" ? left - right : left * right;
}

function randomExpression(random: Random, numbers: readonly number[]): Expression {
  return {
    numbers: random.shuffle([...numbers]),
    operators: numbers.slice(1).map(() => random.pick(OPERATORS)),
  };
}

/**
 * The countdown task.
 *
 * A prompt gives numbers, a target and a colon: `2 5 6 16 :`. A completion is a list of attempts of
 * equal length. An attempt combines the numbers from left to right, says every result, repeats the
 * target and ends in a verdict: `5 + 6 11 * 2 22 16 ✗ 2 * 5 10 + 6 16 16 ✓`. After the last attempt
 * comes end of sequence; after ✗ that is giving up. A result below 0 or above `maxTarget` is written
 * `OV`. The target is repeated because a small policy learns to compare two neighbours long before
 * it learns to compare a result with the prompt.
 *
 * Only the last attempt counts. The reward is 1 if its verdict is ✓, it uses every given number
 * exactly once and its value, computed anew from numbers and operators, is the target. The results
 * a completion claims, and all it wrote before, change nothing. Giving up, or being cut off at
 * `maxCompletionLength`, has reward 0.
 *
 * Demonstrations try random expressions and differ in persistence: how soon one gives up is drawn
 * once per demonstration from `giveUpHazards`. Very short and very long completions to the same
 * prompt therefore stand side by side (10 to 127 ids by default), and not giving up is rewarded.
 *
 * @throws {RangeError} if an option is out of its range
 */
export function countdown(options: CountdownOptions = {}): SymbolicTask<CountdownProblem> {
  checkNames("countdown", options, NAMES);
  const {
    numberCount = 3,
    maxNumber = 6,
    maxTarget = 60,
    maxAttempts = 14,
    giveUpHazards = [0.6, 0.4, 0.2, 0.03],
    arithmeticNoise = 0.01,
  } = options;
  checkInteger("numberCount", numberCount, 2, 6);
  checkInteger("maxTarget", maxTarget, 2, 1000);
  checkInteger("maxNumber", maxNumber, 1, maxTarget);
  checkInteger("maxAttempts", maxAttempts, 1, 1024);
  if (giveUpHazards.length === 0) {
    throw new RangeError("giveUpHazards must have at least one probability, got none");
  }
  for (const hazard of giveUpHazards) checkProbability("giveUpHazards", hazard);
  checkProbability("arithmeticNoise", arithmeticNoise);

  const numberSymbols = Array.from({ length: maxTarget + 1 }, (_, value) => String(value));
  const vocabulary = vocabularyOf([...numberSymbols, ...OPERATORS, ":", "OV", "✓", "✗"]);
  const idOf = new Map(vocabulary.map((symbol, id) => [symbol, id]));
  const id = (symbol: string | number): number => idOf.get(String(symbol))!;
  const attemptLength = 3 * numberCount;

  /** The value as it is written: a number with a symbol, or OV. */
  const written = (value: number): number | "OV" => value >= 0 && value <= maxTarget ? value : "OV";

  /** A problem with a solution that never leaves the numbers that can be written. */
  function drawProblem(random: Random): CountdownProblem {
    while (true) {
      const numbers = Array.from({ length: numberCount }, () => 1 + random.integer(maxNumber));
      const expression = randomExpression(random, numbers);
      let value: number | "OV" = expression.numbers[0]!;
      for (let i = 1; i < numberCount && value !== "OV"; i++) {
        value = written(apply(value, expression.operators[i - 1]!, expression.numbers[i]!));
      }
      if (value !== "OV" && value > 0) return { numbers, target: value };
    }
  }

  /** One attempt at random, with slips; its verdict trusts its own results. */
  function attempt(random: Random, { numbers, target }: CountdownProblem): number[] {
    const expression = randomExpression(random, numbers);
    let value: number | "OV" = expression.numbers[0]!;
    const ids = [id(value)];
    expression.operators.forEach((operator, i) => {
      const right = expression.numbers[i + 1]!;
      // From OV on the value is lost.
      if (value !== "OV") value = written(apply(value, operator, right));
      if (random.uniform() < arithmeticNoise) value = random.integer(maxTarget + 1);
      ids.push(id(operator), id(right), id(value));
    });
    ids.push(id(target), id(value === target ? "✓" : "✗"));
    return ids;
  }

  /**
   * The value of the expression in an attempt; `undefined` if it is none with exactly `numbers`.
   * Exact, because the first five numbers of at most 1000 make less than 2^53.
   */
  function evaluate(ids: readonly number[], numbers: readonly number[]): number | undefined {
    const used = [ids[0]! - id(0)];
    let value = used[0]!;
    for (let position = 1; used.length < numberCount; position += 3) {
      const operator = OPERATORS.find((symbol) => id(symbol) === ids[position]);
      if (operator === undefined) return undefined;
      const right = ids[position + 1]! - id(0);
      value = apply(value, operator, right);
      used.push(right);
    }
    // An id that is no number gives a "number" that nobody was given.
    const ascending = (list: readonly number[]) => list.toSorted((a, b) => a - b).join();
    return ascending(used) === ascending(numbers) ? value : undefined;
  }

  return symbolicTask<CountdownProblem>({
    name: "countdown",
    vocabulary,
    maxPromptLength: numberCount + 2,
    maxCompletionLength: maxAttempts * attemptLength + 1,
    defaults: {
      policy: { ...SMALL_POLICY, numHiddenLayers: 3 },
      warmStart: { steps: 500, batchSize: 128, learningRate: 3e-3 },
      rl: { maxSteps: 60, promptsPerStep: 32, numGenerations: 16, learningRate: 1.5e-4 },
    },

    separator: " ",
    draw: drawProblem,
    // The order of the numbers does not make another problem.
    keyOf: ({ numbers, target }) => [...numbers.toSorted((a, b) => a - b), target],
    promptOf: ({ numbers, target }) => [...numbers.map(id), id(target), id(":")],
    demonstrate(random, problem) {
      const hazard = random.pick(giveUpHazards);
      const completionIds: number[] = [];
      for (let attempts = 1; attempts <= maxAttempts; attempts++) {
        completionIds.push(...attempt(random, problem));
        if (completionIds.at(-1) === id("✓") || random.uniform() < hazard) break;
      }
      return completionIds;
    },
    isRight({ numbers, target }, ids) {
      const last = ids.slice(-attemptLength);
      if (last.length < attemptLength || last.at(-1) !== id("✓")) return false;
      return evaluate(last, numbers) === target;
    },
  });
}
