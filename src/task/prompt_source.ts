/**
 * Prompts of a task as token ids: encoded, checked and split.
 *
 * @module
 */

import { Dataset, isMessage, isPrompt, type Prompt, type PromptRow } from "./dataset.ts";
import type { Split } from "./task.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Prompts computed on demand: the same arguments must give the same row, and the splits should be disjoint.
 * {@linkcode randomPrompts} makes one that is both.
 */
export interface PromptFunction<Row extends PromptRow = PromptRow> {
  (split: Split, seed: number, index: number): Row | string;
  /** Whether its splits are known to be disjoint. */
  readonly heldOut?: boolean;
}

/** Where the prompts of a task come from. */
export interface PromptDefinition<Row extends PromptRow = PromptRow> {
  /** Names the task in metrics and folders: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** Turns text into token ids and back. */
  readonly tokenizer: Tokenizer;
  /** Prompts, or rows with a prompt and further columns, or a function that computes them. */
  readonly prompts: readonly (Row | string)[] | PromptFunction<Row>;
  /** Rows to evaluate on, where `prompts` is a list. Default: an eighth of the different prompts, then not trained on. */
  readonly evalPrompts?: readonly (Row | string)[];
  /** The most ids of a prompt. Default: the longest of a list; a function needs it. */
  readonly maxPromptLength?: number;
  /** Leave longer prompts of a list out instead of refusing the list. Default `false`. */
  readonly filterOverlongPrompts?: boolean;
}

/** Rows with their prompts as ids. */
export interface PromptSource<Row> {
  /** The most ids of a prompt. */
  readonly maxPromptLength: number;
  /** Different rows of each split, where they are a list. */
  readonly counts?: Readonly<Record<Split, number>>;
  /** Prompts of a list that were left out because they are too long. */
  readonly overlong?: number;
  /** Whether no prompt of the eval split is one of the train split, where that is known. */
  readonly heldOut?: boolean;
  /** Row `index` of a split, and its prompt as ids. */
  at(split: Split, seed: number, index: number): { row: Row; promptIds: number[] };
}

/**
 * Encodes and checks the prompts of a task.
 *
 * @throws {RangeError | TypeError} Naming the row that is empty, too long or not to be encoded.
 */
export function promptSource<Row extends PromptRow>(
  definition: PromptDefinition<Row>,
): PromptSource<Row> {
  const { prompts, evalPrompts, tokenizer, filterOverlongPrompts = false } = definition;
  const given = definition.maxPromptLength;
  if (given !== undefined) checkLimit("maxPromptLength", given);
  const asRow = (row: Row | string) => typeof row === "string" ? { prompt: row } as Row : row;

  if (typeof prompts === "function") {
    if (given === undefined || evalPrompts !== undefined) {
      throw new RangeError(
        "With a function for prompts give maxPromptLength, and no evalPrompts: it is called with the split",
      );
    }
    return {
      maxPromptLength: given,
      ...(prompts.heldOut === undefined ? {} : { heldOut: prompts.heldOut }),
      at(split, seed, index) {
        const row = asRow(prompts(split, seed, index));
        const where = `Prompt ${index} of the ${split} split`;
        const promptIds = idsOf(tokenizer, row, where);
        if (promptIds.length > given) throw tooLong(where, promptIds.length, given);
        return { row, promptIds };
      },
    };
  }

  let overlong = 0;
  const idsByRow = new Map<Row, number[]>();
  const kept = (rows: readonly (Row | string)[], what: string): Row[] =>
    rows.map(asRow).filter((row, i) => {
      const where = `${what}[${i}]`;
      const ids = idsOf(tokenizer, row, where);
      const fits = given === undefined || ids.length <= given;
      if (!fits && !filterOverlongPrompts) throw tooLong(where, ids.length, given);
      if (fits) idsByRow.set(row, ids);
      else overlong++;
      return fits;
    });
  const train = kept(prompts, "prompts");
  const held = evalPrompts && kept(evalPrompts, "evalPrompts");
  if (train.length === 0 || held?.length === 0) {
    throw new RangeError(
      `Task ${definition.name} has no prompts${
        given === undefined ? "" : ` of at most maxPromptLength = ${given} tokens`
      }: give at least one${held ? " in each split" : ""}`,
    );
  }
  const dataset = new Dataset(train, held);
  return {
    heldOut: dataset.heldOut,
    overlong,
    counts: { train: dataset.train.length, eval: dataset.eval.length },
    maxPromptLength: given ??
      [...idsByRow.values()].reduce((longest, { length }) => Math.max(longest, length), 0),
    at(split, seed, index) {
      const row = dataset.row(split, seed, index);
      return { row, promptIds: [...idsByRow.get(row)!] };
    },
  };
}

function tooLong(where: string, length: number, limit: number): RangeError {
  return new RangeError(
    `${where} has ${length} tokens, more than maxPromptLength = ${limit}: raise it, or leave such ` +
      "prompts out with filterOverlongPrompts",
  );
}

function idsOf(tokenizer: Tokenizer, row: PromptRow, where: string): number[] {
  if (!isPrompt(row?.prompt)) {
    throw new TypeError(
      `${where} must have a prompt, a text, a list of messages or a list of token ids, and not empty: got ` +
        `${JSON.stringify(row?.prompt)}`,
    );
  }
  let ids: number[];
  try {
    ids = encodePrompt(tokenizer, row.prompt);
  } catch (error) {
    throw new RangeError(`${where} cannot be encoded: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (ids.length === 0) throw new RangeError(`${where} has no tokens`);
  checkIds(tokenizer, ids, where);
  return ids;
}

/** The ids of a prompt. */
export function encodePrompt(tokenizer: Tokenizer, prompt: Prompt): number[] {
  if (typeof prompt === "string") return tokenizer.encode(prompt, { specialTokens: true });
  if (typeof prompt[0] === "number") return [...prompt as readonly number[]];
  if (tokenizer.encodeChat === undefined) {
    throw new TypeError("the prompt is a conversation and the tokenizer has no chat template");
  }
  return tokenizer.encodeChat(prompt.filter(isMessage));
}

/**
 * Checks token ids.
 *
 * @throws {RangeError} If one is not in the vocabulary.
 */
export function checkIds({ vocabulary }: Tokenizer, ids: readonly number[], what: string): void {
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary.length);
  if (bad === undefined) return;
  throw new RangeError(
    `${what} has the id ${bad}: the tokenizer's are integers from 0 to ${vocabulary.length - 1}`,
  );
}

/**
 * Checks a length.
 *
 * @throws {RangeError} If it is no integer of at least 1.
 */
export function checkLimit(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} must be an integer >= 1: current value is ${value}`);
  }
}
