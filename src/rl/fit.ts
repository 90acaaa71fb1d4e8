/**
 * Whether a policy can take on a task.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { PolicyConfig } from "../model/config.ts";
import { bindableTokens } from "../model/limits.ts";
import { NEVER_WRITTEN, neverEnds } from "../model/token_ids.ts";
import { eosTokenIdsOf, type Task } from "../task/task.ts";

/**
 * Checks a policy's vocabulary, positions and padding against a task.
 *
 * @param maxCompletionLength The most tokens of a completion.
 * @throws {RangeError} If one does not suffice; the message says what to do.
 */
export function checkFit(config: PolicyConfig, task: Task, maxCompletionLength: number): void {
  const { vocabSize, maxPositionEmbeddings } = config;
  if (task.vocabulary.length > vocabSize) {
    throw new RangeError(
      `Task ${task.name} has ${task.vocabulary.length} token ids and the policy's vocabSize is ${vocabSize}: ` +
        "make a policy with a larger vocabulary",
    );
  }
  const eosTokenIds = eosTokenIdsOf(task);
  if (neverEnds(config, eosTokenIds)) {
    throw new RangeError(
      `Task ${task.name} ends completions by ${
        eosTokenIds.join(", ")
      }, ${NEVER_WRITTEN}, as its padTokenId or by ` +
        "suppress_tokens: give the policy the task's eosTokenId",
    );
  }
  const longest = task.maxPromptLength + maxCompletionLength;
  if (longest > maxPositionEmbeddings) {
    throw new RangeError(
      `Prompts of ${task.maxPromptLength} and completions of ${maxCompletionLength} tokens need ${longest} ` +
        `positions and the policy's maxPositionEmbeddings is ${maxPositionEmbeddings}: lower maxCompletionLength`,
    );
  }
}

/** Whether a policy may write what pads the task's rows, as no other token ends or fills a response. */
export function mayWritePadding({ suppressedTokenId }: PolicyConfig, task: Task): boolean {
  const { padTokenId } = task;
  return suppressedTokenId !== padTokenId && !eosTokenIdsOf(task).includes(padTokenId);
}

/**
 * How many packed tokens a forward and backward pass may have, so that the device can bind their activations. Wide
 * policies may have fewer; the result of training does not depend on it beyond rounding.
 *
 * @param wanted The most tokens asked for.
 * @param longest Tokens of the longest prompt and completion, which have to fit.
 * @throws {RangeError} If they do not.
 */
export function microBatchTokens(
  gpu: Gpu,
  config: PolicyConfig,
  wanted: number,
  longest: number,
): number {
  if (longest > wanted) {
    throw new RangeError(
      `maxTokensPerMicroBatch must be at least a prompt and a completion, ${longest}: ` +
        `current value is ${wanted}`,
    );
  }
  const most = bindableTokens(gpu, config);
  if (longest > most) {
    throw new RangeError(
      `A prompt and a completion of ${longest} tokens have activations that ${gpu.adapter.description} cannot bind, ` +
        `at most ${most} tokens with this policy: lower maxCompletionLength or use another device`,
    );
  }
  return Math.min(wanted, most);
}
