/**
 * Ctrl-C: once to stop after the step at hand, twice to stop at once.
 *
 * @module
 */

import type { ProgressOutput } from "./progress.ts";

/** Exit code of a program stopped by Ctrl-C: 128 + the number of SIGINT. */
export const INTERRUPTED = 130;

/** Signals that ask a program to end. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/** Listens for Ctrl-C until disposed. */
export class Interrupt implements Disposable {
  readonly #listener: () => void;
  #requested = false;

  /** @param onFirst Tells the user what happens now. */
  constructor(onFirst: () => void) {
    this.#listener = () => {
      this.#requested = true;
      // From here on the operating system ends the process, even in the middle of a long step.
      this[Symbol.dispose]();
      onFirst();
    };
    for (const signal of SIGNALS) Deno.addSignalListener(signal, this.#listener);
  }

  /** Listens, and says at first that the work stops, and where; such as `after this step`. */
  static said(output: ProgressOutput, where = ""): Interrupt {
    return new Interrupt(() =>
      output.write(`\nstopping${where && ` ${where}`}; Ctrl-C again stops at once\n`)
    );
  }

  /**
   * Whether to stop.
   *
   * Signals arrive between tasks of the event loop, and a training step need not leave its own.
   */
  async requested(): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.#requested;
  }

  /** Stops listening: the next Ctrl-C ends the process. */
  [Symbol.dispose](): void {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, this.#listener);
  }
}
