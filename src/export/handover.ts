/**
 * What an engine's part of an export is made of, and consists of.
 *
 * @module
 */

import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "../rl/train_options.ts";

/** What an engine's files are made of. */
export interface Handover {
  /** The task. */
  readonly task: Task;
  /** Every setting of the run. */
  readonly options: ResolvedTrainOptions;
  /** Whether prompts are texts. */
  readonly plain: boolean;
  /** The token that the policy never writes, if there is one. */
  readonly suppressedTokenId: number | undefined;
  /** Whether it may write the task's padding. */
  readonly writesPadding: boolean;
}

/** What is an engine's own in an export. */
export interface EngineFiles {
  /** Contents by name. */
  readonly files: Readonly<Record<string, string>>;
  /** The file that starts it. */
  readonly start: string;
  /** What the engine will do in another way, a sentence each. */
  readonly limits: readonly string[];
}

/** What engines, which leave special tokens out of the texts that they judge, make of padding in a response. */
export function paddingLimits({ task, writesPadding }: Handover): string[] {
  const { padTokenId, vocabulary } = task;
  return writesPadding
    ? [
      `This policy may write padding (${
        vocabulary[padTokenId]
      }, id ${padTokenId}), which reward functions do not see. One ` +
      `made with padTokenId: ${padTokenId} never writes it.`,
    ]
    : [];
}
