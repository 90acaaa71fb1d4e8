/**
 * Reading JSON files that other programs wrote.
 *
 * @module
 */

import { errors, fs } from "../host/host.ts";

/** Whether a parsed JSON value is an object, neither null nor a list. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a file that holds one JSON object.
 *
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {SyntaxError} If it holds anything else.
 */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const text = await fs.readTextFile(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SyntaxError(`${path} is not valid JSON: ${reason}`, { cause });
  }
  if (!isJsonObject(json)) throw new SyntaxError(`${path} does not hold a JSON object`);
  return json;
}

/** Whether there is something at `path`; below a file there is nothing. */
export async function fileExists(path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if (error instanceof errors.NotFound) return false;
    if (error instanceof errors.NotADirectory) return false;
    throw error;
  }
}
