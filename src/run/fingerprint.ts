/**
 * Short texts that tell whether two things are the same: a task with its options, a file, settings.
 */

import { createHash } from "node:crypto";
import { drawDemonstration, drawProblem } from "../task/problems.ts";
import type { Task } from "../task/task.ts";

/** Problems and demonstrations that stand for a task. */
const SAMPLES = 16;

/** The SHA-256 of a value's JSON, or of a text, in hexadecimal. */
export function digest(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return createHash("sha256").update(text).digest("hex");
}

/** The SHA-256 of a file, in hexadecimal, read a piece at a time. */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const piece = new Uint8Array(1 << 20);
  for (let n; (n = await file.read(piece)) !== null;) hash.update(piece.subarray(0, n));
  return hash.digest("hex");
}

/**
 * What tells a task from the same task with other options: a digest of its vocabulary, its limits
 * and its first problems and demonstrations.
 *
 * @throws {TypeError} If what its problems hold cannot be written as JSON.
 */
export function taskFingerprint(task: Task): string {
  const indices = Array.from({ length: SAMPLES }, (_, index) => index);
  const described = {
    name: task.name,
    vocabulary: task.vocabulary,
    maxPromptLength: task.maxPromptLength,
    maxCompletionLength: task.maxCompletionLength,
    problems: indices.map((index) => drawProblem(task, "train", 0, index)),
    demonstrations: indices.map((index) => task.demonstration && drawDemonstration(task, 0, index)),
  };
  try {
    return digest(described).slice(0, 16);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new TypeError(
      `The problems of task ${task.name} are no plain data, which their metadata has to be: ${reason}`,
      { cause: error },
    );
  }
}
