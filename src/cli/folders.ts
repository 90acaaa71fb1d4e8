/**
 * Folders that a command line names.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { fileExists } from "../files/json_file.ts";
import { nearest } from "../input/names.ts";
import { RUNS } from "./runs.ts";

/**
 * Checks that a folder is there.
 *
 * @param dir What was given.
 * @throws {Deno.errors.NotFound} If there is none, naming one with a similar name.
 */
export async function checkFolder(dir: string): Promise<void> {
  if (await fileExists(dir)) {
    if ((await Deno.stat(dir)).isDirectory) return;
    throw new Deno.errors.NotFound(`${dir} is a file: give the folder of a run`);
  }
  await refuseMisspelt(dir);
  throw new Deno.errors.NotFound(`there is no folder ${dir}`);
}

/**
 * Refuses a folder that is not there where one has a similar name.
 *
 * @param dir What was given.
 * @throws {Deno.errors.NotFound} Naming the other one.
 */
export async function refuseMisspelt(dir: string): Promise<void> {
  if (await fileExists(dir)) return;
  const near = await similar(dir);
  if (near === undefined) return;
  throw new Deno.errors.NotFound(`there is no folder ${dir}, did you mean ${near}?`);
}

/** A folder beside the one that was meant, or below `runs`, with a similar name. */
async function similar(dir: string): Promise<string | undefined> {
  for (const parent of [dirname(dir), RUNS]) {
    const near = nearest(basename(dir), await foldersOf(parent));
    if (near !== undefined) return join(parent, near);
  }
  return undefined;
}

async function foldersOf(parent: string): Promise<string[]> {
  if (!await fileExists(parent) || !(await Deno.stat(parent)).isDirectory) return [];
  return [...Deno.readDirSync(parent)].filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name);
}

/**
 * Makes a folder and those it lies in.
 *
 * @returns Removes at the end of its use those that it made and that nothing was put into.
 * @throws {Error} If it cannot be made, saying so.
 */
export async function makeFolder(dir: string): Promise<AsyncDisposable> {
  const made: string[] = [];
  for (let path = dir; !await fileExists(path); path = dirname(path)) made.push(path);
  try {
    await Deno.mkdir(dir, { recursive: true });
  } catch (error) {
    // What a task may write is said elsewhere.
    if (error instanceof Deno.errors.NotCapable) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`the folder ${dir} cannot be made, give another one: ${message}`, {
      cause: error,
    });
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const path of made) {
        // What is not empty is kept; what is gone needs nothing.
        if (!await Deno.remove(path).then(() => true, () => false)) return;
      }
    },
  };
}
