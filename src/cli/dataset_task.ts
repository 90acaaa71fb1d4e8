/**
 * A task of a file of prompts and answers, for a model's tokenizer or for a policy from nothing.
 *
 * @module
 */

import { basename, extname } from "node:path";
import { fileExists } from "../files/json_file.ts";
import { type JsonLine, readJsonLines } from "../task/dataset.ts";
import type { Task } from "../task/task.ts";
import type { Tokenizer } from "../task/tokenizer.ts";
import { ANSWER_REWARDS } from "../tasks/answer_rewards.ts";
import { answerTask } from "../tasks/answer_task.ts";
import { kebab, UsageError } from "./args.ts";
import type { DatasetSettings } from "./dataset_flags.ts";

/** The name of the task of a file: what it is called, in the letters a task may have. */
export function nameOfFile(path: string): string {
  const name = basename(path, extname(path)).replaceAll(/[^\w.-]+/g, "-");
  return /^[\w-]/.test(name) ? name : `data-${name.replace(/^\.+/, "")}`;
}

/**
 * Makes the task.
 *
 * @param data The file.
 * @param settings How it is read and judged.
 * @param tokenizer Reads the model's tokenizer, with its chat template where that is asked for; gives nothing where
 * there is no model.
 * @throws {UsageError} If it is not said how completions are judged.
 * @throws {TypeError | RangeError} Naming the row that cannot be used.
 */
export async function datasetTask(
  data: string,
  settings: DatasetSettings,
  tokenizer: (chatTemplate: boolean) => Promise<Tokenizer | undefined>,
): Promise<Task> {
  const { reward: rewards, chatTemplateKwargs: _, name = nameOfFile(data), ...how } = settings;
  if (rewards === undefined) {
    throw new UsageError(
      `--data needs --reward, which says how completions are judged: ${
        Object.keys(ANSWER_REWARDS).map(kebab).join(", ")
      }; or --task countdown-text, whose problems it then holds`,
    );
  }
  const lines = await linesOf(data);
  const chats = how.chatTemplate === true || lines.some((line) => isConversation(line, settings));
  const found = await tokenizer(chats);
  if (chats && found === undefined) {
    throw new UsageError(
      `the prompts of ${data} are conversations: give the folder of a model with a chat template, ` +
        "for training with --policy",
    );
  }
  return answerTask(lines.map(({ row }) => row), {
    name,
    rewards,
    tokenizer: found,
    where: (index) => lines[index]!.where,
    ...how,
  });
}

/** The rows of a file of JSON lines, or of parquet. */
async function linesOf(data: string): Promise<JsonLine[]> {
  if (!data.endsWith(".parquet") || !await fileExists(data)) return await readJsonLines(data);
  // Not a literal, so that the package is fetched when such a file is read and not before.
  const module = new URL("../files/parquet_rows.ts", import.meta.url).href;
  const { parquetRows } = await import(module) as typeof import("../files/parquet_rows.ts");
  const rows = await parquetRows(data);
  if (rows.length === 0) throw new RangeError(`${data} has no rows`);
  return rows.map((row, i) => ({ where: `${data}, row ${i}`, row }));
}

function isConversation({ row }: JsonLine, { promptColumn = "prompt" }: DatasetSettings): boolean {
  const prompt = row[promptColumn];
  return Array.isArray(prompt) && typeof prompt[0] === "object";
}
