/**
 * Progress in the terminal: a bar with rate and time left where there is a terminal, a line now
 * and then where there is none.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { LiveState } from "../run/live_feed.ts";
import { duration, LINE, wrap } from "./style.ts";

/** Where progress goes; standard error unless a test puts something else in its place. */
export interface ProgressOutput {
  /** Whether a line can be drawn over. */
  readonly terminal: boolean;
  /** Columns of it. */
  readonly columns: number;
  /** Whether nothing but errors is wanted. */
  readonly quiet: boolean;
  /** Writes a text as it is. */
  write(text: string): void;
  /** Seconds since some moment. */
  now(): number;
  /** Is told how far it is, quiet or not. */
  readonly onProgress?: ((state: LiveState) => void) | undefined;
}

/**
 * Standard error.
 *
 * @param quiet Whether nothing but errors is wanted.
 * @param onProgress Who else is told how far it is.
 */
export function standardError(
  quiet = false,
  onProgress?: ProgressOutput["onProgress"],
): ProgressOutput {
  const terminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  return {
    terminal,
    get columns(): number {
      // Some terminals do not know their width.
      return terminal && Deno.consoleSize().columns || LINE;
    },
    quiet,
    write(text: string): void {
      Deno.stderr.writeSync(encoder.encode(text));
    },
    now(): number {
      return performance.now() / 1000;
    },
    onProgress,
  };
}

/**
 * Says what is going on while it is, where it cannot be said beforehand how much there is to do.
 *
 * @param output Where to; a terminal's line is removed again.
 * @param text What is going on.
 * @param work What is to be done; it may say how far it is, which a terminal shows.
 */
export async function announced<T>(
  output: ProgressOutput,
  text: string,
  work: (say: (howFar: string) => void) => Promise<T>,
): Promise<T> {
  const say = (howFar: string) => {
    if (output.terminal && !output.quiet) output.write(`${CLEAR_LINE}${text} ${howFar}`);
  };
  if (output.quiet) return await work(say);
  output.write(output.terminal ? text : `${text}\n`);
  try {
    return await work(say);
  } finally {
    if (output.terminal) output.write(CLEAR_LINE);
  }
}

/**
 * What is going on when plans are made, and in the first step, to which some drivers put it off: where they have not seen the
 * kernels before it takes a while.
 */
export const COMPILING = "compiling kernels";

/**
 * Says that kernels are compiled while plans are made, and how many of how many where the device knows.
 *
 * @param output Where to.
 * @param gpu The device.
 * @param work Makes the plans.
 */
export async function whileCompiling<T>(
  output: ProgressOutput,
  gpu: Pick<Gpu, "onCompiling">,
  work: () => Promise<T>,
): Promise<T> {
  return await announced(output, COMPILING, async (say) => {
    gpu.onCompiling = (kernels, total) => say(`${kernels} of ${total}`);
    try {
      return await work();
    } finally {
      gpu.onCompiling = undefined;
    }
  });
}

/** What begins the line anew. */
const CLEAR_LINE = "\r\x1b[2K";

/** Seconds between two lines where there is no terminal. */
const LINE_EVERY = 10;

/** Width of the bar where there is room for it, and where there is not. */
const BAR = 24;
const SHORTEST_BAR = 8;

/** Progress of one phase with a known number of steps. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #label: string;
  readonly #total: number;
  readonly #from: number;
  readonly #start: number;
  #first: { readonly done: number; readonly at: number } | undefined;
  #lastLine = -Infinity;
  #done: number;
  #drawn = false;

  /**
   * @param output Where to.
   * @param label What is going on, a word or two.
   * @param total Steps in all.
   * @param done Steps already done when this begins.
   * @param first What the bar says until the first step is done. Default: nothing.
   */
  constructor(output: ProgressOutput, label: string, total: number, done = 0, first = "") {
    this.#output = output;
    this.#label = label;
    this.#total = total;
    this.#from = this.#done = done;
    this.#start = output.now();
    output.onProgress?.({ label, done, total, text: "" });
    if (output.terminal) this.#draw(first);
  }

  /**
   * Shows how far it is.
   *
   * @param done Steps done.
   * @param text The figures of the last step.
   */
  update(done: number, text: string): void {
    this.#done = done;
    this.#first ??= { done, at: this.#output.now() };
    this.#output.onProgress?.({ label: this.#label, done, total: this.#total, text });
    if (this.#output.quiet) return;
    if (this.#output.terminal) return this.#draw(text);
    const now = this.#output.now();
    // The first step tells how long the others will take, so it is worth a line.
    if (now - this.#lastLine < LINE_EVERY && done < this.#total) return;
    this.#lastLine = now;
    const count = `${String(done).padStart(String(this.#total).length)}/${this.#total}`;
    this.#output.write(joined(`${this.#label} ${count}`, text, this.#pace()) + "\n");
  }

  /** Says something on a line of its own. */
  note(text: string): void {
    this.clear();
    for (const line of wrap(text, this.#output.columns)) this.#output.write(`${line}\n`);
  }

  /** Removes the bar, leaving room for something else. */
  clear(): void {
    if (this.#drawn) this.#output.write(CLEAR_LINE);
    this.#drawn = false;
  }

  #pace(): string {
    // Drivers compile kernels at their first use: the first step says little of the others.
    const { done, at } = this.#first ?? { done: this.#from, at: this.#start };
    const alone = this.#done === done;
    const steps = this.#done - (alone ? this.#from : done);
    const seconds = this.#output.now() - (alone ? this.#start : at);
    if (steps === 0 || seconds === 0) return "";
    const each = seconds / steps;
    const rate = each > 1 ? `${each.toFixed(2)} s/step` : `${(1 / each).toFixed(1)} step/s`;
    const left = (this.#total - this.#done) * each;
    return this.#done < this.#total ? `${rate}  ${duration(left)} left` : rate;
  }

  #draw(text: string): void {
    if (this.#output.quiet) return;
    const [done, total] = [this.#done, this.#total];
    // A line that wraps could not be drawn over.
    const room = this.#output.columns - 1;
    const parts = joined(this.#pace(), text).split(PARTS);
    const line = (bar: string) => joined(`${this.#label} ${bar} ${done}/${total}`, ...parts);
    while (parts.length > 0 && line("").length + SHORTEST_BAR > room) parts.pop();
    const width = Math.max(0, Math.min(BAR, room - line("").length));
    const filled = Math.round(width * Math.min(1, done / Math.max(1, total)));
    const bar = "█".repeat(filled) + "░".repeat(width - filled);
    this.#output.write(CLEAR_LINE + line(bar).slice(0, room));
    this.#drawn = true;
  }
}

/**
 * Shows how far an evaluation is; without a terminal only of one that takes more than some seconds.
 *
 * @param output Where to.
 * @param work The evaluation, which is given what to tell its progress to.
 */
export async function evaluating<T>(
  output: ProgressOutput,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  const start = output.now();
  let progress: Progress | undefined;
  try {
    return await work((done, total) => {
      if (progress === undefined) progress = new Progress(output, "evaluation", total, done);
      else if (output.terminal || output.now() - start >= LINE_EVERY) progress.update(done, "");
    });
  } finally {
    progress?.clear();
  }
}

/** What stands between the parts of a line. */
const PARTS = "  ";

/** The parts that say something, with room between them. */
function joined(...parts: string[]): string {
  return parts.filter((part) => part !== "").join(PARTS);
}
