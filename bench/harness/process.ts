/**
 * Talking to an engine in a process of its own.
 *
 * @module
 */

import type { Item } from "./work_items.ts";
import { type Answer, type ApiCalls, MARK, type Request } from "./worker.ts";

/** How to start an engine. */
export interface EngineCommand {
  /** Name in tables. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
}

/** Samples of one turn. */
export interface Turn {
  /** Milliseconds of each run. */
  readonly samples: readonly { readonly wallMs: number; readonly cpuMs: number }[];
  /** Calls of WebGPU per run; all 0 for engines that do not use it. */
  readonly calls: ApiCalls;
  /** The most bytes of GPU buffers alive. */
  readonly peakBytes: number;
}

/** An engine that is running. */
export class EngineProcess {
  /** Name in tables. */
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncIterator<string>;

  /** Starts the engine. */
  constructor({ name, command }: EngineCommand) {
    this.name = name;
    const [program, ...args] = command;
    this.#process = new Deno.Command(program!, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = lines(this.#process.stdout);
    this.#errors = lastOf(this.#process.stderr);
  }

  readonly #errors: Promise<string>;

  async #ask(request: Request): Promise<Answer> {
    try {
      await this.#writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    } catch {
      // The process has ended; what it said last is read below.
    }
    while (true) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`${this.name} ended: ${await this.#errors}`);
      if (value.startsWith(MARK)) return JSON.parse(value.slice(MARK.length)) as Answer;
    }
  }

  /**
   * Makes an item ready.
   *
   * @returns Milliseconds of the first run, what is measured and a few results, or `undefined` if the engine cannot do it.
   * @throws {Error} With the engine's own message.
   */
  async prepare(
    item: Item,
  ): Promise<{ firstMs: number; note?: string; results?: number[] } | undefined> {
    const answer = await this.#ask({ prepare: item });
    if ("unsupported" in answer) return undefined;
    if ("ready" in answer) return answer.ready;
    throw new Error("error" in answer ? answer.error : "unexpected answer");
  }

  /** Runs what is ready. */
  async run(times: number): Promise<Turn> {
    const answer = await this.#ask({ run: times });
    if ("samples" in answer) return answer;
    throw new Error("error" in answer ? answer.error : "unexpected answer");
  }

  /** Ends the process. */
  async close(): Promise<void> {
    try {
      await this.#writer.write(new TextEncoder().encode('{"close":true}\n'));
      await this.#writer.close();
    } catch {
      // It has ended already.
    }
    await this.#process.status;
    await this.#errors;
    await this.#lines.return?.();
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

/** The end of what a stream says. */
async function lastOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text = (text + decoder.decode(chunk, { stream: true })).slice(-2000);
  }
  return text.trim();
}
