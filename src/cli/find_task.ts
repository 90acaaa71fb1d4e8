/**
 * Finding a task by what was written on the command line: a name, or a module of the user's.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { fileExists } from "../files/json_file.ts";
import { explainMissing } from "../files/model_folder.ts";
import { readJsonLines } from "../task/dataset.ts";
import { checkTask } from "../task/check_task.ts";
import type { Task } from "../task/task.ts";
import type { Tokenizer } from "../task/tokenizer.ts";
import { computeFingerprint } from "../run/fingerprint.ts";
import { taskByName, taskNames } from "../tasks/mod.ts";
import { nearest } from "../input/names.ts";
import { type Flag, kebab, UsageError } from "./args.ts";
import { datasetTask } from "./dataset_task.ts";
import type { TaskNames } from "./dataset_flags.ts";

/** The paper's task in words. */
const COUNTDOWN_TEXT = "countdown-text";

/** The task where none is given. */
const DEFAULT_TASK = "parity";

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

/**
 * Finds a task.
 *
 * A module exports as its default a task, or a function that makes one of `{ tokenizer }`, the tokenizer of the policy's
 * folder if it has one.
 *
 * @param names A name, the path of a module, or a file of prompts and answers; parity where nothing is given.
 * @param model Folder of the policy, whose tokenizer tasks in words use.
 * @throws {UsageError} If something it needs was not given.
 * @throws {Error} If its module or a file cannot be used.
 */
export async function findTask(names: TaskNames, model?: string): Promise<Task> {
  const { task: given, data, dataset = {} } = names;
  const { chatTemplateKwargs } = dataset;
  if (given === undefined && data !== undefined) {
    const tokenizer = (chatTemplate: boolean) =>
      tokenizerOf(model, { chatTemplate, chatTemplateKwargs });
    return await datasetTask(data, dataset, tokenizer);
  }
  const name = given ?? DEFAULT_TASK;
  const stray = Object.keys(dataset).find((flag) =>
    flag !== "chatTemplateKwargs" && flag !== "name"
  );
  if (stray !== undefined) {
    throw new UsageError(
      `--${kebab(stray)} goes with --data and without --task: ${name} knows how it is judged`,
    );
  }
  if (data !== undefined && name !== COUNTDOWN_TEXT) {
    throw new UsageError(
      `--data goes with --task ${COUNTDOWN_TEXT}, or without --task: ${name} has its own problems`,
    );
  }
  if (name === COUNTDOWN_TEXT) return await countdownInWords(model, data);
  if (!isModule(name)) return taskByName(name);
  const path = resolve(name);
  if (!await fileExists(path)) throw new Deno.errors.NotFound(`${name} does not exist`);
  const tokenizer = await tokenizerOf(model, { chatTemplate: "ifThere", chatTemplateKwargs });
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

async function countdownInWords(
  model: string | undefined,
  data: string | undefined,
): Promise<Task> {
  const tokenizer = await tokenizerOf(model, {});
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

/** What to read with a tokenizer. */
interface TokenizerRequest {
  /** Whether a chat template is needed, or welcome. */
  readonly chatTemplate?: boolean | "ifThere";
  /** Its variables. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined;
}

/** The tokenizer in a folder, if there is one. */
async function tokenizerOf(
  dir: string | undefined,
  { chatTemplate = false, chatTemplateKwargs = {} }: TokenizerRequest,
): Promise<Tokenizer | undefined> {
  if (dir === undefined) return undefined;
  if (!await fileExists(dir)) throw await explainMissing(dir, "tokenizer.json");
  if (!await fileExists(join(dir, "tokenizer.json"))) return undefined;
  const { loadTokenizer } = await loadText();
  if (chatTemplate !== "ifThere") {
    return await loadTokenizer(dir, { chatTemplate, chatTemplateKwargs });
  }
  try {
    return await loadTokenizer(dir, { chatTemplate: true, chatTemplateKwargs });
  } catch (error) {
    // A module whose prompts are texts needs none, be it missing or damaged.
    if (!(error instanceof Deno.errors.NotFound || error instanceof SyntaxError)) throw error;
    return await loadTokenizer(dir);
  }
}

/** What deals with text. Its name is not a literal, so that the tokenizer library is fetched only where text is. */
async function loadText(): Promise<typeof import("../text/mod.ts")> {
  const module = new URL("../text/mod.ts", import.meta.url).href;
  return await import(module);
}
