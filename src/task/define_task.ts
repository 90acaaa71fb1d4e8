/**
 * Tasks of one's own: prompts, and functions that judge completions.
 *
 * @module
 */

import { Random } from "../random/random.ts";
import type { PromptRow } from "./dataset.ts";
import {
  checkIds,
  checkLimit,
  encodePrompt,
  type PromptDefinition,
  promptSource,
} from "./prompt_source.ts";
import { maxRewardIn, type RewardDefinition, verifierOf } from "./reward_functions.ts";
import { checkNames, shownWithType } from "../input/names.ts";
import { plainCopy } from "./plain_copy.ts";
import { SMALL_POLICY, type Split, type Task, type TaskDefaults } from "./task.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What a task consists of; see {@linkcode defineTask}. */
export interface TaskDefinition<Row extends PromptRow = PromptRow>
  extends PromptDefinition<Row>, RewardDefinition<Row> {
  /** A completion to imitate in the warm start; it may, and now and then should, be wrong. */
  readonly demonstrate?: (row: Row, random: Random) => string | readonly number[];
  /** The most ids of a completion, end of sequence included. */
  readonly maxCompletionLength: number;
  /** Ids that end a completion. Default: the tokenizer's. */
  readonly eosTokenIds?: readonly number[];
  /** Recommended settings. */
  readonly defaults?: Partial<TaskDefaults>;
}

/** A task made by {@linkcode defineTask}; a problem's metadata is its row. */
export interface DefinedTask<Row extends PromptRow = PromptRow> extends Task<Row> {
  /** Turns text into token ids and back. */
  readonly tokenizer: Tokenizer;
}

const DEFAULTS: TaskDefaults = {
  policy: SMALL_POLICY,
  warmStart: { steps: 400, batchSize: 128, learningRate: 2e-3 },
  rl: { maxSteps: 100, promptsPerStep: 32, numGenerations: 16, learningRate: 5e-4 },
};

/** Every option there is; one that is missing here does not compile. */
const OPTIONS: Readonly<Record<keyof TaskDefinition, true>> = {
  name: true,
  tokenizer: true,
  prompts: true,
  evalPrompts: true,
  maxPromptLength: true,
  filterOverlongPrompts: true,
  verify: true,
  rewardWeights: true,
  maxReward: true,
  maxConcurrency: true,
  demonstrate: true,
  maxCompletionLength: true,
  eosTokenIds: true,
  defaults: true,
};

/** A completion as verifiers see it: every token but the end of sequence, special ones too. */
function shownTo(
  tokenizer: Tokenizer,
  completionIds: readonly number[],
  eosTokenIds: readonly number[],
): string {
  const ended = eosTokenIds.includes(completionIds.at(-1)!);
  const written = ended ? completionIds.slice(0, -1) : completionIds;
  return tokenizer.decode(written, { specialTokens: true });
}

/** Stream number of demonstrations among the uses of a seed. */
const DEMONSTRATION = 6;

/**
 * Makes a task of prompts and a verifier.
 *
 * @typeParam Row What the verifier may look at besides the completion.
 * @param definition Prompts, verifier, tokenizer and limits.
 * @returns A task to train on and to evaluate.
 * @throws {RangeError | TypeError} Naming what does not fit.
 *
 * @example A policy from nothing: say the larger of two digits
 * ```ts
 * import { defineTask, symbolTokenizer } from "@deltal/deltal";
 * import { assertEquals } from "@std/assert";
 *
 * const task = defineTask({
 *   name: "larger",
 *   tokenizer: symbolTokenizer("0123456789>"),
 *   prompts: ["3>8", "7>2", "4>5", "0>9"].map((prompt) => ({
 *     prompt,
 *     answer: prompt[0]! > prompt[2]! ? prompt[0] : prompt[2],
 *   })),
 *   verify: {
 *     correct: ({ completion, row }) => completion === row.answer,
 *     short: ({ completionIds }) => completionIds.length <= 2,
 *   },
 *   rewardWeights: { short: 0.1 },
 *   maxCompletionLength: 4,
 * });
 * const { promptIds, metadata } = task.problem("train", 0, 0);
 * const completionIds = task.tokenizer.encode(metadata.answer!);
 * assertEquals(promptIds.length, 3);
 * assertEquals(await task.verify(metadata, [...completionIds, 1]), {
 *   reward: 1.1,
 *   rewards: { correct: 1, short: 1 },
 * });
 * ```
 */
