/**
 * Finding a task by what was written on the command line: a name, or a module of the user's.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { fileExists } from "../files/json_file.ts";
import { readJsonLines } from "../task/dataset.ts";
import { checkTask } from "../task/check_task.ts";
import type { Task } from "../task/task.ts";
import type { Tokenizer } from "../task/tokenizer.ts";
import { computeFingerprint } from "../run/fingerprint.ts";
import { taskByName, taskNames } from "../tasks/mod.ts";
import { nearest } from "../task/names.ts";
import { type Flag, textFlag, UsageError } from "./args.ts";

/** The paper's task in words. */
const COUNTDOWN_TEXT = "countdown-text";

/** Every task there is by name. */
const NAMES: readonly string[] = [...taskNames, COUNTDOWN_TEXT];

/** Whether a task is given by the path of a module. */
export function isModule(task: string): boolean {
  return /\.[mc]?[jt]s$/.test(task);
}

/** The flag that names a task. */
export function taskFlag(help: string, defaultValue: string): Flag<string> {
  return {
    parse(text: string): string {
      if (isModule(text) || NAMES.includes(text)) return text;
      const near = nearest(text, NAMES);
      throw new RangeError(
        `give one of ${NAMES.join(", ")}, or a module that exports a task, as ./my_task.ts` +
          (near ? `; did you mean ${near}?` : ""),
      );
    },
    placeholder: `${NAMES.join("|")}|./my_task.ts`,
    help,
    default: defaultValue,
  };
}

/** The flag that names a file of problems. */
export const DATA_FLAG: Flag<string> = textFlag(
  "file.jsonl",
  `Problems of ${COUNTDOWN_TEXT}, {"nums": […], "target": …} on each line.`,
  "drawn at random",
);

/** What a task may need besides its name. */
export interface TaskContext {
  /** Folder of the policy, whose tokenizer tasks in words use. */
  readonly model?: string | undefined;
  /** File of problems. */
  readonly data?: string | undefined;
}

/**
 * Finds a task.
 *
 * A module exports as its default a task, or a function that makes one of `{ tokenizer }`, the tokenizer of the policy's
 * folder if it has one.
 *
 * @param name A name, or the path of a module.
 * @param context Where its tokenizer and its problems are.
 * @throws {UsageError} If something it needs was not given.
 * @throws {Error} If its module or a file cannot be used.
 */
export async function findTask(name: string, context: TaskContext): Promise<Task> {
  if (context.data !== undefined && name !== COUNTDOWN_TEXT) {
    throw new UsageError(`--data goes with --task ${COUNTDOWN_TEXT}: ${name} has its own problems`);
  }
  if (name === COUNTDOWN_TEXT) return await countdownInWords(context);
  if (!isModule(name)) return taskByName(name);
  const path = resolve(name);
  if (!await fileExists(path)) throw new Deno.errors.NotFound(`${name} does not exist`);
  const tokenizer = await tokenizerOf(context.model);
  try {
    const task = await taskOfModule(path, tokenizer);
    if (typeof task !== "object" || task === null) {
      throw new TypeError(
        "it must export a task as its default, or a function that returns one: see defineTask",
      );
    }
    return repeatable(checkTask(task));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const kind = error instanceof UsageError ? UsageError : Error;
    throw new kind(`${name} cannot be used: ${message}`, { cause: error });
  }
}

/** Refuses a task that poses other problems when it is asked again: no run could be resumed, or believed. */
function repeatable(task: Task): Task {
  if (computeFingerprint(task) === computeFingerprint(task)) return task;
  throw new RangeError(
    "its problems or demonstrations are others when they are asked for again: draw them from their " +
      "seed and index alone",
  );
}

/** What a module exports as its default, or what it makes. */
async function taskOfModule(path: string, tokenizer: Tokenizer | undefined): Promise<unknown> {
  const { default: exported } = await import(pathToFileURL(path).href);
  if (typeof exported !== "function") return exported;
  try {
    return await exported({ tokenizer });
  } catch (error) {
    if (tokenizer !== undefined || !(error instanceof TypeError)) throw error;
    throw new UsageError(
      `its function is called with { tokenizer }, and there is none: give the folder of a model with ` +
        `--policy (${error.message})`,
      { cause: error },
    );
  }
}

async function countdownInWords({ model, data }: TaskContext): Promise<Task> {
  const tokenizer = await tokenizerOf(model);
  if (tokenizer === undefined) {
    throw new UsageError(
      model === undefined
        ? `${COUNTDOWN_TEXT} needs a model with a tokenizer: give its folder, for training with --policy`
        : `${COUNTDOWN_TEXT} needs a tokenizer, and ${model} has no tokenizer.json`,
    );
  }
  const { textCountdown } = await loadText();
  if (data === undefined) return textCountdown({ tokenizer });
  const lines = await readJsonLines(data);
  const problems = lines.map(({ row }) => row as { nums: number[]; target: number });
  try {
    return textCountdown({ tokenizer, problems });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Problems are known to the library by their number, and to people by their line.
    const message = error.message.replace(/^problems\[(\d+)\]/, (_, i) => lines[i]!.where);
    throw message === error.message ? error : new RangeError(message, { cause: error });
  }
}

/** The tokenizer in a folder, if there is one. */
async function tokenizerOf(dir: string | undefined): Promise<Tokenizer | undefined> {
  if (dir === undefined) return undefined;
  if (!await fileExists(dir)) throw new Deno.errors.NotFound(missingModel(dir));
  if (!await fileExists(join(dir, "tokenizer.json"))) return undefined;
  const { loadTokenizer } = await loadText();
  return await loadTokenizer(dir);
}

/** What to say of a model that is not there, which may be the name of one on the Hugging Face Hub. */
function missingModel(dir: string): string {
  const onHub = /^[\w-][\w.-]*\/[\w.-]+$/.test(dir)
    ? `, which is fetched with: hf download ${dir} --local-dir models/${dir.split("/")[1]}`
    : "";
  return `${dir} does not exist: give the folder of a model${onHub}`;
}

/** What deals with text. Its name is not a literal, so that the tokenizer library is fetched only where text is. */
async function loadText(): Promise<typeof import("../text/mod.ts")> {
  const module = new URL("../text/mod.ts", import.meta.url).href;
  return await import(module);
}
