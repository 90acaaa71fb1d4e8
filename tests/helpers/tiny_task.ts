/** A task and a policy so small that training takes a second. */

import type { Gpu } from "../../src/gpu/device.ts";
import type { PolicyStorageOptions } from "../../src/model/policy_storage.ts";
import { Policy } from "../../src/model/policy.ts";
import type { Task } from "../../src/task/task.ts";

const LETTERS = ["a", "b", "c"];
const CAPITALS = ["A", "B", "C"];
const EOS = 1;

/** Facts of a problem of {@linkcode tinyTask}. */
export interface TinyProblem {
  /** The id to begin with. */
  readonly capital: number;
}

/**
 * Write the prompt's letter as a capital, then end within the limit: reward 1, else 0. A policy without any training
 * gets it right about once in twenty times.
 *
 * @param change What is different about it.
 */
export function tinyTask(change: Partial<Task<TinyProblem>> = {}): Task<TinyProblem> {
  const vocabulary = ["<pad>", "<eos>", ...LETTERS, ...CAPITALS];
  const letterAt = (seed: number, index: number) => 2 + (seed + index) % LETTERS.length;
  return {
    name: "capitals",
    vocabulary,
    padTokenId: 0,
    eosTokenId: EOS,
    maxPromptLength: 2,
    maxCompletionLength: 5,
    defaults: {
      policy: {
        hiddenSize: 16,
        numHiddenLayers: 1,
        numAttentionHeads: 2,
        numKeyValueHeads: 1,
        intermediateSize: 48,
      },
      warmStart: { steps: 10, batchSize: 16, learningRate: 1e-2 },
      rl: { maxSteps: 20, promptsPerStep: 8, numGenerations: 16, learningRate: 1e-2 },
    },
    problem(_split, seed, index) {
      const letter = letterAt(seed, index);
      // Prompts of two lengths, so that packing has something to do.
      const promptIds = index % 2 === 0 ? [letter] : [0, letter];
      return { promptIds, metadata: { capital: letter + LETTERS.length } };
    },
    demonstration(seed, index) {
      const letter = letterAt(seed, index);
      return { promptIds: [letter], completionIds: [letter + LETTERS.length, EOS] };
    },
    verify: ({ capital }, ids) => ids[0] === capital && ids.includes(EOS) ? 1 : 0,
    describe: (ids) => ids.map((id) => vocabulary[id] ?? `<${id}>`).join(""),
    ...change,
  };
}

/** A policy of about 3000 weights for a task. */
export function tinyPolicy(
  gpu: Gpu,
  task: Task,
  seed = 0,
  storage: PolicyStorageOptions = {},
): Policy {
  return Policy.create(gpu, {
    ...task.defaults.policy,
    vocabSize: task.vocabulary.length,
    maxPositionEmbeddings: 64,
    padTokenId: task.padTokenId,
    eosTokenId: task.eosTokenId,
  }, { ...storage, seed });
}
