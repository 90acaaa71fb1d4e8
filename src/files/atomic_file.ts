/**
 * Files that are either the old or the new one, whenever the process or the machine stops.
 *
 * The new contents are written beside the file under the name `<path>.partial`, brought to disk,
 * and renamed. One writer at a time per path; a `.partial` left by a killed process is overwritten
 * by the next.
 *
 * @module
 */

import { fs, host, type HostFile } from "../host/host.ts";
import { dirname } from "../host/paths.ts";

/**
 * Writes all of `bytes` at the file's position.
 *
 * @param path Where the file lies, for messages.
 * @throws {Error} Naming it if the disk is full or gone.
 */
export async function writeAll(file: HostFile, bytes: Uint8Array, path: string): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  } catch (error) {
    throw named(error, path);
  }
}

/** {@linkcode writeAll}, at once. */
export function writeAllSync(file: HostFile, bytes: Uint8Array, path: string): void {
  try {
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  } catch (error) {
    throw named(error, path);
  }
}

/** The system's message does not say which file. */
function named(error: unknown, path: string): unknown {
  if (error instanceof Error) error.message = `${path} cannot be written: ${error.message}`;
  return error;
}

/** Brings a folder's list of names to disk, so that a rename in it survives a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  // Windows journals renames.
  if (!host.syncsFolders) return;
  const directory = await fs.open(path);
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}

/**
 * Creates or replaces the file at `path` with what `write` writes.
 *
 * If `write` throws, the file is as before and nothing is left beside it.
 */
export async function createFileAtomic(
  path: string,
  write: (file: HostFile) => Promise<void>,
): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const file = await fs.open(partial, { write: true, create: true, truncate: true });
    try {
      await write(file);
      await file.sync().catch((error) => {
        throw named(error, path);
      });
    } finally {
      file.close();
    }
    await fs.rename(partial, path);
  } catch (error) {
    // The error that matters is the first one.
    await fs.remove(partial).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Creates or replaces the file at `path` with a text or bytes. */
export async function writeFileAtomic(path: string, contents: string | Uint8Array): Promise<void> {
  const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  await createFileAtomic(path, (file) => writeAll(file, bytes, path));
}
