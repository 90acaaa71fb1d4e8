/**
 * The shape of a new policy for a task, from the task's defaults and flags.
 *
 * @module
 */

import { type PolicyConfig, resolveConfig } from "../model/config.ts";
import { eosTokenIdsOf, type Task } from "../task/task.ts";
import { type FlagValues, namingFlags } from "./args.ts";
import { SIZE_FLAGS } from "./train_flags.ts";

/**
 * Vocabularies are rounded up to a multiple of this, which the matrix products of the head are two
 * to three times as fast with. Ids beyond the task's are never demonstrated; a policy that samples
 * one all the same is wrong. One that begins with random weights has none of them.
 */
const VOCABULARY_MULTIPLE = 8;

/**
 * The configuration of a new policy for a task.
 *
 * @param task Whose vocabulary, limits and recommended size it gets.
 * @param values Sizes chosen instead; the feed-forward and the key and value heads follow the
 * others where they are not chosen.
 * @param maxCompletionLength Tokens a response may have.
 * @throws {UsageError} For sizes that do not go together.
 */
export function newPolicyConfig(
  task: Task,
  values: FlagValues<typeof SIZE_FLAGS>,
  maxCompletionLength: number = task.maxCompletionLength,
): PolicyConfig {
  const { policy } = task.defaults;
  const { hiddenSize, numAttentionHeads } = values;
  const ends = eosTokenIdsOf(task);
  return namingFlags(SIZE_FLAGS, () =>
    resolveConfig({
      vocabSize: VOCABULARY_MULTIPLE * Math.ceil(task.vocabulary.length / VOCABULARY_MULTIPLE),
      hiddenSize: hiddenSize ?? policy.hiddenSize,
      numHiddenLayers: values.numHiddenLayers ?? policy.numHiddenLayers,
      numAttentionHeads: numAttentionHeads ?? policy.numAttentionHeads,
      numKeyValueHeads: values.numKeyValueHeads ??
        (numAttentionHeads === undefined ? policy.numKeyValueHeads : undefined),
      headDim: values.headDim,
      intermediateSize: values.intermediateSize ??
        (hiddenSize === undefined ? policy.intermediateSize : undefined),
      tieWordEmbeddings: values.tieWordEmbeddings ?? policy.tieWordEmbeddings,
      normedHeads: policy.normedHeads,
      ropeTheta: policy.ropeTheta,
      maxPositionEmbeddings: Math.max(2048, task.maxPromptLength + maxCompletionLength),
      eosTokenId: ends.length === 1 ? ends[0]! : ends,
      padTokenId: task.padTokenId,
    }));
}
