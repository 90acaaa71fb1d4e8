/**
 * The policies that are measured.
 *
 * @module
 */

import {
  countParameters,
  type PolicyConfigOptions,
  resolveConfig,
} from "../../src/model/config.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import { countdown, parity, type Task } from "../../src/tasks/mod.ts";

/** A policy shape with a name. */
export interface BenchPolicy {
  /** Name in tables. */
  readonly name: string;
  /** Its shape. */
  readonly config: PolicyConfigOptions;
  /** How it is stored. Default `"f32"`. */
  readonly dtype?: StoredDType;
}

/** The policy that a task recommends, with the task's vocabulary. */
function ofTask(task: Task): BenchPolicy {
  const config = resolveConfig({ vocabSize: task.vocabulary.length, ...task.defaults.policy });
  return { name: `${task.name} ${(countParameters(config) / 1e6).toFixed(2)} M`, config };
}

/** What `deno task train` trains on parity. */
export const PARITY: BenchPolicy = ofTask(parity());

/** The policy of the countdown task. */
export const COUNTDOWN: BenchPolicy = ofTask(countdown());

/**
 * The tiny GPT that peers train, as a Llama.
 *
 * A GPT's feed-forward has two matrices of C x 4C, 8 C² numbers; SwiGLU has three of C x F, so F = 8/3 C = 341.3 does the
 * same work. F = 344 is the next multiple of eight, 0.8 % more.
 */
export const TINY_GPT: BenchPolicy = {
  name: "tiny GPT 0.8 M",
  config: {
    modelType: "llama",
    vocabSize: 64,
    hiddenSize: 128,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    intermediateSize: 344,
    maxPositionEmbeddings: 512,
  },
};

/** About one million parameters. */
export const ONE_MILLION: BenchPolicy = {
  name: "1 M",
  config: {
    vocabSize: 128,
    hiddenSize: 128,
    numHiddenLayers: 5,
    numAttentionHeads: 4,
    numKeyValueHeads: 4,
    intermediateSize: 352,
  },
};

/** About ten million parameters. */
export const TEN_MILLION: BenchPolicy = {
  name: "10 M",
  config: {
    vocabSize: 128,
    hiddenSize: 320,
    numHiddenLayers: 8,
    numAttentionHeads: 5,
    numKeyValueHeads: 5,
    intermediateSize: 864,
  },
};

/** SmolLM2-135M's shape (HuggingFaceTB). */
export const SMOLLM2: BenchPolicy = {
  name: "SmolLM2-135M",
  config: {
    modelType: "llama",
    vocabSize: 49152,
    hiddenSize: 576,
    intermediateSize: 1536,
    numHiddenLayers: 30,
    numAttentionHeads: 9,
    numKeyValueHeads: 3,
    headDim: 64,
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 8192,
  },
};
