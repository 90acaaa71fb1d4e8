/**
 * Asking a task for problems and demonstrations, and checking what it gives: token ids go to the GPU, which would not
 * complain of wrong ones.
 *
 * @module
 */

import type { Demonstration, Problem, Split, Task } from "./task.ts";

/**
 * A problem of a task.
 *
 * @param seed Their seed.
 * @param index Number of the problem.
 * @throws {Error} Naming the problem, if the task fails to give one or its prompt cannot be used.
 */
export function drawProblem<M>(
  task: Task<M>,
  split: Split,
  seed: number,
  index: number,
): Problem<M> {
  const what = `${split} problem ${index} of task ${task.name}`;
  const problem = attempt(what, () => task.problem(split, seed, index));
  checkIds(task, problem?.promptIds, "maxPromptLength", `The prompt of ${what}`);
  return problem;
}

/**
 * A demonstration of a task that has some.
 *
 * @param seed Their seed.
 * @param index Number of the demonstration.
 * @throws {Error} Naming the demonstration, if the task fails to give one or its ids cannot be used.
 */
export function drawDemonstration(task: Task, seed: number, index: number): Demonstration {
  const what = `demonstration ${index} of task ${task.name}`;
  const drawn = attempt(what, () => task.demonstration!(seed, index));
  checkIds(task, drawn?.promptIds, "maxPromptLength", `The prompt of ${what}`);
  checkIds(task, drawn?.completionIds, "maxCompletionLength", `The completion of ${what}`);
  return drawn;
}

function attempt<T>(what: string, draw: () => T): T {
  try {
    return draw();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`There is no ${what}: ${message}`, { cause: error });
  }
}

function checkIds(
  task: Task,
  ids: readonly number[] | undefined,
  limitName: "maxPromptLength" | "maxCompletionLength",
  what: string,
): void {
  const limit = task[limitName];
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids)) {
    throw new TypeError(`${what} is ${ids}: a list of token ids is needed`);
  }
  const { length } = ids as readonly number[];
  if (length === 0 || length > limit) {
    throw new RangeError(`${what} has ${length} token ids: ${limitName} allows 1 to ${limit}`);
  }
  const size = task.vocabulary.length;
  for (let i = 0; i < length; i++) {
    const id: unknown = (ids as readonly number[])[i];
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= size) {
      throw new RangeError(
        `${what} has ${id} at place ${i}: token ids are whole numbers from 0 to ${size - 1}`,
      );
    }
  }
}
