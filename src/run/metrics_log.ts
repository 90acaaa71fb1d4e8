/**
 * The metrics of a run: a text file of one JSON object per line, one line or more per step.
 *
 * JSON has no NaN and no infinities, and a diverging run is where they matter. They are written as
 * the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, which Python's `float()` and JavaScript's
 * `Number()` understand; {@linkcode readMetrics} turns them back into numbers.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { writeAllSync } from "../files/atomic_file.ts";
import { fs, type HostFile } from "../host/host.ts";

/** What a metric may be. */
export type MetricValue =
  | number
  | string
  | boolean
  | null
  | readonly MetricValue[]
  | { readonly [key: string]: MetricValue };

/** One line of metrics. */
export interface MetricsRecord {
  /** The training step the line belongs to, counted from 0. */
  readonly "training/global_step": number;
  /** Any other metric, by name. */
  readonly [key: string]: MetricValue;
}

/** Whether a line holds figures of an evaluation. */
export function hasEvaluation(line: MetricsRecord): boolean {
  return Object.keys(line).some((name) => name.startsWith("eval/"));
}

/** Settings of {@linkcode MetricsLog.open}. */
export interface MetricsLogOptions {
  /** Keep only lines of steps up to this one, by default all lines. */
  readonly resumeStep?: number;
}

/** The metric that says which step a line belongs to. */
export const STEP = "training/global_step";
const NEWLINE = 10;
const NON_FINITE = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);

interface Line {
  readonly record: MetricsRecord;
  /** One past the line's last byte, its newline not counted. */
  readonly end: number;
}

/** Makes a number of a text that stands for one. */
function withNumbers(_: string, value: unknown): unknown {
  return typeof value === "string" ? NON_FINITE.get(value) ?? value : value;
}

function parseRecord(text: string, revive?: typeof withNumbers): MetricsRecord {
  const record = JSON.parse(text, revive);
  const step = record?.[STEP];
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new TypeError(`${STEP} is ${JSON.stringify(step)}`);
  }
  return record;
}

/** The lines of a log; the last one is left out if it was not written to its end. */
function parseLines(bytes: Uint8Array, path: string, revive?: typeof withNumbers): Line[] {
  const lines: Line[] = [];
  for (let begin = 0; begin < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, begin);
    const end = newline < 0 ? bytes.length : newline;
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(begin, end));
      lines.push({ record: parseRecord(text, revive), end });
    } catch (cause) {
      if (newline < 0) break;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SyntaxError(
        `${path}: line ${lines.length + 1} is not a JSON object with a whole-numbered ${STEP}: ` +
          reason,
        { cause },
      );
    }
    begin = end + 1;
  }
  return lines;
}

/**
 * Reads a log of metrics, one record per line.
 *
 * A last line that a stopped process did not finish is left out.
 *
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {SyntaxError} Naming the line that is damaged, if it is not the unfinished last one.
 */
export async function readMetrics(path: string): Promise<MetricsRecord[]> {
  return parseLines(await fs.readFile(path), path, withNumbers).map(({ record }) => record);
}

/**
 * Reads a log that has texts among its columns, such as completions: a text stays one, also where it says `NaN`.
 *
 * @throws {Deno.errors.NotFound | SyntaxError} As {@linkcode readMetrics}.
 */
export async function readTexts(path: string): Promise<MetricsRecord[]> {
  return parseLines(await fs.readFile(path), path).map(({ record }) => record);
}

/**
 * An open log that records are appended to.
 *
 * Every record is handed to the operating system as one whole line before `append` returns, so a
 * killed process loses at most the line it was writing.
 *
 * @example
 * ```ts ignore
 * using log = MetricsLog.open("runs/1/metrics.jsonl", { resumeStep: 200 });
 * log.append({ "training/global_step": 201, "reward/mean": 0.5 });
 * ```
 */
export class MetricsLog implements Disposable {
  /** Where the log lies. */
  readonly path: string;
  readonly #file: HostFile;
  /** The last line, and where it begins. */
  #last: { readonly record: MetricsRecord; readonly begin: number } | undefined;
  #size: number;

  private constructor(path: string, file: HostFile, lines: readonly Line[]) {
    this.path = path;
    this.#file = file;
    const last = lines.at(-1);
    this.#last = last && { record: last.record, begin: endOf(lines.at(-2)) };
    this.#size = endOf(last);
  }

  /**
   * Opens a log, making the file if there is none.
   *
   * An unfinished last line is cut off, and so are the lines of steps after `resumeStep`, which a
   * run resumed from that step's checkpoint writes again.
   *
   * @throws {RangeError} If `resumeStep` is not a whole number of 0 or more.
   * @throws {SyntaxError} Naming the line that is damaged, if it is not the unfinished last one.
   */
  static open(path: string, options: MetricsLogOptions = {}): MetricsLog {
    checkNames("MetricsLog.open", options, ["resumeStep"]);
    const { resumeStep = Number.MAX_SAFE_INTEGER } = options;
    if (!Number.isSafeInteger(resumeStep) || resumeStep < 0) {
      throw new RangeError(`resumeStep is ${resumeStep}: give a whole number of 0 or more`);
    }
    const file = fs.openSync(path, { read: true, write: true, create: true });
    try {
      const lines = parseLines(fs.readFileSync(path), path);
      // Steps never decrease, so what is kept is one piece.
      const kept = lines.filter(({ record }) => record[STEP] <= resumeStep);
      file.truncateSync(kept.at(-1)?.end ?? 0);
      file.seekSync(0, 2);
      if (kept.length > 0) writeAllSync(file, Uint8Array.of(NEWLINE), path);
      return new MetricsLog(path, file, kept);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Appends one line.
   *
   * @throws {RangeError} If `training/global_step` is not a whole number of 0 or more, or is less
   * than that of the line before.
   */
  append(record: MetricsRecord): void {
    const step = record[STEP];
    const lastStep = this.#last?.record[STEP] ?? 0;
    if (!Number.isSafeInteger(step) || step < lastStep) {
      throw new RangeError(
        `${this.path}: ${STEP} is ${step}: give a whole number of at least ${lastStep}, ` +
          `the step of the line before`,
      );
    }
    this.#write(record, this.#size);
  }

  /**
   * Appends what was found out about a step later than its other metrics: to its line where that is
   * the last one, otherwise as a line of its own.
   *
   * @throws {RangeError} As {@linkcode append}.
   */
  amend(record: MetricsRecord): void {
    const last = this.#last;
    if (last?.record[STEP] !== record[STEP]) return this.append(record);
    // Begins as the line that is there does, so that only its end changes.
    this.#write({ ...last.record, ...record }, last.begin);
  }

  #write(record: MetricsRecord, begin: number): void {
    const bytes = new TextEncoder().encode(jsonLine(record) + "\n");
    this.#file.seekSync(begin, 0);
    writeAllSync(this.#file, bytes, this.path);
    this.#last = { record, begin };
    this.#size = begin + bytes.length;
  }

  /** Brings the log to disk and closes it. */
  close(): void {
    this.#file.syncSync();
    this.#file.close();
  }

  /** Brings the log to disk and closes it at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Where the line after it begins. */
function endOf(line: Line | undefined): number {
  return line === undefined ? 0 : line.end + 1;
}

/** A value as JSON, in which numbers that are not finite are texts. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(
    value,
    (_, value) => typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  );
}
