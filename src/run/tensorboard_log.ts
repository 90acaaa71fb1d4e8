/**
 * Metrics as TensorBoard reads them: an event file, which is a TFRecord file of `tensorflow.Event`
 * messages.
 *
 * A record is its length, that length's masked CRC-32C, the message, and the message's masked
 * CRC-32C (TensorFlow, `core/lib/io/record_writer`). Messages are protocol buffers
 * (`core/util/event.proto`, `core/framework/summary.proto`), of which four kinds are written.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { errors, fs, type HostFile } from "../host/host.ts";
import { join } from "../host/paths.ts";
import { writeAllSync } from "../files/atomic_file.ts";
import { type MetricsRecord, STEP } from "./metrics_log.ts";

/** Settings of {@linkcode TensorBoardLog.open}. */
export interface TensorBoardLogOptions {
  /** Step that a resumed run goes on from: what an earlier file says of later ones counts no more. */
  readonly resumeStep?: number | undefined;
  /** Seconds since 1970, asked for each event. Default: the clock. */
  readonly now?: (() => number) | undefined;
}

/**
 * An event file that metrics are appended to. A killed process loses at most the event it was
 * writing; TensorBoard leaves out an unfinished last record.
 *
 * @example
 * ```ts ignore
 * using log = TensorBoardLog.open("runs/mine");
 * for await (const { metrics } of train({ policy, task, maxSteps: 60, learningRate: 1e-3 })) {
 *   log.append(metrics);
 * }
 * ```
 */
export class TensorBoardLog implements Disposable {
  /** Where the file lies. */
  readonly path: string;
  readonly #file: HostFile;
  readonly #now: () => number;

  private constructor(path: string, file: HostFile, now: () => number) {
    this.path = path;
    this.#file = file;
    this.#now = now;
  }

  /**
   * Begins a new event file. TensorBoard shows all those of a folder as one run.
   *
   * @param dir The folder; it has to exist.
   */
  static open(dir: string, options: TensorBoardLogOptions = {}): TensorBoardLog {
    checkNames("TensorBoardLog.open", options, ["resumeStep", "now"]);
    const { resumeStep, now = () => Date.now() / 1000 } = options;
    const begin = String(Math.floor(now())).padStart(10, "0");
    for (let number = 0;; number++) {
      // Files are read in the order of their names.
      const path = join(dir, `events.out.tfevents.${begin}.deltal.${number}`);
      let file: HostFile;
      try {
        file = fs.openSync(path, { write: true, createNew: true });
      } catch (error) {
        if (error instanceof errors.AlreadyExists) continue;
        throw error;
      }
      const log = new TensorBoardLog(path, file, now);
      log.#write(0, text(3, "brain.Event:2"));
      // SessionLog of status START: events of this step and later ones that were read before go.
      if (resumeStep !== undefined) log.#write(resumeStep + 1, message(7, varintField(1, 1)));
      return log;
    }
  }

  /**
   * Appends the numbers of a line of metrics; those of lists and objects are left out.
   *
   * @param record The line: its step and its metrics, by tag.
   */
  append(record: MetricsRecord | Readonly<Record<string, number>>): void {
    const values = Object.entries(record).flatMap(([tag, value]) =>
      typeof value === "number" && tag !== STEP
        ? [message(1, [...text(1, tag), ...floatField(2, value)])]
        : []
    );
    if (values.length > 0) this.#write(Number(record[STEP]), message(5, values.flat()));
  }

  /**
   * Appends a text for the tab of texts, in Markdown.
   *
   * @param step The step it belongs to.
   * @param tag Its name.
   * @param markdown The text.
   */
  appendText(step: number, tag: string, markdown: string): void {
    const plugin = message(9, message(1, text(1, "text")));
    // A tensor of shape (1) of DT_STRING, which is 7.
    const shape = message(2, message(2, varintField(1, 1)));
    const tensor = message(8, [...varintField(1, 7), ...shape, ...text(8, markdown)]);
    const value = message(1, [...text(1, tag), ...tensor, ...plugin]);
    this.#write(step, message(5, value));
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  /** Closes it at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #write(step: number, what: readonly number[]): void {
    const event = [
      ...doubleField(1, this.#now()),
      ...(step === 0 ? [] : varintField(2, step)),
      ...what,
    ];
    writeAllSync(this.#file, tfRecord(Uint8Array.from(event)), this.path);
  }
}

/** A record of a TFRecord file. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

/** CRC-32C by bytes: the remainder of each, polynomial 0x1edc6f41 with its bits reversed. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** The CRC-32C of some bytes (RFC 3720, B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A CRC as TFRecord stores it, so that that of data which holds CRCs is no special one. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

// Fields of protocol buffers: a key, which is the field's number and its wire type, and a value.

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

function varintField(field: number, value: number): number[] {
  return [...varint(field << 3), ...varint(value)];
}

function message(field: number, bytes: readonly number[]): number[] {
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)]);
}

function doubleField(field: number, value: number): number[] {
  return [...varint((field << 3) | 1), ...new Uint8Array(Float64Array.of(value).buffer)];
}

function floatField(field: number, value: number): number[] {
  return [...varint((field << 3) | 5), ...new Uint8Array(Float32Array.of(value).buffer)];
}
