/**
 * Completions of a step as lines of completions.jsonl.
 *
 * @module
 */

import type { CompletionRecord, StepReport } from "../rl/step_report.ts";
import { isSolved } from "../task/solved.ts";
import type { Task } from "../task/task.ts";
import { type MetricsRecord, STEP } from "./metrics_log.ts";

/**
 * The lines of a step.
 *
 * @param task Whose ids they are.
 * @param most The most lines; every prompt gets as many of them.
 */
export function completionLines(report: StepReport, task: Task, most: number): MetricsRecord[] {
  return spread(report.completions, most).map((completion) => {
    const { promptIds, completionIds, reward, rewards, advantage, truncated } = completion;
    return {
      [STEP]: report.step,
      prompt: task.describe(promptIds),
      completion: task.describe(completionIds),
      reward,
      solved: isSolved(task, reward),
      ...(rewards ? { rewards } : {}),
      advantage,
      length: completionIds.length,
      truncated,
    };
  });
}

/** The first completions of every prompt, as many of each, in order. */
function spread(completions: readonly CompletionRecord[], most: number): CompletionRecord[] {
  const groups: CompletionRecord[][] = [];
  for (const completion of completions) {
    const group = groups.at(-1);
    if (group && `${group[0]!.promptIds}` === `${completion.promptIds}`) group.push(completion);
    else groups.push([completion]);
  }
  const kept = groups.map(() => 0);
  for (let left = Math.min(most, completions.length), g = 0; left > 0; g++) {
    const at = g % groups.length;
    if (kept[at] === groups[at]!.length) continue;
    kept[at]!++;
    left--;
  }
  return groups.flatMap((group, g) => group.slice(0, kept[g]));
}
