/**
 * Time per kernel from timestamp queries. Each dispatch gets a pass of its own while profiling, so the whole is a
 * little slower than without.
 *
 * @module
 */

import { type Command, type DispatchTimer, encode, paramNow } from "./command.ts";
import type { Gpu } from "./device.ts";
import { bytesOf } from "./tensor.ts";

/** Accumulated figures of one dispatch path. */
export interface ProfileEntry {
  /** Name of the plan it belongs to. */
  readonly plan: string;
  /** Path of the dispatch in the plan. */
  readonly label: string;
  /** The kernel it runs. */
  readonly kernel: string;
  /** Times it ran. */
  calls: number;
  /** GPU time, nanoseconds. */
  nanoseconds: number;
  /** Floating-point operations stated by its launcher. */
  flops: number;
  /** Bytes moved as stated by its launcher, else those of all that it binds. */
  bytes: number;
}

/** Timestamps of one submit on their way to the host. */
interface Batch {
  readonly staging: GPUBuffer;
  readonly entries: readonly ProfileEntry[];
}

/** Bytes of what a command binds, at the sizes of now: what it moves if it reads or writes each number once. */
function boundBytes({ bindings, kernel, workgroups }: Command): number {
  if (paramNow(workgroups) <= 0) return 0;
  return kernel.bindings.reduce((sum, { name }) => {
    const { length, dtype } = bindings[name]!;
    return sum + bytesOf(length, dtype);
  }, 0);
}

/** Dispatches of one submit that can be timed. */
const CAPACITY = 2048;
const BYTES = 16 * CAPACITY;

/**
 * Collects timestamps around every dispatch. Set {@linkcode Gpu.profiler} to use one.
 *
 * Nothing is awaited while work is submitted: {@linkcode Profiler.collect} may wait until a step is over, at the price
 * of 32 KiB of staging memory for each submit since.
 */
export class Profiler implements DispatchTimer {
  /** Figures by plan and dispatch path. */
  readonly entries: Map<string, ProfileEntry> = new Map();
  /** Dispatches that had no room for a timestamp, because their submit had more than 2048. */
  untimed = 0;
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #free: GPUBuffer[] = [];
  #encoded: ProfileEntry[] = [];
  #submitted: Batch[] = [];

  /**
   * Makes the query set.
   *
   * @param gpu A device with timestamp queries.
   * @throws {Error} If the device has none.
   */
  constructor(gpu: Gpu) {
    if (!gpu.adapter.timestamps) {
      throw new Error(
        `Cannot profile: ${gpu.adapter.description} has no timestamp queries. Run without --profile`,
      );
    }
    this.#gpu = gpu;
    this.#queries = gpu.device.createQuerySet({ type: "timestamp", count: 2 * CAPACITY });
    this.#resolved = gpu.createBuffer(
      BYTES,
      GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      "profile",
    );
  }

  /** Encodes a dispatch in a timed pass of its own; beyond the capacity of one submit, untimed. */
  encode(encoder: GPUCommandEncoder, plan: string, command: Command): void {
    const slot = this.#encoded.length;
    const timed = slot < CAPACITY;
    const pass = encoder.beginComputePass(
      timed
        ? {
          timestampWrites: {
            querySet: this.#queries,
            beginningOfPassWriteIndex: 2 * slot,
            endOfPassWriteIndex: 2 * slot + 1,
          },
        }
        : {},
    );
    encode(pass, command, this.#gpu.counters);
    pass.end();
    if (!timed) {
      this.untimed++;
      return;
    }
    const key = `${plan}: ${command.label}`;
    let entry = this.entries.get(key);
    if (!entry) {
      entry = {
        plan,
        label: command.label,
        kernel: command.kernel.label,
        calls: 0,
        nanoseconds: 0,
        flops: 0,
        bytes: 0,
      };
      this.entries.set(key, entry);
    }
    entry.calls++;
    entry.flops += command.cost?.flops?.() ?? 0;
    entry.bytes += command.cost?.bytes?.() ?? boundBytes(command);
    this.#encoded.push(entry);
  }

  /** Encodes the copy of this submit's timestamps; called last before a submit. */
  encodeCopy(encoder: GPUCommandEncoder): void {
    const entries = this.#encoded;
    if (entries.length === 0) return;
    this.#encoded = [];
    const staging = this.#free.pop() ?? this.#gpu.createBuffer(
      BYTES,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      "profile.staging",
    );
    encoder.resolveQuerySet(this.#queries, 0, 2 * entries.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 16 * entries.length);
    this.#submitted.push({ staging, entries });
  }

  /** Waits for the submits so far and adds their times to {@linkcode entries}. */
  async collect(): Promise<void> {
    for (const { staging, entries } of this.#submitted.splice(0)) {
      await staging.mapAsync(GPUMapMode.READ, 0, 16 * entries.length);
      const times = new BigUint64Array(staging.getMappedRange(0, 16 * entries.length).slice(0));
      staging.unmap();
      this.#free.push(staging);
      for (const [i, entry] of entries.entries()) {
        entry.nanoseconds += Number(times[2 * i + 1]! - times[2 * i]!);
      }
    }
  }

  /** Forgets the figures so far, for instance those of a warm-up. */
  reset(): void {
    this.entries.clear();
    this.untimed = 0;
  }

  /** Releases the memory. Take it off {@linkcode Gpu.profiler} first. */
  destroy(): void {
    this.#queries.destroy();
    const staging = [...this.#free, ...this.#submitted.map((batch) => batch.staging)];
    for (const buffer of [this.#resolved, ...staging]) this.#gpu.destroyBuffer(buffer);
  }
}
