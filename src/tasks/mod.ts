/**
 * The tasks that come with the library, and how to find one by name.
 *
 * @module
 */

import type { SymbolicTask } from "../task/task.ts";
import { chainSum } from "./chain_sum.ts";
import { countdown } from "./countdown.ts";
import { maze, mazeSmall } from "./maze.ts";
import { parity } from "./parity.ts";

export { chainSum, type ChainSumOptions, type ChainSumProblem } from "./chain_sum.ts";
export { countdown, type CountdownOptions, type CountdownProblem } from "./countdown.ts";
export { maze, type MazeOptions, type MazeProblem, mazeSmall } from "./maze.ts";
export { parity, type ParityOptions, type ParityProblem } from "./parity.ts";
export type { SymbolicTask, Task } from "../task/task.ts";

const FACTORIES: ReadonlyMap<string, () => SymbolicTask> = new Map<string, () => SymbolicTask>([
  ["parity", parity],
  ["chain-sum", chainSum],
  ["countdown", countdown],
  ["maze-small", mazeSmall],
  ["maze", maze],
]);

/** The names `taskByName` knows, easiest task first. */
export const taskNames: readonly string[] = Object.freeze([...FACTORIES.keys()]);

/**
 * The task of that name with its default options.
 *
 * @throws {RangeError} if there is no such task
 */
export function taskByName(name: string): SymbolicTask {
  const factory = FACTORIES.get(name);
  if (factory === undefined) {
    throw new RangeError(`task must be one of ${taskNames.join(", ")}, got "${name}"`);
  }
  return factory();
}
