/**
 * Chain sum: add digits modulo a base. Careful small steps against quick large ones.
 *
 * @module
 */

import type { Random } from "../gpu/random.ts";
import type { Split, SymbolicTask } from "../rl/task.ts";
import { checkInteger, checkProbability, checkShares } from "./knobs.ts";
import { drawFrom, streamOf } from "./split.ts";
import { beforeEos, EOS, PAD, spell, vocabularyOf } from "./vocabulary.ts";

/** What a chain-sum task is built with. */
export interface ChainSumOptions {
  /** The fewest digits of a problem, at least 1. Default 3. */
  readonly minDigits?: number;
  /** The most digits of a problem. Default 12. */
  readonly maxDigits?: number;
  /** The modulus, and the number of different digits: 2 to 36. Default 10. */
  readonly base?: number;
  /** Share of demonstrations that guess at once. Default 0.3. */
  readonly guessShare?: number;
  /** Share that add two digits per step; the rest add one. Default 0.2. */
  readonly pairShare?: number;
  /** Probability that a step of two digits is wrong. Default 0.15. */
  readonly pairNoise?: number;
  /** Probability that a step of one digit is wrong. Default 0.03. */
  readonly singleNoise?: number;
}

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
 * `base`; two digits per step, `~42>2`, quick and careless; one digit per step, `=4412>2`, twice as
 * long and mostly right. The reward is 1 if the answer is right.
 *
 * The fixed width keeps the distance from a running sum of one digit to that digit the same at every
 * step, so that this style is learnt first; with many more demonstrations of pairs it comes far later.
 * The mark in front tells which stride the running sums have. Without it a policy cannot tell the
 * styles apart before it can add, and cannot learn to add before it can tell them apart.
 *
 * Reinforcement learning has to move from the quick styles to the long one and to remove its
 * slips, so reward grows with length again, but here every step can also be done better.
 *
 * @throws {RangeError} if an option is out of its range
 */
export function chainSum(options: ChainSumOptions = {}): SymbolicTask<ChainSumProblem> {
  const {
    minDigits = 3,
    maxDigits = 12,
    base = 10,
    guessShare = 0.3,
    pairShare = 0.2,
    pairNoise = 0.15,
    singleNoise = 0.03,
  } = options;
  checkInteger("maxDigits", maxDigits, 1, 1024);
  checkInteger("minDigits", minDigits, 1, maxDigits);
  checkInteger("base", base, 2, 36);
  checkShares({ guessShare, pairShare });
  checkProbability("pairNoise", pairNoise);
  checkProbability("singleNoise", singleNoise);

  const digitSymbols = Array.from({ length: base }, (_, digit) => digit.toString(36));
  const vocabulary = vocabularyOf([...digitSymbols, "_", ":", "~", "=", ">"]);
  const ZERO = vocabulary.indexOf("0");
  const BLANK = vocabulary.indexOf("_");
  const ASK = vocabulary.indexOf(":");
  const PAIRS = vocabulary.indexOf("~");
  const SINGLES = vocabulary.indexOf("=");
  const ANSWER = vocabulary.indexOf(">");

  function drawDigits(random: Random): number[] {
    const count = minDigits + random.integer(maxDigits - minDigits + 1);
    return Array.from({ length: count }, () => random.integer(base));
  }

  function promptOf(digits: readonly number[]): number[] {
    const blanks = new Array<number>(maxDigits - digits.length).fill(BLANK);
    return [...digits.map((digit) => ZERO + digit), ...blanks, ASK];
  }

  /** The running sums after every `stride` digits and after the last, with slips. */
  function runningSums(random: Random, digits: readonly number[], stride: number, noise: number) {
    const sums: number[] = [];
    let sum = 0;
    for (let start = 0; start < digits.length; start += stride) {
      for (const digit of digits.slice(start, start + stride)) sum += digit;
      // A slip gives one of the other digits and is not noticed.
      if (random.uniform() < noise) sum += 1 + random.integer(base - 1);
      sum %= base;
      sums.push(sum);
    }
    return sums;
  }

  /** What a demonstration writes before its answer: nothing, or a mark and running sums. */
  function drawWork(random: Random, digits: readonly number[]): { mark: number[]; sums: number[] } {
    const style = random.uniform();
    if (style < guessShare) return { mark: [], sums: [] };
    return style < guessShare + pairShare
      ? { mark: [PAIRS], sums: runningSums(random, digits, 2, pairNoise) }
      : { mark: [SINGLES], sums: runningSums(random, digits, 1, singleNoise) };
  }

  return {
    name: "chain-sum",
    vocabulary,
    padTokenId: PAD,
    eosTokenId: EOS,
    maxPromptLength: maxDigits + 1,
    maxCompletionLength: maxDigits + 4,
    defaults: {
      policy: {
        hiddenSize: 64,
        numHiddenLayers: 2,
        numAttentionHeads: 4,
        numKeyValueHeads: 4,
        intermediateSize: 176,
      },
      warmStart: { steps: 400, batchSize: 256, learningRate: 3e-3 },
      rl: { maxSteps: 100, promptsPerStep: 32, numGenerations: 16, learningRate: 5e-4 },
    },

    problem(split: Split, seed: number, index: number) {
      const digits = drawFrom(split, streamOf(split, seed, index), drawDigits, (digits) => digits);
      const answer = digits.reduce((sum, digit) => sum + digit, 0) % base;
      return { promptIds: promptOf(digits), metadata: { digits, answer } };
    },

    demonstration(seed: number, index: number) {
      const random = streamOf("demonstration", seed, index);
      const digits = drawFrom("train", random, drawDigits, (digits) => digits);
      const { mark, sums } = drawWork(random, digits);
      const answer = sums.at(-1) ?? random.integer(base);
      const completionIds = [
        ...mark,
        ...sums.map((sum) => ZERO + sum),
        ANSWER,
        ZERO + answer,
        EOS,
      ];
      return { promptIds: promptOf(digits), completionIds };
    },

    verify(metadata: ChainSumProblem, completionIds: readonly number[]) {
      const [mark, answer] = beforeEos(completionIds)?.slice(-2) ?? [];
      return mark === ANSWER && answer === ZERO + metadata.answer ? 1 : 0;
    },

    describe(ids: readonly number[]) {
      return spell(vocabulary, ids, "");
    },
  };
}
