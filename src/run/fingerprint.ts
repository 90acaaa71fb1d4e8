/**
 * Short texts that tell whether two things are the same: a task with its options, a file, settings.
 */

import { createHash } from "node:crypto";
import { drawDemonstration, drawProblem } from "../rl/problems.ts";
import type { Task } from "../rl/task.ts";

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
 */
export function taskFingerprint(task: Task): string {
  const indices = Array.from({ length: SAMPLES }, (_, index) => index);
  return digest({
    name: task.name,
    vocabulary: task.vocabulary,
    maxPromptLength: task.maxPromptLength,
    maxCompletionLength: task.maxCompletionLength,
    problems: indices.map((index) => drawProblem(task, "train", 0, index)),
    demonstrations: indices.map((index) => task.demonstration && drawDemonstration(task, 0, index)),
  }).slice(0, 16);
}
