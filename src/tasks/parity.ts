/**
 * Parity: is the number of ones odd? The smallest task on which thinking longer pays.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Random } from "../random/random.ts";
import { SMALL_POLICY, type SymbolicTask } from "../task/task.ts";
import { checkInteger, checkProbability, checkShares } from "./knobs.ts";
import { symbolicTask, vocabularyOf } from "./symbolic_task.ts";

/** What a parity task is built with. */
export interface ParityOptions {
  /** The fewest bits of a problem, at least 2. Default 4. */
  readonly minBits?: number;
  /** The most bits of a problem. Default 14. */
  readonly maxBits?: number;
  /** Share of demonstrations that count to the last bit. Default 0.2. */
  readonly fullShare?: number;
  /** Share that count over some bits and then guess; the rest guess at once. Default 0.4. */
  readonly partialShare?: number;
  /** Probability that a counting step is wrong. Default 0.02. */
  readonly stepNoise?: number;
}

const NAMES = namesOf<ParityOptions>({
  minBits: true,
  maxBits: true,
  fullShare: true,
  partialShare: true,
  stepNoise: true,
});

/** The facts of a parity problem. */
export interface ParityProblem {
  /** The bits asked about, each 0 or 1. */
  readonly bits: readonly number[];
  /** 1 if an odd number of them is 1, else 0. */
  readonly answer: number;
}

const VOCABULARY = vocabularyOf(["0", "1", "_", ":", ">"]);
const ZERO = VOCABULARY.indexOf("0");
const BLANK = VOCABULARY.indexOf("_");
const ASK = VOCABULARY.indexOf(":");
const ANSWER = VOCABULARY.indexOf(">");

/**
 * The parity task.
 *
 * A prompt is a field of `maxBits` places and a colon, `1011____:`. The fixed width keeps the
 * distance from a counting step to its bit the same at every step, which is what makes the skill
 * easy. A completion writes as many running parities as it likes, then `>`, the answer and end of
 * sequence: `1101>1`. The reward is 1 if the answer is right.
 *
 * Counting to the end is almost always right and stopping earlier is a coin toss, so reward grows
 * with length, and lengths from 3 to `maxBits` + 3 are all demonstrated. Reinforcement learning
 * turns the rare complete count into a habit.
 *
 * @throws {RangeError} if an option is out of its range
 */
export function parity(options: ParityOptions = {}): SymbolicTask<ParityProblem> {
  checkNames("parity", options, NAMES);
  const { minBits = 4, maxBits = 14, fullShare = 0.2, partialShare = 0.4, stepNoise = 0.02 } =
    options;
  checkInteger("maxBits", maxBits, 2, 1024);
  checkInteger("minBits", minBits, 2, maxBits);
  checkShares({ fullShare, partialShare });
  checkProbability("stepNoise", stepNoise);

  /** How many bits a demonstration counts before it answers. */
  function drawDepth(random: Random, bits: number): number {
    const mode = random.uniform();
    if (mode < fullShare) return bits;
    return mode < fullShare + partialShare ? 1 + random.integer(bits - 1) : 0;
  }

  return symbolicTask<ParityProblem>({
    name: "parity",
    vocabulary: VOCABULARY,
    maxPromptLength: maxBits + 1,
    maxCompletionLength: maxBits + 3,
    defaults: {
      // Counting looks back 14 places and answering one: a small base tells these apart from the beginning, and with
      // normed heads no seed was seen that never learns to answer. What is learnt last takes many steps, not many tokens.
      policy: { ...SMALL_POLICY, tieWordEmbeddings: false, normedHeads: true, ropeTheta: 100 },
      warmStart: { steps: 700, batchSize: 16, learningRate: 3e-3, embeddingStd: 1 },
      rl: { maxSteps: 60, promptsPerStep: 16, numGenerations: 16, learningRate: 5e-4 },
    },

    separator: "",
    draw(random) {
      const count = minBits + random.integer(maxBits - minBits + 1);
      const bits = Array.from({ length: count }, () => random.integer(2));
      return { bits, answer: bits.reduce((sum, bit) => sum ^ bit, 0) };
    },
    keyOf: ({ bits }) => bits,
    promptOf({ bits }) {
      const blanks = new Array<number>(maxBits - bits.length).fill(BLANK);
      return [...bits.map((bit) => ZERO + bit), ...blanks, ASK];
    },
    demonstrate(random, { bits }) {
      const depth = drawDepth(random, bits.length);
      const completionIds: number[] = [];
      let running = 0;
      for (const bit of bits.slice(0, depth)) {
        // A slip is not noticed: the count goes on from the wrong parity.
        running ^= bit ^ (random.uniform() < stepNoise ? 1 : 0);
        completionIds.push(ZERO + running);
      }
      const answer = depth === bits.length ? running : random.integer(2);
      return [...completionIds, ANSWER, ZERO + answer];
    },
    isRight: ({ answer }, ids) => ids.at(-2) === ANSWER && ids.at(-1) === ZERO + answer,
  });
}
