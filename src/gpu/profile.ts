/**
 * Time per kernel from timestamp queries. Each dispatch gets a pass of its own while profiling, so the whole is a
 * little slower than without.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import type { Command, Plan } from "./plan.ts";

/** Accumulated figures of one dispatch path. */
export interface ProfileEntry {
  /** Path of the dispatch. */
  readonly label: string;
  /** The kernel it runs. */
  readonly kernel: string;
  /** Times it ran. */
  calls: number;
  /** GPU time, nanoseconds. */
  nanoseconds: number;
  /** Floating-point operations stated by its launcher. */
  flops: number;
  /** Bytes moved as stated by its launcher. */
  bytes: number;
}

const CAPACITY = 2048;

/** Collects timestamps around every dispatch. Set {@linkcode Gpu.profiler} to use one. */
export class Profiler {
  /** Figures by dispatch path. */
  readonly entries = new Map<string, ProfileEntry>();
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #pending: ProfileEntry[] = [];

  /**
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
      16 * CAPACITY,
      GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      "profile",
    );
    this.#staging = gpu.createBuffer(
      16 * CAPACITY,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      "profile.staging",
    );
  }

  /** Encodes a dispatch in a timed pass of its own; beyond the capacity of one submit, untimed. */
  encode(encoder: GPUCommandEncoder, plan: Plan, command: Command): void {
    const slot = this.#pending.length;
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
    plan.encodeCommand(pass, command);
    pass.end();
    if (!timed) return;
    let entry = this.entries.get(command.label);
    if (!entry) {
      entry = {
        label: command.label,
        kernel: command.kernel.label,
        calls: 0,
        nanoseconds: 0,
        flops: 0,
        bytes: 0,
      };
      this.entries.set(command.label, entry);
    }
    entry.calls++;
    entry.flops += command.cost?.flops?.() ?? 0;
    entry.bytes += command.cost?.bytes?.() ?? 0;
    this.#pending.push(entry);
  }

  /** Collects the timestamps of the submit just made; call after every submit while profiling. */
  async collect(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length === 0) return;
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * pending.length, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16 * pending.length);
    this.#gpu.device.queue.submit([encoder.finish()]);
    await this.#staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(this.#staging.getMappedRange().slice(0));
    this.#staging.unmap();
    for (const [i, entry] of pending.entries()) {
      entry.nanoseconds += Number(times[2 * i + 1]! - times[2 * i]!);
    }
  }
}
