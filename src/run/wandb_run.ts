/**
 * A run at Weights & Biases that metrics are sent to while training goes on.
 *
 * @module
 */

import { jsonLine, type MetricsRecord, STEP } from "./metrics_log.ts";

/** What describes the run. */
export interface WandbDescription {
  /** Project it belongs to. */
  readonly project: string;
  /** Its name. */
  readonly name: string;
  /** Its settings, plain data. */
  readonly config: unknown;
}

/** What the worker is told. */
export type WandbMessage =
  | { readonly kind: "begin"; readonly run: WandbDescription }
  | { readonly kind: "log"; readonly step: number; readonly metrics: MetricsRecord }
  | { readonly kind: "finish"; readonly code: number };

/** What the worker answers. */
export type WandbReply =
  | { readonly kind: "began"; readonly url: string }
  | { readonly kind: "finished" }
  | { readonly kind: "failed"; readonly reason: string };

/** Milliseconds that the server gets to take the last metrics. */
const LAST = 30_000;

/** A run at Weights & Biases. What goes wrong there is told once and ends nothing else. */
export class WandbRun {
  /** Where it can be looked at. */
  readonly url: string;
  readonly #worker: Worker;
  readonly #finished = Promise.withResolvers<void>();
  readonly #onFailure: (reason: string) => void;
  #failed = false;

  private constructor(worker: Worker, url: string, onFailure: (reason: string) => void) {
    this.#worker = worker;
    this.url = url;
    this.#onFailure = onFailure;
    worker.onmessage = ({ data }: MessageEvent<WandbReply>) => {
      if (data.kind === "failed") this.#fail(data.reason);
      if (data.kind === "finished") this.#finished.resolve();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message);
    };
  }

  /**
   * Begins a run.
   *
   * @param run What describes it.
   * @param onFailure Is told once when no more can be sent.
   * @throws {Error} If the package is not installed, there is no key, or the server refuses.
   */
  static async begin(
    run: WandbDescription,
    onFailure: (reason: string) => void,
  ): Promise<WandbRun> {
    const worker = new Worker(new URL("./wandb_worker.ts", import.meta.url), { type: "module" });
    const began = Promise.withResolvers<string>();
    worker.onmessage = ({ data }: MessageEvent<WandbReply>) => {
      if (data.kind === "began") began.resolve(data.url);
      if (data.kind === "failed") began.reject(new Error(data.reason));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      began.reject(new Error(event.message));
    };
    worker.postMessage({ kind: "begin", run } satisfies WandbMessage);
    try {
      return new WandbRun(worker, await began.promise, onFailure);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** Sends a line of metrics; nothing is waited for. */
  append(line: MetricsRecord): void {
    if (this.#failed) return;
    // JSON, in which they are sent, has no NaN; the server understands these texts.
    const metrics: MetricsRecord = JSON.parse(jsonLine(line));
    this.#worker.postMessage({ kind: "log", step: line[STEP], metrics } satisfies WandbMessage);
  }

  /**
   * Ends the run and waits for the last metrics to be taken.
   *
   * @param code 0 if the run is done, otherwise why it ended.
   */
  async finish(code: number): Promise<void> {
    let late: ReturnType<typeof setTimeout> | undefined;
    if (!this.#failed) {
      this.#worker.postMessage({ kind: "finish", code } satisfies WandbMessage);
      late = setTimeout(() => this.#fail("the server does not answer"), LAST);
    }
    await this.#finished.promise;
    clearTimeout(late);
    this.#worker.terminate();
  }

  #fail(reason: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#finished.resolve();
    this.#onFailure(reason);
  }
}
