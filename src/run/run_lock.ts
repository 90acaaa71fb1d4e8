/**
 * One writer per run: a lock that the operating system takes back when the process ends.
 */

import { join } from "node:path";

const LOCK = ".lock";

/** The right to write in the folder of a run, until disposed. */
export class RunLock implements Disposable {
  #file: Deno.FsFile | undefined;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Takes the lock of a run.
   *
   * @param path The run's folder.
   * @throws {Deno.errors.Busy} If another process, or another part of this one, has it.
   */
  static take(path: string): RunLock {
    const file = Deno.openSync(join(path, LOCK), { write: true, create: true });
    if (!file.tryLockSync(true)) {
      file.close();
      throw new Deno.errors.Busy(`${path} is being trained by another process: wait for it to end`);
    }
    return new RunLock(file);
  }

  /** Gives the lock back, if it was not given back before. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
