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