export function defineTask<Row extends PromptRow>(
  definition: TaskDefinition<Row>,
): DefinedTask<Row> {
  checkNames("defineTask", definition, Object.keys(OPTIONS));
  checkParts(definition);
  const { name, tokenizer, maxCompletionLength, demonstrate } = definition;
  if (!/^[\w.-]+$/.test(name)) {
    throw new RangeError(
      `name must be of letters, digits, ".", "_" and "-": current value is ${JSON.stringify(name)}`,
    );
  }
  checkLimit("maxCompletionLength", maxCompletionLength);
  const eosTokenIds = definition.eosTokenIds ?? tokenizer.eosTokenIds;
  if (eosTokenIds.length === 0) {
    throw new RangeError(`Task ${name} has no end of sequence: give eosTokenIds`);
  }
  checkIds(tokenizer, eosTokenIds, "eosTokenIds");
  const source = promptSource(definition);
  const judge = verifierOf(definition);
  const describe = (ids: readonly number[]) => tokenizer.decode(ids, { specialTokens: true });
  return {
    name,
    tokenizer,
    ...(source.counts ? { promptCounts: source.counts } : {}),
    ...(source.overlong ? { overlongPrompts: source.overlong } : {}),
    ...(source.heldOut === undefined ? {} : { heldOut: source.heldOut }),
    vocabulary: tokenizer.vocabulary,
    padTokenId: tokenizer.padTokenId,
    eosTokenId: eosTokenIds[0]!,
    eosTokenIds,
    maxPromptLength: source.maxPromptLength,
    maxCompletionLength,
    maxReward: maxRewardIn(definition),
    defaults: { ...DEFAULTS, ...definition.defaults },
    problem(split: Split, seed: number, index: number) {
      const { row, promptIds } = source.at(split, seed, index);
      return { promptIds, metadata: row };
    },
    ...(demonstrate && {
      demonstration(seed: number, index: number) {
        const { row, promptIds } = source.at("train", seed, index);
        const shown = demonstrate(plainCopy(row), new Random(seed, DEMONSTRATION, index));
        const completionIds = typeof shown === "string" ? tokenizer.encode(shown) : [...shown];
        if (!eosTokenIds.includes(completionIds.at(-1)!)) completionIds.push(eosTokenIds[0]!);
        checkIds(tokenizer, completionIds, "A demonstration");
        if (completionIds.length > maxCompletionLength) {
          throw new RangeError(
            `Demonstration ${JSON.stringify(describe(completionIds))} of task ${name} has ` +
              `${completionIds.length} ids: maxCompletionLength is ${maxCompletionLength}`,
          );
        }
        return { promptIds, completionIds };
      },
    }),
    verify(row: Row, completionIds: readonly number[]) {
      return judge({
        row,
        prompt: typeof row.prompt === "string"
          ? row.prompt
          : tokenizer.decode(encodePrompt(tokenizer, row.prompt), { specialTokens: true }),
        completion: shownTo(tokenizer, completionIds, eosTokenIds),
        completionIds,
        truncated: !eosTokenIds.includes(completionIds.at(-1)!),
      });
    },
    describe,
  };
}

/** Programs in JavaScript may leave any part out. */
function checkParts<Row extends PromptRow>(definition: TaskDefinition<Row>): void {
  const { name, tokenizer, prompts, verify } = definition as Partial<TaskDefinition<Row>>;
  const need = (ok: boolean, part: string, what: string, given: unknown) => {
    if (!ok) throw new TypeError(`defineTask needs ${part}, ${what}: got ${shownWithType(given)}`);
  };
  need(typeof name === "string", "name", "a text", name);
  const encodes = typeof (tokenizer as Tokenizer | undefined)?.encode === "function";
  need(encodes, "tokenizer", "as symbolTokenizer() makes one", tokenizer);
  const lists = Array.isArray(prompts) || typeof prompts === "function";
  need(lists, "prompts", "a list or a function", prompts);
  if (typeof verify === "function") return;
  if (typeof verify !== "object" || verify === null) {
    return need(false, "verify", "a function or several by name", verify);
  }
  for (const [key, judge] of Object.entries(verify)) {
    need(typeof judge === "function", `verify.${key}`, "a function", judge);
  }
}
