/**
 * Folders that are either the old or the new one, complete, whenever the process or the machine
 * stops.
 *
 * The new folder is filled as `<dir>.partial`, brought to disk and renamed `<dir>.ready`: from here
 * on it counts. Then the old one is renamed `<dir>.old`, the new one takes its place, and the old
 * one is removed. Each name says what its folder is worth, so that recovery needs nothing else:
 * `.partial` is never complete, `.ready` always is and is newer than `<dir>`, and `.old` is needed
 * only while nothing else is there. For single files see {@linkcode writeFileAtomic}.
 *
 * @module
 */

import { fs } from "../host/host.ts";
import { dirname, join } from "../host/paths.ts";
import { syncDirectory } from "./atomic_file.ts";
import { fileExists } from "./json_file.ts";

export { writeFileAtomic } from "./atomic_file.ts";

/** What the folder is changed with; tests put a process that stops half-way in its place. */
export interface DirectoryOperations {
  /** Makes a folder whose parent exists. */
  mkdir(path: string): Promise<void>;
  /** Renames a folder to a name that is free. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a folder and all in it. */
  remove(path: string): Promise<void>;
  /** Does away with a complete folder that another one has replaced; removes it if not given. */
  retire?(path: string): Promise<void>;
  /** Brings a file, or a folder's list of names, to disk. */
  sync(path: string, isDirectory: boolean): Promise<void>;
}

/** The real thing. */
export const fileSystem: DirectoryOperations = {
  mkdir: (path) => fs.mkdir(path),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.remove(path, { recursive: true }),
  async sync(path: string, isDirectory: boolean): Promise<void> {
    if (isDirectory) return await syncDirectory(path);
    const file = await fs.open(path, { read: true, write: true });
    try {
      await file.sync();
    } finally {
      file.close();
    }
  },
};

/** Path without a slash at its end, so that a suffix makes a name beside it. */
function trimSlash(path: string): string {
  const trimmed = path.replace(/[/\\]+$/, "");
  if (trimmed === "" || /(^|[/\\])\.\.?$/.test(trimmed)) {
    throw new RangeError(`${JSON.stringify(path)} cannot be replaced: give a folder with a name`);
  }
  return trimmed;
}

async function syncTree(path: string, operations: DirectoryOperations): Promise<void> {
  for await (const entry of fs.readDir(path)) {
    const child = join(path, entry.name);
    if (entry.isDirectory) await syncTree(child, operations);
    else if (entry.isFile) await operations.sync(child, false);
  }
  await operations.sync(path, true);
}

/** Puts the complete `<dir>.ready` in the place of `<dir>`. */
async function promote(dir: string, operations: DirectoryOperations): Promise<void> {
  const old = `${dir}.old`;
  if (await fileExists(dir)) {
    // With `dir` in place this is what a stopped removal left.
    await retire(old, operations);
    await operations.rename(dir, old);
  }
  await operations.rename(`${dir}.ready`, dir);
  await operations.sync(dirname(dir), true);
  await retire(old, operations);
}

async function retire(old: string, operations: DirectoryOperations): Promise<void> {
  if (!await fileExists(old)) return;
  if (operations.retire) await operations.retire(old);
  else await operations.remove(old);
}

/**
 * Brings a folder back into order after a process that was replacing it was stopped.
 *
 * Call it before reading the folder, in the process that will write it; it does nothing where
 * nothing is amiss, and may itself be stopped and called again.
 *
 * @param dir The folder, as given to {@linkcode replaceDirectoryAtomic}.
 * @returns Whether the folder, old or new, is there.
 */
export async function recoverDirectory(
  dir: string,
  operations: DirectoryOperations = fileSystem,
): Promise<boolean> {
  const path = trimSlash(dir);
  const [partial, ready, old] = [`${path}.partial`, `${path}.ready`, `${path}.old`];
  if (await fileExists(partial)) await operations.remove(partial);
  if (await fileExists(ready)) {
    await promote(path, operations);
  } else if (await fileExists(old)) {
    if (await fileExists(path)) await retire(old, operations);
    else await operations.rename(old, path);
  }
  return await fileExists(path);
}

/**
 * Creates or replaces a folder so that its name always stands for a complete one.
 *
 * A process killed at any moment leaves the old folder or the new one, after
 * {@linkcode recoverDirectory}. If `build` throws, the old folder stays and nothing else is left.
 * Between two renames the name is free for an instant, so other processes should read copies. One
 * writer at a time per folder; its parent has to exist.
 *
 * @param build Fills the empty folder it is given, which then replaces `dir`.
 * @throws {RangeError} If `dir` ends in no name, such as `.` or `/`.
 */
export async function replaceDirectoryAtomic(
  dir: string,
  build: (tempDir: string) => Promise<void>,
  operations: DirectoryOperations = fileSystem,
): Promise<void> {
  const path = trimSlash(dir);
  await recoverDirectory(path, operations);
  const partial = `${path}.partial`;
  await operations.mkdir(partial);
  try {
    await build(partial);
    await syncTree(partial, operations);
  } catch (error) {
    // The error that matters is the first one.
    await operations.remove(partial).catch(() => {});
    throw error;
  }
  await operations.rename(partial, `${path}.ready`);
  await operations.sync(dirname(path), true);
  await promote(path, operations);
}

/**
 * Removes a folder so that its name stands for the complete one or for nothing.
 *
 * @param dir The folder. A process that is stopped may leave `<dir>.old`.
 */
export async function removeDirectory(dir: string): Promise<void> {
  const old = `${trimSlash(dir)}.old`;
  if (await fileExists(old)) await fileSystem.remove(old);
  await fileSystem.rename(dir, old);
  await fileSystem.remove(old);
}
