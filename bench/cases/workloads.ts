/**
 * Training steps and rollouts with the shapes of real runs.
 *
 * @module
 */

import { Random } from "../../src/random/random.ts";
import { COUNTDOWN, ONE_MILLION, PARITY, SMOLLM2, TEN_MILLION, TINY_GPT } from "./policies.ts";
import type { BenchPolicy } from "./policies.ts";
import type { RolloutWork } from "./rollout.ts";
import type { StepBatch } from "./training_step.ts";

/** A policy with what it is trained on. */
export interface StepWorkload {
  /** The policy. */
  readonly policy: BenchPolicy;
  /** The batch. */
  readonly batch: StepBatch;
}

/** A policy with what it generates. */
export interface RolloutWorkload {
  /** The policy. */
  readonly policy: BenchPolicy;
  /** The request. */
  readonly work: RolloutWork;
}

/** `count` lengths between two bounds, every one equally likely. */
export function lengthsBetween(shortest: number, longest: number, count: number): number[] {
  const random = new Random(4);
  return Array.from({ length: count }, () => shortest + random.integer(longest - shortest + 1));
}

/** The step that peers are compared on: 8 sequences of 128 tokens, each a prompt of 1 and a response of 128 to predict. */
export const TINY_GPT_STEP: StepWorkload = {
  policy: TINY_GPT,
  batch: { promptLength: 1, numGenerations: 1, lengths: new Array<number>(8).fill(128) },
};

/** One step of parity, as `deno task train --prompts-per-step 32` takes them: 512 responses of 3 to 17 tokens, 16 to each prompt of 15. */
export const PARITY_STEP: StepWorkload = {
  policy: PARITY,
  batch: { promptLength: 15, numGenerations: 16, lengths: lengthsBetween(3, 17, 512) },
};

/** Its rollout. */
export const PARITY_ROLLOUT: RolloutWorkload = {
  policy: PARITY,
  work: { prompts: 32, promptLength: 15, numGenerations: 16, maxCompletionLength: 17, eosIds: 1 },
};

/** 256 sequences with the skewed lengths of countdown: 36 tokens on average, some of them the full 129. */
export const COUNTDOWN_ROLLOUT: RolloutWorkload = {
  policy: COUNTDOWN,
  work: { prompts: 16, promptLength: 5, numGenerations: 16, maxCompletionLength: 129, eosIds: 2 },
};

/** Countdown's training step on 256 responses of such lengths. */
export const COUNTDOWN_STEP: StepWorkload = {
  policy: COUNTDOWN,
  batch: {
    promptLength: 5,
    numGenerations: 16,
    lengths: geometricLengths(36, 129, 256),
    maxTokensPerMicroBatch: 16384,
  },
};

/** A few long responses, whose history is most of what decoding reads. */
export const LONG_ROLLOUT: RolloutWorkload = {
  policy: { ...TINY_GPT, config: { ...TINY_GPT.config, maxPositionEmbeddings: 576 } },
  work: { prompts: 1, promptLength: 64, numGenerations: 16, maxCompletionLength: 512, eosIds: 0 },
};

/** Few rows and wide matrices, which are most of what decoding reads. */
export const WIDE_ROLLOUT: RolloutWorkload = {
  policy: TEN_MILLION,
  work: { prompts: 1, promptLength: 16, numGenerations: 4, maxCompletionLength: 32, eosIds: 0 },
};

/** Eight responses of 64 tokens to a prompt of 45, by a language model: the least that one learns from. */
export const SMOLLM2_WORK: { step: StepWorkload; rollout: RolloutWorkload } = {
  step: {
    policy: SMOLLM2,
    batch: { promptLength: 45, numGenerations: 8, lengths: new Array<number>(8).fill(64) },
  },
  rollout: {
    policy: SMOLLM2,
    work: { prompts: 1, promptLength: 45, numGenerations: 8, maxCompletionLength: 64, eosIds: 0 },
  },
};

/** Steps and rollouts for real GPUs, larger than a software adapter is good for. */
export const LARGE: readonly { step: StepWorkload; rollout: RolloutWorkload }[] = [
  ONE_MILLION,
  TEN_MILLION,
].map((policy) => ({
  step: {
    policy,
    batch: {
      promptLength: 32,
      numGenerations: 16,
      lengths: geometricLengths(128, 256, 512),
      maxTokensPerMicroBatch: 16384,
    },
  },
  rollout: {
    policy,
    work: {
      prompts: 32,
      promptLength: 32,
      numGenerations: 16,
      maxCompletionLength: 256,
      eosIds: 1,
    },
  },
}));

/** A whole step of reinforcement learning: rollout, verifier, update. */
export interface RlvrWork {
  /** The policy. */
  readonly policy: BenchPolicy;
  /** Different prompts. */
  readonly prompts: number;
  /** Samples per prompt. */
  readonly numGenerations: number;
  /** Tokens of each prompt. */
  readonly promptLength: number;
  /** The most tokens of a completion; the policy ends with probability 1 / V at each. */
  readonly maxCompletionLength: number;
  /** Packed tokens per forward and backward pass. */
  readonly maxTokensPerMicroBatch: number;
}

const RLVR_512 = {
  prompts: 32,
  numGenerations: 16,
  promptLength: 32,
  maxCompletionLength: 256,
  maxTokensPerMicroBatch: 16384,
};

/** Whole steps for a real GPU: 512 responses of 110 tokens on average, at most 256. */
export const LARGE_RLVR: readonly RlvrWork[] = [
  { policy: ONE_MILLION, ...RLVR_512 },
  { policy: TEN_MILLION, ...RLVR_512 },
];

/** A whole step that a software adapter does in about a second. */
export const SMALL_RLVR: RlvrWork = {
  policy: COUNTDOWN,
  prompts: 8,
  numGenerations: 16,
  promptLength: 8,
  maxCompletionLength: 64,
  maxTokensPerMicroBatch: 16384,
};

/** `count` lengths of a geometric distribution, cut off at `longest`. */
export function geometricLengths(mean: number, longest: number, count: number): number[] {
  const random = new Random(5);
  return Array.from({ length: count }, () => {
    const drawn = 1 + Math.floor(Math.log(1 - random.uniform()) / Math.log(1 - 1 / mean));
    return Math.min(longest, Math.max(1, drawn));
  });
}

/** Work for a policy of a few thousand parameters, for trying out that everything runs. */
export function quickWorkload(): { step: StepWorkload; rollout: RolloutWorkload; rlvr: RlvrWork } {
  const policy: BenchPolicy = {
    name: "quick",
    config: { vocabSize: 8, hiddenSize: 16, numHiddenLayers: 1, numAttentionHeads: 2 },
  };
  return {
    rlvr: {
      policy,
      prompts: 2,
      numGenerations: 2,
      promptLength: 3,
      maxCompletionLength: 6,
      maxTokensPerMicroBatch: 64,
    },
    step: { policy, batch: { promptLength: 3, numGenerations: 2, lengths: [2, 5, 1, 4] } },
    rollout: {
      policy,
      work: { prompts: 2, promptLength: 3, numGenerations: 2, maxCompletionLength: 6, eosIds: 1 },
    },
  };
}
