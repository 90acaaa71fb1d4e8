/**
 * Prompts: lists of them, in an order that depends on the seed, and files they come from.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { errors, fs } from "../host/host.ts";
import { Random } from "../random/random.ts";
import type { Split } from "./task.ts";
import type { ChatMessage } from "./tokenizer.ts";

/** A prompt: text, token ids, or a conversation for the tokenizer's chat template. */
export type Prompt = string | readonly number[] | readonly ChatMessage[];

/** One row of a dataset: a prompt, and columns for the verifier. */
export interface PromptRow {
  /** What to ask. */
  readonly prompt: Prompt;
}

/** A row of a JSON Lines file. */
export interface JsonlRow extends PromptRow {
  /** Any other column. */
  readonly [column: string]: unknown;
}

/** Stream number of the order of a dataset among the uses of a seed. */
const ORDER = 5;

/** One in so many prompts is kept for evaluation. */
const EVAL_SHARE = 8;

/** Rows of both splits, by index. */
export class Dataset<Row extends PromptRow> {
  /** Rows to train on. */
  readonly train: readonly Row[];
  /** Different rows to evaluate on. */
  readonly eval: readonly Row[];
  /** Whether no prompt of the one is a prompt of the other. */
  readonly heldOut: boolean;
  #order: { readonly key: string; readonly rows: readonly Row[] } | undefined;

  /**
   * @param rows Rows to train on; unless `evalRows` are given, an eighth of the different prompts, chosen by a hash of
   * the prompt, is kept for evaluation. A single prompt serves both.
   * @param evalRows Rows to evaluate on.
   * @throws {RangeError} If there are none.
   */
  constructor(rows: readonly Row[], evalRows?: readonly Row[]) {
    if (rows.length === 0 || evalRows?.length === 0) {
      throw new RangeError("A dataset must have at least one prompt in each split: got none");
    }
    const keys = rows.map(({ prompt }) => JSON.stringify(prompt));
    if (evalRows) {
      const trained = new Set(keys);
      this.train = rows;
      this.eval = different(evalRows);
      this.heldOut = !evalRows.some(({ prompt }) => trained.has(JSON.stringify(prompt)));
      return;
    }
    const unique = [...new Set(keys)].map((key) => ({ key, hash: hash(key) }));
    if (unique.length === 1) {
      this.train = rows;
      this.eval = different(rows);
      this.heldOut = false;
      return;
    }
    this.heldOut = true;
    unique.sort((a, b) => a.hash - b.hash || (a.key < b.key ? -1 : 1));
    const held = new Set(
      unique.slice(0, Math.ceil(unique.length / EVAL_SHARE)).map(({ key }) => key),
    );
    this.train = rows.filter((_, i) => !held.has(keys[i]!));
    this.eval = different(rows.filter((_, i) => held.has(keys[i]!)));
  }

  /**
   * Row number `index` of a split. Training goes through all rows in an order drawn from the seed, then again in another
   * one; evaluation takes them as they stand, and those who ask for more than there are get them again.
   */
  row(split: Split, seed: number, index: number): Row {
    if (split === "eval") return this.eval[index % this.eval.length]!;
    const epoch = Math.floor(index / this.train.length);
    const key = `${seed}/${epoch}`;
    if (this.#order?.key !== key) {
      this.#order = { key, rows: new Random(seed, ORDER, epoch).shuffle([...this.train]) };
    }
    return this.#order.rows[index % this.train.length]!;
  }
}

/** Rows without those that say the same as one before, which would count twice in an evaluation. */
function different<Row>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}

/** FNV-1a over UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}

/**
 * Reads a JSON Lines file of prompts: `{"prompt": "2+2=", "answer": 4}` on each line, with any further columns. A prompt
 * may also be a list of messages, `[{"role": "user", "content": "…"}]`, or of token ids.
 *
 * @typeParam Row What the rows look like; only the prompt is checked.
 * @param path The file; needs read permission.
 * @param options `promptColumn` names the column that holds the prompt. Default `"prompt"`.
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {SyntaxError | TypeError | RangeError} Naming the line that is no JSON object or has no prompt, or if no line
 * has one.
 */
export async function jsonlDataset<Row extends PromptRow = JsonlRow>(
  path: string | URL,
  options: { readonly promptColumn?: string } = {},
): Promise<Row[]> {
  checkNames("jsonlDataset", options, ["promptColumn"]);
  const { promptColumn = "prompt" } = options;
  return (await readJsonLines(path)).map(({ where, row }) => {
    const prompt = row[promptColumn];
    if (!isPrompt(prompt)) {
      throw new TypeError(
        `${where}: ${promptColumn} must be a text, a list of messages or a list of token ids, and not empty: got ` +
          `${JSON.stringify(prompt)}`,
      );
    }
    return { ...row, prompt } as unknown as Row;
  });
}

/** A line of a JSON Lines file. */
export interface JsonLine {
  /** File and line, for messages. */
  readonly where: string;
  /** The object it holds. */
  readonly row: Readonly<Record<string, unknown>>;
}

/**
 * Reads a JSON Lines file: an object on each line; blank lines are passed over.
 *
 * @throws {Deno.errors.NotFound | Deno.errors.IsADirectory} If there is no such file.
 * @throws {SyntaxError | TypeError | RangeError} Naming the line that holds no JSON object, or if none does.
 */
export async function readJsonLines(path: string | URL): Promise<JsonLine[]> {
  const text = await readText(path);
  const lines: JsonLine[] = [];
  for (const [i, line] of text.replace(/^\ufeff/, "").split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `${path}:${i + 1}`;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (error) {
      throw new SyntaxError(`${where} is no JSON: ${(error as Error).message}`);
    }
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      throw new TypeError(`${where} must hold a JSON object: got ${line}`);
    }
    lines.push({ where, row: row as Record<string, unknown> });
  }
  if (lines.length === 0) throw new RangeError(`${path} has no rows: one JSON object on each line`);
  return lines;
}

async function readText(path: string | URL): Promise<string> {
  try {
    return await fs.readTextFile(path);
  } catch (error) {
    // The system's own messages begin with a number of an error.
    if (error instanceof errors.NotFound) {
      throw new errors.NotFound(`${path} does not exist: give a file of JSON lines`);
    }
    if (error instanceof errors.IsADirectory) {
      throw new errors.IsADirectory(`${path} is a folder: give a file of JSON lines`);
    }
    throw error;
  }
}

/** Whether a value can be a prompt. */
export function isPrompt(value: unknown): value is Prompt {
  if (typeof value === "string") return value !== "";
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((id) => Number.isInteger(id)) || value.every(isMessage);
}

/** Whether a value is a message of a conversation. */
export function isMessage(value: unknown): value is ChatMessage {
  const { role, content } = (value ?? {}) as Partial<ChatMessage>;
  return typeof role === "string" && typeof content === "string";
}
