/**
 * The side of an engine in a comparison: a process that does one item of work at a time and says how long it took.
 *
 * It reads one JSON request per line and answers with one line that begins with {@linkcode MARK}; whatever else an engine
 * prints is ignored. Calls of WebGPU are counted at the API itself, the same way for every engine.
 *
 * @module
 */

import process from "node:process";
import type { Item } from "./work_items.ts";

/** Begins every answer. */
export const MARK = "@@bench ";

/** Work that is ready to run. */
export interface Ready {
  /** Does the work once and waits for the device. */
  readonly run: () => Promise<void>;
  /** A few of the results, to be compared between engines. */
  readonly results?: () => Promise<number[]>;
  /** Repetitions that one `run` stands for: its time is multiplied by this. Default 1. */
  readonly standsFor?: number;
  /** What is being measured, where it differs from what was asked for. */
  readonly note?: string;
  /** Releases what it holds. */
  readonly dispose?: () => void;
}

/** An engine. */
export interface Engine {
  /** Makes an item ready; `undefined` if the engine cannot do it. */
  prepare(item: Item): Promise<Ready | undefined> | Ready | undefined;
}

/** Calls of WebGPU. */
export interface ApiCalls {
  dispatches: number;
  passes: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  bytesToGpu: number;
}

/** What the coordinator asks. */
export type Request = { prepare: Item } | { run: number } | { close: true };

/** What the engine answers. */
export type Answer =
  | { ready: { firstMs: number; note?: string; results?: number[] } }
  | { unsupported: true }
  | { samples: { wallMs: number; cpuMs: number }[]; calls: ApiCalls; peakBytes: number }
  | { error: string };

const calls: ApiCalls = {
  dispatches: 0,
  passes: 0,
  submits: 0,
  bindGroups: 0,
  buffers: 0,
  bytesToGpu: 0,
};
let bytesAlive = 0;
let peakBytes = 0;
/** When the device was last known to have finished. */
let finishedAt = 0;

type Method = (...args: unknown[]) => unknown;

/** Replaces a method by one that also tells of each call and its result. */
function watch<T extends object>(
  prototype: T,
  name: keyof T,
  tell: (self: T, args: unknown[], result: unknown) => void,
): void {
  const original = prototype[name] as Method;
  (prototype[name] as Method) = function (this: T, ...args: unknown[]) {
    const result = original.apply(this, args);
    tell(this, args, result);
    return result;
  };
}

/**
 * Counts calls of WebGPU from here on.
 *
 * In Deno `mapAsync` and `onSubmittedWorkDone` return when the device has finished and then sleep 10 ms before they
 * resolve. The moment they return is what is noted, so that no engine pays for that sleep.
 */
function watchWebGpu(): void {
  const sizes = new WeakMap<GPUBuffer, number>();
  const finished = () => {
    finishedAt = performance.now();
  };
  watch(GPUComputePassEncoder.prototype, "dispatchWorkgroups", () => calls.dispatches++);
  watch(GPUComputePassEncoder.prototype, "dispatchWorkgroupsIndirect", () => calls.dispatches++);
  watch(GPUCommandEncoder.prototype, "beginComputePass", () => calls.passes++);
  watch(GPUQueue.prototype, "submit", () => calls.submits++);
  watch(GPUQueue.prototype, "onSubmittedWorkDone", finished);
  watch(GPUQueue.prototype, "writeBuffer", (_queue, [, , data, , size]) => {
    calls.bytesToGpu += (size as number | undefined) ?? (data as ArrayBuffer).byteLength;
  });
  watch(GPUDevice.prototype, "createBindGroup", () => calls.bindGroups++);
  watch(GPUDevice.prototype, "createBuffer", (_device, [descriptor], buffer) => {
    const { size } = descriptor as GPUBufferDescriptor;
    calls.buffers++;
    sizes.set(buffer as GPUBuffer, size);
    bytesAlive += size;
    peakBytes = Math.max(peakBytes, bytesAlive);
  });
  watch(GPUBuffer.prototype, "destroy", (buffer) => {
    bytesAlive -= sizes.get(buffer) ?? 0;
    sizes.delete(buffer);
  });
  watch(GPUBuffer.prototype, "mapAsync", finished);
}

async function answer(value: Answer): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${MARK}${JSON.stringify(value)}\n`));
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function runTimes(ready: Ready, times: number): Promise<Answer> {
  const samples = [];
  const factor = ready.standsFor ?? 1;
  const before = { ...calls };
  peakBytes = bytesAlive;
  for (let i = 0; i < times; i++) {
    const cpu = cpuMs();
    const start = performance.now();
    await ready.run();
    const end = finishedAt > start ? finishedAt : performance.now();
    samples.push({ wallMs: (end - start) * factor, cpuMs: (cpuMs() - cpu) * factor });
  }
  const perRun = Object.fromEntries(
    Object.entries(calls).map(([name, count]) => [
      name,
      (count - before[name as keyof ApiCalls]) / times * factor,
    ]),
  ) as unknown as ApiCalls;
  return { samples, calls: perRun, peakBytes };
}

/**
 * Serves requests from standard input until it closes.
 *
 * @param open Opens the engine; called after the counting has begun.
 */
export async function serve(open: () => Promise<Engine>): Promise<void> {
  watchWebGpu();
  const engine = await open();
  let ready: Ready | undefined;
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of Deno.stdin.readable) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end; (end = rest.indexOf("\n")) >= 0;) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      const request = JSON.parse(line) as Request;
      if ("close" in request) Deno.exit(0);
      try {
        if ("prepare" in request) {
          ready?.dispose?.();
          ready = await engine.prepare(request.prepare);
          if (!ready) {
            await answer({ unsupported: true });
            continue;
          }
          const start = performance.now();
          await ready.run();
          const firstMs = performance.now() - start;
          const results = await ready.results?.();
          await answer({
            ready: {
              firstMs,
              ...(ready.note ? { note: ready.note } : {}),
              ...(results ? { results } : {}),
            },
          });
        } else if (ready) {
          await answer(await runTimes(ready, request.run));
        } else {
          await answer({ error: "nothing is ready" });
        }
      } catch (error) {
        await answer({
          error: error instanceof Error ? error.stack ?? error.message : String(error),
        });
      }
    }
  }
}
