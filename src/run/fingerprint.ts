/**
 * Short texts that tell whether two things are the same: a task with its options, a file, settings.
 */

import { fs, host } from "../host/host.ts";
import { drawDemonstration, drawProblem } from "../task/problems.ts";
import type { Task } from "../task/task.ts";

/** Problems of each split and demonstrations that stand for a task that has any number of them. */
const SAMPLES = 16;

/** The SHA-256 of a value's JSON, or of a text, in hexadecimal. */
export function digest(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return host.sha256().update(text).digest("hex");
}

/** The SHA-256 of a file, in hexadecimal, read a piece at a time. */
export async function digestFile(path: string): Promise<string> {
  const hash = host.sha256();
  const file = await fs.open(path);
  try {
    const piece = new Uint8Array(1 << 20);
    for (let n; (n = await file.read(piece)) !== null;) hash.update(piece.subarray(0, n));
  } finally {
    file.close();
  }
  return hash.digest("hex");
}

/** The SHA-256 of the weights in a folder; of several files that of all of theirs. What resuming needs is no weight. */
export async function weightsDigest(dir: string): Promise<string> {
  const names = [...fs.readDirSync(dir)].map(({ name }) => name)
    .filter((name) => name.endsWith(".safetensors") && !/^(optimizer|reference)\./.test(name));
  const digests: string[] = [];
  for (const name of names.sort()) digests.push(await digestFile(`${dir}/${name}`));
  return digests.length === 1 ? digests[0]! : digest(digests);
}

const known = new WeakMap<Task, string>();

/**
 * What tells a task from the same task with other options: {@linkcode computeFingerprint}, once for each task.
 *
 * @throws {TypeError} If what its problems hold cannot be written as JSON.
 */
export function taskFingerprint(task: Task): string {
  const found = known.get(task) ?? computeFingerprint(task);
  known.set(task, found);
  return found;
}

/**
 * A digest of a task's vocabulary, its limits, its first demonstrations and its problems: all of them where they are
 * finite, otherwise the first of each split.
 *
 * @throws {TypeError} If what its problems hold cannot be written as JSON.
 */
export function computeFingerprint(task: Task): string {
  const hash = host.sha256();
  const add = (value: unknown) => {
    try {
      // A line each, as JSON has no line breaks of its own.
      hash.update(`${JSON.stringify(value) ?? ""}\n`);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
      throw new TypeError(
        `The problems of task ${task.name} are no plain data, which their metadata has to be: ${reason}`,
        { cause: error },
      );
    }
  };
  const { name, vocabulary, maxPromptLength, maxCompletionLength, maxReward = 1 } = task;
  add({ name, vocabulary, maxPromptLength, maxCompletionLength, maxReward });
  for (const split of ["train", "eval"] as const) {
    const count = task.promptCounts?.[split] ?? SAMPLES;
    for (let index = 0; index < count; index++) add(drawProblem(task, split, 0, index));
  }
  for (let index = 0; task.demonstration && index < SAMPLES; index++) {
    add(drawDemonstration(task, 0, index));
  }
  return hash.digest("hex").slice(0, 16);
}
