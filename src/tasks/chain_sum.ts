/**
 * Chain sum: add digits modulo a base, carefully or hastily.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Random } from "../random/random.ts";
import { SMALL_POLICY, type SymbolicTask } from "../task/task.ts";
import { checkInteger, checkProbability, checkShares } from "./knobs.ts";
import { symbolicTask, vocabularyOf } from "./symbolic_task.ts";

/** What a chain-sum task is built with. */
export interface ChainSumOptions {
  /** The fewest digits of a problem, at least 1. Default 3. */
  readonly minDigits?: number;
  /** The most digits of a problem. Default 12. */
  readonly maxDigits?: number;
  /** The modulus, and the number of different digits: 2 to 36. Default 10. */
  readonly base?: number;
  /** Share of demonstrations that guess at once. Default 0.25. */
  readonly guessShare?: number;
  /** Share that add hastily; the rest add carefully. Default 0.5. */
  readonly hastyShare?: number;
  /** Probability that a hasty step is wrong. Default 0.15. */
  readonly hastyNoise?: number;
  /** Probability that a hasty step is taken for the last. Default 0.1. */
  readonly hastyStop?: number;
  /** Probability that a careful step is wrong. Default 0.03. */
  readonly carefulNoise?: number;
}

const NAMES = namesOf<ChainSumOptions>({
  minDigits: true,
  maxDigits: true,
  base: true,
  guessShare: true,
  hastyShare: true,
  hastyNoise: true,
  hastyStop: true,
  carefulNoise: true,
});

/** The facts of a chain-sum problem. */
export interface ChainSumProblem {
  /** The digits to add, each from 0 to base - 1. */
  readonly digits: readonly number[];
  /** Their sum modulo the base. */
  readonly answer: number;
}

/**
 * The chain-sum task.
 *
 * A prompt is a field of `maxDigits` places and a colon, `4071____:`. A completion ends in `>`, the
 * answer and end of sequence. Demonstrations come in three styles: guess, `>5`, right once in
 * `base`; hasty, running sums with many slips that often stop early, `~49>9`; careful, running sums
 * to the last digit that are mostly right, `=4412>2`. The reward is 1 if the answer is right.
 *
 * The fixed width keeps the distance from a running sum to its digit the same at every step, which
 * rotary positions find at once, and the two styles that add share the skill. A style with another
 * stride, such as two digits per step, is learnt many times later and holds the careful one up.
 *
 * Reinforcement learning has to move from the short styles to the long one and to remove its slips:
 * reward grows with length again, but here every step can also be done better.
 *
 * @throws {RangeError} if an option is out of its range
 */
export function chainSum(options: ChainSumOptions = {}): SymbolicTask<ChainSumProblem> {
  checkNames("chainSum", options, NAMES);
  const {
    minDigits = 3,
    maxDigits = 12,
    base = 10,
    guessShare = 0.25,
    hastyShare = 0.5,
    hastyNoise = 0.15,
    hastyStop = 0.1,
    carefulNoise = 0.03,
  } = options;
  checkInteger("maxDigits", maxDigits, 1, 1024);
  checkInteger("minDigits", minDigits, 1, maxDigits);
  checkInteger("base", base, 2, 36);
  checkShares({ guessShare, hastyShare });
  checkProbability("hastyNoise", hastyNoise);
  checkProbability("hastyStop", hastyStop);
  checkProbability("carefulNoise", carefulNoise);

  const digitSymbols = Array.from({ length: base }, (_, digit) => digit.toString(36));
  const vocabulary = vocabularyOf([...digitSymbols, "_", ":", "~", "=", ">"]);
  const ZERO = vocabulary.indexOf("0");
  const BLANK = vocabulary.indexOf("_");
  const ASK = vocabulary.indexOf(":");
  const HASTY = vocabulary.indexOf("~");
  const CAREFUL = vocabulary.indexOf("=");
  const ANSWER = vocabulary.indexOf(">");

  /** Running sums with slips, up to the last digit or to where patience ends. */
  function runningSums(random: Random, digits: readonly number[], noise: number, stop: number) {
    const sums: number[] = [];
    let sum = 0;
    for (const digit of digits) {
      // A slip gives one of the other digits and is not noticed.
      const slip = random.uniform() < noise ? 1 + random.integer(base - 1) : 0;
      sum = (sum + digit + slip) % base;
      sums.push(sum);
      if (random.uniform() < stop) break;
    }
    return sums;
  }

  /** What a demonstration writes before its answer: nothing, or a mark and running sums. */
  function drawWork(random: Random, digits: readonly number[]): { mark: number[]; sums: number[] } {
    const style = random.uniform();
    if (style < guessShare) return { mark: [], sums: [] };
    return style < guessShare + hastyShare
      ? { mark: [HASTY], sums: runningSums(random, digits, hastyNoise, hastyStop) }
      : { mark: [CAREFUL], sums: runningSums(random, digits, carefulNoise, 0) };
  }

  return symbolicTask<ChainSumProblem>({
    name: "chain-sum",
    vocabulary,
    maxPromptLength: maxDigits + 1,
    maxCompletionLength: maxDigits + 4,
    defaults: {
      policy: SMALL_POLICY,
      warmStart: { steps: 300, batchSize: 128, learningRate: 3e-3 },
      rl: { maxSteps: 80, promptsPerStep: 32, numGenerations: 16, learningRate: 5e-4 },
    },

    separator: "",
    draw(random) {
      const count = minDigits + random.integer(maxDigits - minDigits + 1);
      const digits = Array.from({ length: count }, () => random.integer(base));
      return { digits, answer: digits.reduce((sum, digit) => sum + digit, 0) % base };
    },
    keyOf: ({ digits }) => digits,
    promptOf({ digits }) {
      const blanks = new Array<number>(maxDigits - digits.length).fill(BLANK);
      return [...digits.map((digit) => ZERO + digit), ...blanks, ASK];
    },
    demonstrate(random, { digits }) {
      const { mark, sums } = drawWork(random, digits);
      const answer = sums.at(-1) ?? random.integer(base);
      return [...mark, ...sums.map((sum) => ZERO + sum), ANSWER, ZERO + answer];
    },
    isRight: ({ answer }, ids) => ids.at(-2) === ANSWER && ids.at(-1) === ZERO + answer,
  });
}
