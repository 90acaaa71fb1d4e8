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
