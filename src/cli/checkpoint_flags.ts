/**
 * Flags that say which checkpoints of a run are kept, and when a run that gets no better ends.
 *
 * @module
 */

import type { ResolvedTrainOptions } from "../rl/train_options.ts";
import type { CheckpointSettings } from "../run/run_checkpoints.ts";
import type { RunConfig } from "../run/run_directory.ts";
import type { Task } from "../task/task.ts";
import { type FlagValues, numberFlag, textFlag, UsageError } from "./args.ts";

/** What `--save-best` goes by where nothing else is given. */
const MEAN = "mean@N";

/** The flags. */
export const CHECKPOINT_FLAGS = {
  saveSteps: numberFlag(
    { min: 0, max: 1e7, integer: true },
    "Steps between checkpoints; 0 for the end only.",
    20,
  ),
  keepCheckpoints: numberFlag(
    { min: 1, max: 1e4, integer: true },
    "Checkpoints kept, the latest among them; the others as checkpoint-<step>.",
    1,
  ),
  saveBest: {
    ...textFlag(
      "eval/…",
      `Keep the checkpoint with the greatest of this figure as checkpoint-best; alone: ${MEAN}.`,
    ),
    alone: MEAN,
  },
  patience: numberFlag(
    { min: 0, max: 1e6, integer: true },
    `End after so many evaluations without a better one, by the same figure or ${MEAN}; 0 for never.`,
    0,
  ),
};

/** Which checkpoints a command line keeps: all of the library's settings, and the interval. */
export interface KeptCheckpoints extends CheckpointSettings {
  /** Steps between checkpoints; 0 for the end only. */
  readonly saveSteps: number;
}

/**
 * What is kept, from flags and, for a run that goes on, from its record.
 *
 * @param values What was given.
 * @param task The task, which evaluations are named after.
 * @param options Settings of training.
 * @param config What the run recorded.
 * @throws {UsageError} If they do not go together.
 */
export function keptCheckpoints(
  values: FlagValues<typeof CHECKPOINT_FLAGS>,
  task: Task,
  { evalSteps, numGenerationsEval }: ResolvedTrainOptions,
  config?: RunConfig,
): KeptCheckpoints {
  const number = (name: "saveSteps" | "keepCheckpoints" | "patience") => {
    const recorded = config?.[name];
    return values[name] ??
      (typeof recorded === "number" ? recorded : CHECKPOINT_FLAGS[name].default as number);
  };
  const patience = number("patience");
  if (patience > 0 && evalSteps === 0) {
    throw new UsageError(
      `--patience is ${patience} and there is no evaluation while training: give --eval-steps`,
    );
  }
  const saveBest = values.saveBest ?? config?.saveBest;
  const given = typeof saveBest === "string" ? saveBest : MEAN;
  if (given !== MEAN && !given.startsWith("eval/")) {
    throw new UsageError(
      `--save-best is ${JSON.stringify(given)}: give a figure of evaluations, such as ` +
        `eval/${task.name}/mean@${numGenerationsEval}`,
    );
  }
  return {
    saveSteps: number("saveSteps"),
    keepCheckpoints: number("keepCheckpoints"),
    patience,
    saveBest: typeof saveBest === "string",
    metric: given === MEAN ? `eval/${task.name}/mean@${numGenerationsEval}` : given,
  };
}
