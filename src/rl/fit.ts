/**
 * Whether a policy can take on a task.
 *
 * @module
 */

import type { PolicyConfig } from "../model/config.ts";
import type { Task } from "./task.ts";

/**
 * Checks a policy's vocabulary and positions against a task.
 *
 * @param config The policy's.
 * @param task The task.
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
  const longest = task.maxPromptLength + maxCompletionLength;
  if (longest > maxPositionEmbeddings) {
    throw new RangeError(
      `Prompts of ${task.maxPromptLength} and completions of ${maxCompletionLength} tokens need ${longest} ` +
        `positions and the policy's maxPositionEmbeddings is ${maxPositionEmbeddings}: lower maxCompletionLength`,
    );
  }
}
