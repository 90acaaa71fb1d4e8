/**
 * Checking that what somebody made is a task, before anything is built on it.
 *
 * @module
 */

import { shownValue } from "../input/names.ts";
import type { Task } from "./task.ts";

/** Tokens that a prompt or a completion may have. */
const MOST_TOKENS = 1_000_000;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks what a task states about itself; not its problems, which are checked when they are drawn.
 *
 * @param value The task.
 * @returns It.
 * @throws {TypeError | RangeError} Naming the first field that does not fit, its value, and what is allowed.
 */
export function checkTask(value: unknown): Task {
  const task = fields(value, "the task");
  // It names folders and metrics.
  const { name } = task;
  if (typeof name !== "string" || !/^[^\s./\\][^/\\\p{Cc}]*$/u.test(name)) {
    throw refused("name", name, "a text without slashes and control characters, for folders");
  }
  for (const method of ["problem", "verify", "describe"]) {
    if (typeof task[method] !== "function") throw refused(method, task[method], "a function");
  }
  if (task.demonstration !== undefined && typeof task.demonstration !== "function") {
    throw refused("demonstration", task.demonstration, "a function, or nothing");
  }
  const { vocabulary } = task;
  const isVocabulary = Array.isArray(vocabulary) && vocabulary.length > 0 &&
    vocabulary.every((symbol) => typeof symbol === "string");
  if (!isVocabulary) throw refused("vocabulary", vocabulary, "a list of texts, one for each id");
  whole(task, "maxPromptLength", 1, MOST_TOKENS);
  whole(task, "maxCompletionLength", 1, MOST_TOKENS);
  const lastId = vocabulary.length - 1;
  whole(task, "padTokenId", 0, lastId);
  whole(task, "eosTokenId", 0, lastId);
  const { maxReward } = task;
  if (maxReward !== undefined && !Number.isFinite(maxReward)) {
    throw refused("maxReward", maxReward, "a finite number, or nothing for 1");
  }
  checkDefaults(fields(task.defaults, "defaults"));
  const said = (value as Task).describe([task.eosTokenId as number]);
  if (typeof said !== "string") throw refused("describe([eosTokenId])", said, "a text");
  return value as Task;
}

function checkDefaults(defaults: Fields): void {
  const policy = fields(defaults.policy, "defaults.policy");
  for (const name of ["hiddenSize", "numHiddenLayers", "numAttentionHeads"]) {
    whole(policy, name, 1, 2 ** 18, "defaults.policy.");
  }
  const warmStart = fields(defaults.warmStart, "defaults.warmStart");
  whole(warmStart, "steps", 0, 1e7, "defaults.warmStart.");
  whole(warmStart, "batchSize", 1, 65536, "defaults.warmStart.");
  rate(warmStart, "defaults.warmStart.");
  const rl = fields(defaults.rl, "defaults.rl");
  whole(rl, "maxSteps", 0, 1e7, "defaults.rl.");
  rate(rl, "defaults.rl.");
}

function fields(value: unknown, where: string): Fields {
  if (typeof value === "object" && value !== null) return value as Fields;
  throw refused(where, value, "an object, see Task");
}

function whole(of: Fields, name: string, min: number, max: number, path = ""): void {
  const value = of[name];
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw refused(path + name, value, `a whole number from ${min} to ${max}`);
}

function rate({ learningRate }: Fields, path: string): void {
  if (typeof learningRate === "number" && learningRate >= 0 && learningRate <= 1) return;
  throw refused(`${path}learningRate`, learningRate, "a number from 0 to 1");
}

function refused(field: string, value: unknown, allowed: string): Error {
  const kind = typeof value === "number" ? RangeError : TypeError;
  return new kind(`${field} is ${shownValue(value)}: give ${allowed}`);
}
