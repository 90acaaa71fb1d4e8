/**
 * Judging completions: a task's verifier on each of them, and what to say when it fails.
 *
 * @module
 */

import { deferred } from "../host/deferred.ts";
import { shownWithType } from "../input/names.ts";
import { plainCopy } from "./plain_copy.ts";
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

/** Options of {@linkcode judge}. */
export interface JudgeOptions {
  /** Seconds without any answer after which the verifier counts as stuck. Default 600. */
  readonly patience?: number;
  /** Whoever asked does not wait any more. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The rewards of completions, in their order; verifiers that take time run side by side.
 *
 * @param task Whose verifier to ask.
 * @param samples The completions.
 * @param options How long to wait.
 * @returns One for each; its reward is `null` where the completion could not be judged.
 * @throws {Error} If the verifier throws, returns something that is neither a finite number nor `null`, or is stuck; the message names the
 * first sample it failed on, and how many more. By then the verifier has finished with all of them, unless it is stuck.
 */
export async function judge(
  task: Task,
  samples: readonly Judged[],
  options: JudgeOptions = {},
): Promise<Judgement[]> {
  const wait = new Wait(options.patience ?? 600, options.signal);
  const settled = await Promise.allSettled(
    samples.map((sample) => judgeOne(task, sample, wait).finally(() => wait.begin())),
  );
  wait.end();
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

/** Waits for answers, but not for ever. */
class Wait {
  /** Fails when there was no answer for too long. */
  readonly over: Promise<never>;
  readonly #seconds: number;
  readonly #fail: (error: Error) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.end();
  #ended = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(seconds: number, signal: AbortSignal | undefined) {
    const { promise, reject } = deferred<never>();
    // Where nobody waits any more, it is no failure.
    promise.catch(() => {});
    [this.over, this.#seconds, this.#fail, this.#signal] = [promise, seconds, reject, signal];
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#ended = true;
    this.begin();
  }

  /** Begins to wait for the next answer. */
  begin(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#fail(
        new Error(
          `no answer for ${this.#seconds} s; give what the verifier waits for a time limit of its own`,
        ),
      );
    }, this.#seconds * 1000);
  }

  /** Waits no more. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}

async function judgeOne(task: Task, sample: Judged, wait: Wait): Promise<Judgement> {
  const { problem, completionIds } = sample;
  let verdict: Verdict;
  try {
    // A copy each: a verifier that sorts its row must not change the next one's, nor the tokens that are trained on.
    const verifying = task.verify(plainCopy(problem.metadata), [...completionIds]);
    verdict = await Promise.race([verifying, wait.over]);
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
    if (reward === null) continue;
    if (typeof reward !== "number" || !Number.isFinite(reward)) {
      throw new Error(
        `The verifier returned ${shownWithType(reward)}${name && ` for ${name}`} on ` +
          `${describe(task, sample)}: rewards must be finite numbers, or null for what could ` +
          "not be judged",
      );
    }
  }
  return judgement;
}

function describe(task: Task, { problem, completionIds, where }: Judged): string {
  const text = (ids: readonly number[]) => JSON.stringify(task.describe(ids));
  return `${where} of task ${task.name} (prompt ${text(problem.promptIds)}, completion ` +
    `${text(completionIds)})`;
}
