/**
 * Evaluations as metrics.
 *
 * @module
 */

import type { Evaluation } from "./evaluation.ts";
import type { Task } from "../task/task.ts";

/** An evaluation under verl's names. */
export function evaluationMetrics(task: Task, evaluation: Evaluation): Record<string, number> {
  const { numGenerations, rightLength, wrongLength } = evaluation;
  const prefix = `eval/${task.name}`;
  const passAtK = Object.entries(evaluation.passAtK)
    .map(([k, rate]) => [`${prefix}/pass@${k}`, rate] as const);
  const byFunction = Object.entries(evaluation.byFunction)
    .map(([name, reward]) => [`${prefix}/rewards/${name}/mean`, reward] as const);
  return {
    [`${prefix}/mean@${numGenerations}`]: evaluation.meanAtN,
    [`${prefix}/mean@${numGenerations}_error`]: evaluation.meanAtNError,
    ...(evaluation.unjudged === undefined
      ? {}
      : { [`${prefix}/frac_unjudged`]: evaluation.unjudged }),
    ...Object.fromEntries(passAtK),
    ...Object.fromEntries(byFunction),
    [`${prefix}/prompts`]: evaluation.prompts,
    [`${prefix}/greedy`]: evaluation.greedy,
    [`${prefix}/entropy`]: evaluation.entropy,
    [`${prefix}/response_length/mean`]: evaluation.meanLength,
    [`${prefix}/response_length/std`]: evaluation.stdLength,
    [`${prefix}/response_length/clip_ratio`]: evaluation.truncated,
    ...(rightLength === undefined
      ? {}
      : { [`${prefix}/response_length/correct_mean`]: rightLength }),
    ...(wrongLength === undefined
      ? {}
      : { [`${prefix}/response_length/incorrect_mean`]: wrongLength }),
  };
}
