/**
 * Prompts of a task as parquet, in the columns that verl or TRL reads.
 *
 * @module
 */

import { type ColumnSource, parquetWriteBuffer, type SchemaElement } from "hyparquet-writer";
import type { Prompt, PromptRow } from "../task/dataset.ts";
import type { Split, Task } from "../task/task.ts";
import type { ChatMessage } from "../task/tokenizer.ts";
import type { Engine } from "./engine_weights.ts";

/** Prompts of one split. */
export interface TakenPrompts {
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
 * @param inSymbols Whether prompts become texts of the task's symbols, and their problem the other columns.
 */
export function takePrompts(
  task: Task,
  split: Split,
  most: number,
  seed: number,
  inSymbols: boolean,
): TakenPrompts {
  const count = Math.min(most, task.promptCounts?.[split] ?? most);
  const rows = Array.from({ length: count }, (_, i) => {
    const { promptIds, metadata } = task.problem(split, seed, i);
    const row = metadata as PromptRow;
    return inSymbols ? { ...row, prompt: task.describe(promptIds) } : row;
  });
  return { rows, split };
}

/**
 * Whether all prompts are texts (`false`: all are conversations).
 *
 * @throws {TypeError} If there are both, or prompts of token ids.
 */
export function arePlainTexts(prompts: readonly TakenPrompts[]): boolean {
  const kinds = new Set(prompts.flatMap(({ rows }) => rows.map(({ prompt }) => kindOf(prompt))));
  if (kinds.size > 1 || kinds.has("token ids")) {
    throw new TypeError(
      `prompts have to be all texts or all conversations: these are ${[...kinds].join(" and ")}`,
    );
  }
  return kinds.has("texts");
}

function kindOf(prompt: Prompt): "texts" | "conversations" | "token ids" {
  if (typeof prompt === "string") return "texts";
  return typeof prompt[0] === "number" ? "token ids" : "conversations";
}

/** One column: its place in the schema, and what stands in it. */
interface Column {
  readonly schema: readonly SchemaElement[];
  readonly data: unknown[];
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
const texts = (name: string, data: string[]): Column => ({ schema: [text(name)], data });

function conversations(prompts: readonly Prompt[]): Column {
  const messages = (prompt: Prompt) =>
    typeof prompt === "string"
      ? [{ role: "user", content: prompt }]
      : (prompt as readonly ChatMessage[]).map(({ role, content }) => ({ role, content }));
  return {
    schema: [
      { name: "prompt", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      ...struct("element", text("role"), text("content")),
    ],
    data: prompts.map(messages),
  };
}

/**
 * The bytes of a parquet file. For verl `data_source`, `prompt` as messages, `ability`, `reward_model` and `extra_info`; for
 * TRL `prompt` as text or messages, and `ground_truth`. The row's other columns are JSON in `ground_truth`.
 *
 * @param task Name of the task, which becomes the data source.
 */
export function encodePrompts(
  engine: Engine,
  task: string,
  { rows, split }: TakenPrompts,
): Uint8Array<ArrayBuffer> {
  const prompts = rows.map(({ prompt }) => prompt);
  const truths = rows.map(({ prompt: _, ...columns }) => JSON.stringify(columns));
  const columns: Column[] = engine === "trl"
    ? [
      prompts.every((prompt) => typeof prompt === "string")
        ? texts("prompt", prompts)
        : conversations(prompts),
      texts("ground_truth", truths),
    ]
    : [
      texts("data_source", rows.map(() => task)),
      conversations(prompts),
      texts("ability", rows.map(() => "reasoning")),
      {
        schema: struct("reward_model", text("style"), text("ground_truth")),
        data: truths.map((ground_truth) => ({ style: "rule", ground_truth })),
      },
      {
        schema: struct("extra_info", text("split"), {
          name: "index",
          type: "INT64",
          repetition_type: "REQUIRED",
        }),
        data: rows.map((_, i) => ({ split, index: BigInt(i) })),
      },
    ];
  const buffer = parquetWriteBuffer({
    schema: [
      { name: "root", num_children: columns.length },
      ...columns.flatMap(({ schema }) => schema),
    ],
    columnData: columns.map(({ schema, data }): ColumnSource => ({ name: schema[0]!.name, data })),
  });
  return new Uint8Array(buffer);
}
