/**
 * Rules of one's own from a module: `--objective ./my_rules.ts`.
 *
 * @module
 */

import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { fileExists } from "../files/json_file.ts";
import { isOwnObjective, type OwnObjective } from "../objective/own_objective.ts";
import { digestFile } from "../run/fingerprint.ts";

/**
 * The rules that a module exports: functions `advantages` and `weights` and a `surrogate`, some of them, by name or as its default's properties.
 *
 * @param file The module.
 * @returns They, by the name of the file, with path and SHA-256 for the records of a run.
 * @throws {Error} If there is no such module or it exports neither.
 */
export async function loadObjective(file: string): Promise<OwnObjective> {
  const path = resolve(file);
  if (!await fileExists(path)) throw new Deno.errors.NotFound(`${file} does not exist`);
  const exported = await import(pathToFileURL(path).href) as Record<string, unknown>;
  const rules = (exported.default ?? exported) as Partial<OwnObjective>;
  const { advantages, weights, surrogate } = rules;
  const objective = {
    name: typeof rules.name === "string" ? rules.name : basename(file).replace(/\.[^.]*$/, ""),
    source: { path: file, sha256: await digestFile(path) },
    advantages,
    weights,
    surrogate,
  };
  if (!isOwnObjective(objective)) {
    throw new TypeError(
      `${file} cannot be used: it must export a function advantages, a function weights, or a surrogate of loss and dLogProb`,
    );
  }
  return objective;
}

/**
 * The rules of a run that is resumed: what is given now, or what it was begun with.
 *
 * @param given The module that was given.
 * @param recorded What the checkpoint recorded.
 * @param run Folder of the run, for messages.
 * @throws {Error} If the recorded module is gone or has changed.
 */
export async function objectiveOf(
  given: string | undefined,
  recorded: Pick<OwnObjective, "name" | "source"> | undefined,
  run: string,
): Promise<OwnObjective | undefined> {
  if (given !== undefined) return await loadObjective(given);
  if (recorded === undefined) return undefined;
  const { source, name } = recorded;
  if (source === undefined) {
    throw new Error(
      `${run} was begun from a program with rules of its own, ${name}: resume it from there, or give --objective`,
    );
  }
  if (!await fileExists(source.path)) {
    throw new Deno.errors.NotFound(
      `${source.path}, which ${run} was begun with, does not exist: put it back`,
    );
  }
  const objective = await loadObjective(source.path);
  if (objective.source!.sha256 !== source.sha256) {
    throw new RangeError(
      `${source.path} is not as it was when ${run} was begun (its SHA-256 differs): put it back, or begin a new run ` +
        "from its weights",
    );
  }
  return objective;
}
