/**
 * What the live page of a run is told: everything so far when it opens, then what is new, as
 * server-sent events.
 *
 * Telling it costs the run next to nothing. Nobody is waited for: a client that does not read is let
 * go once a few megabytes wait for it, and asks again when it can. The past is thinned out as it
 * grows.
 *
 * @module
 */

import { hasEvaluation, jsonLine, type MetricsRecord, STEP } from "./metrics_log.ts";
import type { StepLines } from "./run_directory.ts";

/** What stands above the figures. */
export interface LiveRun {
  /** What the run is of. */
  readonly title: string;
  /** Facts of it, such as its adapter: label and text. */
  readonly facts: readonly (readonly [label: string, text: string])[];
}

/** What is going on right now. */
export interface LiveState {
  /** The phase, a word or two. */
  readonly label: string;
  /** Steps of it that are done. */
  readonly done: number;
  /** Steps in all. */
  readonly total: number;
  /** Its latest figures. */
  readonly text: string;
}

/** Metrics that the page shows; what begins with `eval/` or `rewards/` it shows too. */
const SHOWN: readonly string[] = [
  STEP,
  "reward/mean",
  "reward/std",
  "response_length/mean",
  "response_length/std",
  "response_length/clip_ratio",
  "actor/entropy",
  "actor/grad_norm",
  "actor/lr",
  "frac_reward_zero_std",
  "timing_s/gen",
  "timing_s/reward",
  "timing_s/update",
  "timing_s/step",
  "perf/tokens_per_s",
  "perf/peak_gpu_mb",
];

/** Lines kept of the past; every other one goes when there are more. */
const MAX_LINES = 2048;

/** Clients at a time. */
const MAX_CLIENTS = 16;

/** Bytes that may wait for a client. */
const MAX_WAITING = 4 * 2 ** 20;

/** Warnings kept. */
const MAX_WARNINGS = 20;

/** A feed of one run. */
export class LiveFeed {
  readonly #clients = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #encoder = new TextEncoder();
  #about: LiveRun = { title: "", facts: [] };
  #lines: MetricsRecord[] = [];
  #completions: readonly MetricsRecord[] = [];
  #warnings: string[] = [];
  #state: LiveState | undefined;
  #end: string | undefined;

  /** Clients that listen. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Replaces what stands above the figures. */
  describe(about: LiveRun): void {
    this.#about = about;
    this.#send("about", about);
  }

  /** Adds lines of metrics.jsonl from before this session. */
  recall(lines: readonly MetricsRecord[]): void {
    for (const line of lines) this.#remember(shown(line));
    if (lines.length > 0) this.#send("snapshot", this.#snapshot());
  }

  /** Tells what is going on. */
  progress(state: LiveState): void {
    this.#state = state;
    this.#send("state", state);
  }

  /**
   * Adds a step, or an evaluation.
   *
   * @param lines What was appended to the run's files.
   * @param warnings What seems to go wrong since this step.
   */
  step({ line, completions }: StepLines, warnings: readonly string[] = []): void {
    const added = shown(line);
    this.#remember(added);
    if (completions.length > 0) this.#completions = completions;
    this.#warnings = [
      ...this.#warnings,
      ...warnings.map((text) => `step ${line[STEP]}: ${text}`),
    ].slice(-MAX_WARNINGS);
    this.#send("step", {
      line: added,
      completions,
      ...(warnings.length > 0 ? { warnings: this.#warnings } : {}),
    });
  }

  /** Tells how the run ended, and lets everybody go. */
  end(text: string): void {
    this.#end = text;
    this.#send("end", text);
    for (const client of this.#clients) client.close();
    this.#clients.clear();
  }

  /**
   * The events of one more client, everything so far first.
   *
   * @returns `undefined` if there are too many.
   */
  connect(): ReadableStream<Uint8Array> | undefined {
    if (this.#clients.size >= MAX_CLIENTS) return undefined;
    let client: ReadableStreamDefaultController<Uint8Array>;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        client = controller;
        client.enqueue(this.#encode("snapshot", this.#snapshot()));
        if (this.#end === undefined) this.#clients.add(client);
        else client.close();
      },
      cancel: () => void this.#clients.delete(client),
    }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING }));
  }

  #snapshot(): unknown {
    return {
      about: this.#about,
      lines: this.#lines,
      completions: this.#completions,
      warnings: this.#warnings,
      state: this.#state ?? null,
      end: this.#end ?? null,
    };
  }

  #remember(line: MetricsRecord): void {
    this.#lines.push(line);
    if (this.#lines.length <= MAX_LINES) return;
    this.#lines = this.#lines.filter((line, i) => i % 2 === 0 || hasEvaluation(line));
  }

  #encode(event: string, data: unknown): Uint8Array<ArrayBuffer> {
    // JSON has no line breaks of its own, so this is one line of data.
    return this.#encoder.encode(`event: ${event}\ndata: ${jsonLine(data)}\n\n`);
  }

  #send(event: string, data: unknown): void {
    if (this.#clients.size === 0) return;
    const bytes = this.#encode(event, data);
    for (const client of this.#clients) {
      if (client.desiredSize! > 0) {
        client.enqueue(bytes);
      } else {
        this.#clients.delete(client);
        client.close();
      }
    }
  }
}

/** A line with only what the page shows. */
function shown(line: MetricsRecord): MetricsRecord {
  const entries = Object.entries(line)
    .filter(([name]) => SHOWN.includes(name) || /^(eval|rewards)\//.test(name));
  return Object.fromEntries(entries) as MetricsRecord;
}
