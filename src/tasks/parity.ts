/**
 * Parity: is the number of ones odd? The smallest task on which thinking longer pays.
 *
 * @module
 */

import type { Random } from "../random/random.ts";
import type { Split, SymbolicTask } from "../task/task.ts";
import { checkInteger, checkProbability, checkShares } from "./knobs.ts";
import { drawFrom, streamOf } from "../task/split.ts";
import { beforeEos, EOS, PAD, spell, vocabularyOf } from "./vocabulary.ts";

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
  const { minBits = 4, maxBits = 14, fullShare = 0.2, partialShare = 0.4, stepNoise = 0.02 } =
    options;
  checkInteger("maxBits", maxBits, 2, 1024);
  checkInteger("minBits", minBits, 2, maxBits);
  checkShares({ fullShare, partialShare });
  checkProbability("stepNoise", stepNoise);

  function drawBits(random: Random): number[] {
    const count = minBits + random.integer(maxBits - minBits + 1);
    return Array.from({ length: count }, () => random.integer(2));
  }

  function promptOf(bits: readonly number[]): number[] {
    const blanks = new Array<number>(maxBits - bits.length).fill(BLANK);
    return [...bits.map((bit) => ZERO + bit), ...blanks, ASK];
  }

  /** How many bits a demonstration counts before it answers. */
  function drawDepth(random: Random, bits: number): number {
    const mode = random.uniform();
    if (mode < fullShare) return bits;
    return mode < fullShare + partialShare ? 1 + random.integer(bits - 1) : 0;
  }

  return {
    name: "parity",
    vocabulary: VOCABULARY,
    padTokenId: PAD,
    eosTokenId: EOS,
    heldOut: true,
    maxPromptLength: maxBits + 1,
    maxCompletionLength: maxBits + 3,
    defaults: {
      policy: {
        hiddenSize: 64,
        numHiddenLayers: 2,
        numAttentionHeads: 4,
        numKeyValueHeads: 4,
        intermediateSize: 176,
        tieWordEmbeddings: false,
      },
      warmStart: { steps: 300, batchSize: 64, learningRate: 3e-3, embeddingStd: 1 },
      rl: { maxSteps: 60, promptsPerStep: 32, numGenerations: 16, learningRate: 5e-4 },
    },

    problem(split: Split, seed: number, index: number) {
      const bits = drawFrom(split, streamOf(split, seed, index), drawBits, (bits) => bits);
      const answer = bits.reduce((sum, bit) => sum ^ bit, 0);
      return { promptIds: promptOf(bits), metadata: { bits, answer } };
    },

    demonstration(seed: number, index: number) {
      const random = streamOf("demonstration", seed, index);
      const bits = drawFrom("train", random, drawBits, (bits) => bits);
      const depth = drawDepth(random, bits.length);
      const completionIds: number[] = [];
      let running = 0;
      for (const bit of bits.slice(0, depth)) {
        // A slip is not noticed: the count goes on from the wrong parity.
        running ^= bit ^ (random.uniform() < stepNoise ? 1 : 0);
        completionIds.push(ZERO + running);
      }
      const answer = depth === bits.length ? running : random.integer(2);
      completionIds.push(ANSWER, ZERO + answer, EOS);
      return { promptIds: promptOf(bits), completionIds };
    },

    verify(metadata: ParityProblem, completionIds: readonly number[]) {
      const [mark, answer] = beforeEos(completionIds)?.slice(-2) ?? [];
      return mark === ANSWER && answer === ZERO + metadata.answer ? 1 : 0;
    },

    describe(ids: readonly number[]) {
      return spell(VOCABULARY, ids, "");
    },
  };
}
