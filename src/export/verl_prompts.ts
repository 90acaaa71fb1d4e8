/**
 * Prompts of a task as parquet, in the columns verl reads.
 *
 * @module
 */

import { parquetWriteBuffer, type SchemaElement } from "hyparquet-writer";
import type { Prompt, PromptRow } from "../task/dataset.ts";
import type { DefinedTask } from "../task/define_task.ts";
import type { Split } from "../task/task.ts";
import type { ChatMessage } from "../task/tokenizer.ts";

/** Prompts of one split. */
export interface VerlPrompts {
  /** Rows with the prompt and all columns. */
  readonly rows: readonly PromptRow[];
  /** Which split they are of. */
  readonly split: Split;
}

/**
 * Takes prompts from a task, each once where they are a list.
 *
 * @param most The most rows to take.
 * @param seed Seed of the run.
 */
export function takePrompts(
  task: DefinedTask,
  split: Split,
  most: number,
  seed: number,
): VerlPrompts {
  const count = Math.min(most, task.promptCounts?.[split] ?? most);
  const rows = Array.from({ length: count }, (_, i) => task.problem(split, seed, i).metadata);
  return { rows, split };
}

/**
 * Whether all prompts are texts (`false`: all are conversations).
 *
 * @throws {TypeError} If there are both, or prompts of token ids.
 */
export function arePlainTexts(prompts: readonly VerlPrompts[]): boolean {
  const kinds = new Set(prompts.flatMap(({ rows }) => rows.map(({ prompt }) => kindOf(prompt))));
  if (kinds.size > 1 || kinds.has("token ids")) {
    throw new TypeError(
      "verl takes prompts that are all texts or all conversations: these are " +
        `${[...kinds].join(" and ")}`,
    );
  }
  return kinds.has("texts");
}

function kindOf(prompt: Prompt): "texts" | "conversations" | "token ids" {
  if (typeof prompt === "string") return "texts";
  return typeof prompt[0] === "number" ? "token ids" : "conversations";
}

const text = (name: string): SchemaElement => ({
  name,
  type: "BYTE_ARRAY",
  converted_type: "UTF8",
  repetition_type: "REQUIRED",
});
const struct = (name: string, ...fields: SchemaElement[]): SchemaElement[] => [
  { name, repetition_type: "REQUIRED", num_children: fields.length },
  ...fields,
];

const SCHEMA: SchemaElement[] = [
  { name: "root", num_children: 5 },
  text("data_source"),
  { name: "prompt", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  ...struct("element", text("role"), text("content")),
  text("ability"),
  ...struct("reward_model", text("style"), text("ground_truth")),
  ...struct("extra_info", text("split"), {
    name: "index",
    type: "INT64",
    repetition_type: "REQUIRED",
  }),
];

/**
 * The bytes of a parquet file: `data_source`, `prompt` as messages, `ability`, `reward_model` with the row's other columns
 * as JSON in `ground_truth`, and `extra_info`.
 *
 * @param task Name of the task, which becomes the data source.
 */
export function encodePrompts(task: string, { rows, split }: VerlPrompts): Uint8Array<ArrayBuffer> {
  const messages = ({ prompt }: PromptRow) =>
    typeof prompt === "string"
      ? [{ role: "user", content: prompt }]
      : (prompt as readonly ChatMessage[]).map(({ role, content }) => ({ role, content }));
  const buffer = parquetWriteBuffer({
    schema: SCHEMA,
    columnData: [
      { name: "data_source", data: rows.map(() => task) },
      { name: "prompt", data: rows.map(messages) },
      { name: "ability", data: rows.map(() => "reasoning") },
      {
        name: "reward_model",
        data: rows.map(({ prompt: _, ...columns }) => ({
          style: "rule",
          ground_truth: JSON.stringify(columns),
        })),
      },
      { name: "extra_info", data: rows.map((_, i) => ({ split, index: BigInt(i) })) },
    ],
  });
  return new Uint8Array(buffer);
}
