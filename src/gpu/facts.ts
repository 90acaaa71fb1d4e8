/**
 * What is found out about a device when it is opened.
 *
 * @module
 */

import { type AdapterSummary, summarize } from "./adapter.ts";
import { type Dialect, probeDialect } from "./dialect.ts";
import { probeLoopLimit } from "./loop_limit.ts";
import { probeSynchronousMapping } from "./mapping.ts";

/** What is known of a device. */
export interface DeviceFacts {
  /** What the adapter is and can do. */
  readonly adapter: AdapterSummary;
  /** Whether a mapping can be read without awaiting it. */
  readonly mapsSynchronously: boolean;
  /** Whether it may make a kernel's machine code as late as at its first dispatch: processors alone do. */
  readonly compilesLate: boolean;
  /** How its compiler wants WGSL. */
  readonly dialect: Dialect;
  /** Turns after which the driver ends the loops of an invocation. */
  readonly loopLimit: number;
}

/**
 * Asks a device what it can do, and tries what it does not say.
 *
 * @param device The device.
 * @param info What its adapter says of itself, where it is known.
 */
export async function factsOf(device: GPUDevice, info?: GPUAdapterInfo): Promise<DeviceFacts> {
  const adapter = summarize(device, info);
  return {
    adapter,
    compilesLate: adapter.isFallback,
    dialect: await probeDialect(device),
    mapsSynchronously: await probeSynchronousMapping(device),
    // Only processors have been seen to end loops.
    loopLimit: adapter.isFallback ? await probeLoopLimit(device) : Infinity,
  };
}
