/**
 * Prompts typed by people, as token ids.
 *
 * @module
 */

import type { DefinedTask } from "../task/define_task.ts";
import type { Task } from "../task/task.ts";
import { UsageError } from "./args.ts";

/**
 * The ids of a text in a task's symbols; white space between symbols is optional.
 *
 * Of several symbols that fit, the longest is taken.
 *
 * @throws {UsageError} Naming what is no symbol, and the symbols there are.
 */
export function encodePrompt(task: Task, text: string): number[] {
  const { tokenizer } = task as Partial<DefinedTask>;
  if (tokenizer !== undefined) return tokenizer.encode(text, { specialTokens: true });
  const symbols = [...task.vocabulary.entries()].sort(([, a], [, b]) => b.length - a.length);
  const ids: number[] = [];
  for (let rest = text.trim(); rest !== "";) {
    const found = symbols.find(([, symbol]) => rest.startsWith(symbol));
    if (found === undefined) {
      throw new UsageError(
        `${JSON.stringify(rest)} begins with no symbol of ${task.name}: they are ` +
          task.vocabulary.join(" "),
      );
    }
    const [id, symbol] = found;
    ids.push(id);
    rest = rest.slice(symbol.length).trimStart();
  }
  return ids;
}
