/**
 * Prompts with known answers as a task, without code of one's own.
 *
 * @module
 */

import { isPrompt, type PromptRow } from "../task/dataset.ts";
import { type DefinedTask, defineTask } from "../task/define_task.ts";
import { checkNames, namesOf, shownValue } from "../input/names.ts";
import type { RewardFunction } from "../task/reward_functions.ts";
import { symbolTokenizer, type Tokenizer } from "../task/tokenizer.ts";
import { ANSWER_REWARDS, type AnswerRewardName } from "./answer_rewards.ts";

/** A row: a prompt and what is known of its answer. */
export interface AnswerRow extends PromptRow {
  /** The answer. */
  readonly answer: string;
  /** A completion to imitate in the warm start. */
  readonly demonstration?: string;
}

/** How to read rows, and how to judge answers to them. */
export interface AnswerTaskOptions {
  /** Names the task in metrics and folders. */
  readonly name: string;
  /** The model's tokenizer. Default: one whose symbols are the characters of the rows, for a policy from nothing. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Rewards by name, with weights; several are added up. */
  readonly rewards: Readonly<Partial<Record<AnswerRewardName, number>>>;
  /** The column of the prompts: texts, lists of messages, or lists of token ids. Default `"prompt"`. */
  readonly promptColumn?: string | undefined;
  /** The column of the answers: texts or numbers. Default `"answer"`. */
  readonly answerColumn?: string | undefined;
  /** The column of completions to imitate. Default `"demonstration"`; where no row has it, there is no warm start. */
  readonly demonstrationColumn?: string | undefined;
  /** Ask texts as a user's message through the tokenizer's chat template. Default `false`. */
  readonly chatTemplate?: boolean | undefined;
  /** The most ids of a prompt; longer ones are left out and counted. Default: the longest there is. */
  readonly maxPromptLength?: number | undefined;
  /** Where a row comes from, for messages. Default: its place in the list. */
  readonly where?: ((index: number) => string) | undefined;
  /** The most ids of a completion, end of sequence included. Default 256. */
  readonly maxCompletionLength?: number | undefined;
}

const NAMES = namesOf<AnswerTaskOptions>({
  name: true,
  tokenizer: true,
  rewards: true,
  promptColumn: true,
  answerColumn: true,
  demonstrationColumn: true,
  chatTemplate: true,
  maxPromptLength: true,
  where: true,
  maxCompletionLength: true,
});

/**
 * Makes a task of rows with answers.
 *
 * @param given The rows, for instance of a JSON Lines file.
 * @param options How to read and to judge them.
 * @throws {TypeError | RangeError} Naming the row that has no prompt, no answer, or one that its reward cannot judge.
 */
export function answerTask(
  given: readonly Readonly<Record<string, unknown>>[],
  options: AnswerTaskOptions,
): DefinedTask<AnswerRow> {
  checkNames("answerTask", options, NAMES);
  const { name, maxPromptLength, maxCompletionLength = 256 } = options;
  const weights = Object.entries(options.rewards) as [AnswerRewardName, number][];
  if (weights.length === 0) {
    throw new RangeError(`give a reward: one of ${Object.keys(ANSWER_REWARDS).join(", ")}`);
  }
  const { where = (index: number) => `rows[${index}]` } = options;
  const names = weights.map(([reward]) => reward);
  const rows = given.map((row, i) => rowOf(row, where(i), options, names));
  const tokenizer = options.tokenizer ?? symbolTokenizer(charactersOf(rows));
  const demonstrated = rows.filter(({ demonstration }) => demonstration !== undefined).length;
  if (demonstrated > 0 && demonstrated < rows.length) {
    throw new RangeError(
      `${demonstrated} of ${rows.length} rows have a demonstration: give every row one, or none`,
    );
  }
  const judges = weights.map(([reward]): [string, RewardFunction<AnswerRow>] => {
    const { judge } = ANSWER_REWARDS[reward];
    return [reward, ({ completion, row }) => judge(completion, row.answer)];
  });
  return defineTask<AnswerRow>({
    name,
    tokenizer,
    prompts: rows,
    ...(maxPromptLength === undefined ? {} : { maxPromptLength, filterOverlongPrompts: true }),
    maxCompletionLength,
    ...(demonstrated > 0 ? { demonstrate: ({ demonstration }) => demonstration! } : {}),
    ...(judges.length === 1
      ? { verify: judges[0]![1] }
      : { verify: Object.fromEntries(judges), rewardWeights: options.rewards }),
    // A model that exists wants small steps; a policy from nothing large ones.
    ...(options.tokenizer === undefined ? {} : {
      defaults: { rl: { maxSteps: 200, promptsPerStep: 8, numGenerations: 8, learningRate: 1e-6 } },
    }),
  });
}

function rowOf(
  row: Readonly<Record<string, unknown>>,
  where: string,
  options: AnswerTaskOptions,
  rewards: readonly AnswerRewardName[],
): AnswerRow {
  const {
    promptColumn = "prompt",
    answerColumn = "answer",
    demonstrationColumn = "demonstration",
  } = options;
  const columns = `its columns are ${Object.keys(row).join(", ")}`;
  const prompt = row[promptColumn];
  if (!isPrompt(prompt)) {
    throw new TypeError(
      `${where}: ${promptColumn} must be a text, a list of messages or a list of token ids, and not ` +
        `empty: got ${shownValue(prompt)}; ${columns}`,
    );
  }
  const given = row[answerColumn];
  if (typeof given !== "string" && typeof given !== "number") {
    throw new TypeError(
      `${where}: ${answerColumn} must be a text or a number: got ${shownValue(given)}; ${columns}`,
    );
  }
  // Decimals are read as the nearest number there is, as everywhere; a whole number would be another one.
  const inexact = Number.isInteger(given) ? !Number.isSafeInteger(given) : given === Infinity ||
    given === -Infinity;
  if (inexact) {
    throw new RangeError(
      `${where}: ${answerColumn} is ${given}, beyond the whole numbers that JSON's readers tell apart: write it as a text`,
    );
  }
  const answer = String(given);
  for (const reward of rewards) {
    const fault = ANSWER_REWARDS[reward].refuse?.(answer);
    if (fault !== undefined) {
      throw new RangeError(`${where}: ${answerColumn} ${shownValue(given)} ${fault}`);
    }
  }
  const demonstration = row[demonstrationColumn];
  if (demonstration !== undefined && typeof demonstration !== "string") {
    throw new TypeError(
      `${where}: ${demonstrationColumn} must be a text: got ${shownValue(demonstration)}`,
    );
  }
  return {
    ...row,
    prompt: options.chatTemplate && typeof prompt === "string"
      ? [{ role: "user", content: prompt }]
      : prompt,
    answer,
    ...(demonstration === undefined ? {} : { demonstration }),
  };
}

/** The different characters of prompts, answers and demonstrations, in order. */
function charactersOf(rows: readonly AnswerRow[]): string[] {
  const characters = new Set<string>();
  for (const { prompt, answer, demonstration = "" } of rows) {
    for (const text of [typeof prompt === "string" ? prompt : "", answer, demonstration]) {
      for (const character of text) characters.add(character);
    }
  }
  return [...characters].sort();
}
