/**
 * Prompts drawn at random, with splits that are disjoint.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Random } from "../random/random.ts";
import type { PromptRow } from "./dataset.ts";
import type { PromptFunction } from "./prompt_source.ts";
import { drawFrom, streamOf } from "./split.ts";

/** Options of {@linkcode randomPrompts}. */
export interface RandomPromptsOptions<Row extends PromptRow = PromptRow> {
  /**
   * What identifies a problem: equal for rows that are the same in disguise, such as 2 + 3 and 3 + 2. Default: the
   * prompt.
   */
  readonly keyOf?: (row: Row) => string | readonly number[];
}

const NAMES = namesOf<RandomPromptsOptions>({ keyOf: true });

/**
 * Prompts for {@linkcode defineTask} from a function that draws one: a new one for each index, and one problem in eight,
 * chosen by a hash of the problem, for evaluation alone, whatever the seed.
 *
 * @typeParam Row What the verifier may look at besides the completion.
 * @param draw One row at random; it must depend on the random numbers alone.
 * @param options What identifies a problem.
 * @throws {Error} When a prompt is asked for, if there are hardly any different problems, so that a split is empty.
 *
 * @example
 * ```ts
 * import { defineTask, randomPrompts, symbolTokenizer } from "@deltal/deltal";
 * import { assertEquals } from "@std/assert";
 *
 * const prompts = randomPrompts((random) => {
 *   const [a, b] = [random.integer(50), random.integer(50)];
 *   return { prompt: `${a}+${b}=`, a, b };
 * }, { keyOf: ({ a, b }) => [Math.min(a, b), Math.max(a, b)] });
 * const task = defineTask({
 *   name: "sums",
 *   tokenizer: symbolTokenizer("0123456789+="),
 *   prompts,
 *   maxPromptLength: 6,
 *   verify: ({ completion, row }) => completion === String(row.a + row.b),
 *   maxCompletionLength: 4,
 * });
 * assertEquals(task.heldOut, true);
 * ```
 */
export function randomPrompts<Row extends PromptRow>(
  draw: (random: Random) => Row,
  options: RandomPromptsOptions<Row> = {},
): PromptFunction<Row> {
  checkNames("randomPrompts", options, NAMES);
  const { keyOf = ({ prompt }) => JSON.stringify(prompt) } = options;
  return Object.assign(
    (...[split, seed, index]: Parameters<PromptFunction<Row>>) =>
      drawFrom(split, streamOf(split, seed, index), draw, keyOf),
    { heldOut: true },
  );
}
