/**
 * Rollouts: prompts of a task, completions of the policy, rewards of the verifier.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { deferred } from "../host/deferred.ts";
import type { Generated, Generator } from "../model/generate.ts";
import type { GenerationRequest } from "../model/generate_request.ts";
import type { PromptGroup } from "../model/packing.ts";
import type { IndexRange } from "../objective/groups.ts";
import { judge } from "../task/judge.ts";
import { drawProblem } from "../task/problems.ts";
import { isSolved } from "../task/solved.ts";
import { eosTokenIdsOf, type Problem, type Split, type Task } from "../task/task.ts";

/** Problems, and numGenerations completions of each with their rewards; completion b answers problem floor(b / G). */
export interface Rollout<M = unknown> extends Generated {
  /** The problems asked. */
  readonly problems: readonly Problem<M>[];
  /** G. */
  readonly numGenerations: number;
  /** One per completion; `null` where the verifier could not judge it. */
  readonly rewards: readonly (number | null)[];
  /** Whether each completion is right; one that could not be judged is not. */
  readonly solved: readonly boolean[];
  /** What each function said of each completion, for tasks with several; `null` where one does not apply. */
  readonly rewardsByFunction: Readonly<Record<string, readonly (number | null)[]>>;
  /** Seconds spent generating, and verifying. */
  readonly seconds: { readonly generation: number; readonly reward: number };
}

/** What to ask, and how to sample. */
export interface RolloutRequest
  extends Omit<GenerationRequest, "prompts" | "firstSampleId" | "eosTokenIds"> {
  /** Which problems to draw from. */
  readonly split: Split;
  /** Index of the first problem. */
  readonly firstProblem: number;
  /** Number of problems. */
  readonly count: number;
}

const NAMES = namesOf<RolloutRequest>({
  split: true,
  firstProblem: true,
  count: true,
  numGenerations: true,
  maxCompletionLength: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  seed: true,
  step: true,
  signal: true,
  onTokens: true,
});

/**
 * Samples completions for consecutive problems of a task and verifies them.
 *
 * @param generator Where to generate; its capacity must suffice.
 * @param request What to ask, and how to sample; its seed is that of the problems too.
 * @throws {Error} If a problem cannot be asked, or the verifier throws or returns something that is not a finite number; the message names the
 * problem.
 */
export async function rollOut(
  generator: Generator,
  task: Task,
  request: RolloutRequest,
): Promise<Rollout> {
  checkNames("rollOut", request, NAMES);
  const { split, firstProblem, count, ...sampling } = request;
  const { seed, numGenerations } = sampling;
  const problems = Array.from(
    { length: count },
    (_, p) => drawProblem(task, split, seed, firstProblem + p),
  );
  const start = performance.now();
  const generation = await generator.run({
    ...sampling,
    prompts: problems.map(({ promptIds }) => promptIds),
    firstSampleId: firstProblem * numGenerations % 2 ** 32,
    eosTokenIds: eosTokenIdsOf(task),
  });
  const generated = performance.now();
  const samples = generation.completions.map((completionIds, b) => {
    const p = Math.floor(b / numGenerations);
    return { problem: problems[p]!, completionIds, where: `${split} problem ${firstProblem + p}` };
  });
  const judgements = await unlessAborted(
    judge(task, samples, { signal: request.signal }),
    request.signal,
  );
  const end = performance.now();
  const names = new Set(judgements.flatMap(({ rewards }) => Object.keys(rewards)));
  return {
    ...generation,
    problems,
    numGenerations,
    rewards: judgements.map(({ reward }) => reward),
    solved: judgements.map(({ reward }) => isSolved(task, reward)),
    rewardsByFunction: Object.fromEntries(
      [...names].map((name) => [name, judgements.map(({ rewards }) => rewards[name] ?? null)]),
    ),
    seconds: { generation: (generated - start) / 1000, reward: (end - generated) / 1000 },
  };
}

/**
 * The prompts of a rollout, each with its completions, as a policy runs over them.
 *
 * @param rollout Prompts and completions.
 * @param range Which completions. Default: all.
 * @param counts Which of them to include; prompts without any are left out. Default: all.
 */
export function promptGroups(
  rollout: Rollout,
  { start, end }: IndexRange = { start: 0, end: rollout.completions.length },
  counts: (b: number) => boolean = () => true,
): PromptGroup[] {
  const { numGenerations, problems, completions } = rollout;
  const groups: PromptGroup[] = [];
  for (let first = start; first < end; first += numGenerations) {
    const responses = [];
    for (let b = first; b < Math.min(first + numGenerations, end); b++) {
      if (counts(b)) responses.push({ sequence: b, tokens: completions[b]! });
    }
    if (responses.length === 0) continue;
    groups.push({ prompt: problems[Math.floor(first / numGenerations)]!.promptIds, responses });
  }
  return groups;
}

/** What a promise gives, unless the signal is aborted before. */
async function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = deferred<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
