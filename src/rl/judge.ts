/**
 * Judging completions: a task's verifier on each of them, and what to say when it fails.
 *
 * @module
 */

import type { Judgement, Problem, Task, Verdict } from "./task.ts";

/** A completion and where it comes from. */
export interface Judged {
  /** The problem it answers. */
  readonly problem: Problem;
  /** Token ids, without the prompt. */
  readonly completionIds: readonly number[];
  /** Which problem it is, for messages, for instance `train problem 7`. */
  readonly where: string;
}

/**
 * The rewards of completions, in their order; verifiers that take time run side by side.
 *
 * @param task Whose verifier to ask.
 * @param samples The completions.
 * @throws {Error} If the verifier throws or returns something that is no finite number; the message names the first
 * sample it failed on, and how many more. By then the verifier has finished with all of them.
 */
export async function judge(task: Task, samples: readonly Judged[]): Promise<Judgement[]> {
  const settled = await Promise.allSettled(samples.map((sample) => judgeOne(task, sample)));
  const failed = settled.filter((result) => result.status === "rejected");
  if (failed.length > 0) {
    const [{ reason }] = failed as [PromiseRejectedResult];
    if (failed.length === 1) throw reason;
    throw new Error(
      `${reason.message}. It failed on ${failed.length} of ${samples.length} completions`,
      { cause: reason.cause },
    );
  }
  return settled.map((result) => (result as PromiseFulfilledResult<Judgement>).value);
}

async function judgeOne(task: Task, sample: Judged): Promise<Judgement> {
  const { problem, completionIds } = sample;
  let verdict: Verdict;
  try {
    verdict = await task.verify(problem.metadata, completionIds);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`The verifier threw on ${describe(task, sample)}: ${message}`, {
      cause: error,
    });
  }
  const judgement = typeof verdict === "object" && verdict !== null
    ? verdict
    : { reward: verdict, rewards: {} };
  const parts: readonly (readonly [string, number | null])[] = Object.entries(
    judgement.rewards ?? {},
  );
  for (const [name, reward] of [["", judgement.reward] as const, ...parts]) {
    if (name !== "" && reward === null) continue;
    if (typeof reward !== "number" || !Number.isFinite(reward)) {
      throw new Error(
        `The verifier returned ${reward}${name && ` for ${name}`} on ${describe(task, sample)}: ` +
          "rewards must be finite numbers",
      );
    }
  }
  return judgement;
}

function describe(task: Task, { problem, completionIds, where }: Judged): string {
  const text = (ids: readonly number[]) => JSON.stringify(task.describe(ids));
  return `${where} of task ${task.name} (prompt ${text(problem.promptIds)}, completion ${
    text(completionIds)
  })`;
}
