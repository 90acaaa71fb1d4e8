/**
 * Making what takes memory: all of it, or nothing.
 *
 * @module
 */

import type { Gpu } from "./device.ts";
import type { Tensor } from "./tensor.ts";

/** Something that holds memory until it is destroyed. */
export interface Destroyable {
  /** Releases the memory. */
  destroy(): void;
}

/**
 * Makes something and readies it; if either fails, its memory is released.
 *
 * @param make Takes the memory.
 * @param ready Does the rest, such as compiling plans.
 */
export async function readied<T extends Destroyable>(
  gpu: Gpu,
  make: () => T,
  ready: (made: T) => Promise<unknown>,
): Promise<T> {
  return await assembled(async (own) => {
    const made = own(gpu.memory.allOrNone(make));
    await ready(made);
    return made;
  });
}

/** Takes note of a part and returns it. */
type Own = <P extends Destroyable>(part: P) => P;

/**
 * Makes something of parts; if one fails, those that there are already are destroyed, the last first.
 *
 * @param make Makes it.
 */
export async function assembled<T>(make: (own: Own) => Promise<T>): Promise<T> {
  const parts: Destroyable[] = [];
  try {
    return await make(noting(parts));
  } catch (error) {
    destroyAll(parts);
    throw error;
  }
}

/**
 * Computes something with parts that are destroyed afterwards, the last first.
 *
 * @param compute Computes it.
 */
export async function usingParts<T>(compute: (own: Own) => Promise<T>): Promise<T> {
  const parts: Destroyable[] = [];
  try {
    return await compute(noting(parts));
  } finally {
    destroyAll(parts);
  }
}

/** A tensor as a part. */
export function memoryOf(gpu: Gpu, tensor: Tensor): Destroyable {
  return { destroy: () => gpu.destroyTensor(tensor) };
}

function noting(parts: Destroyable[]): Own {
  return (part) => {
    parts.push(part);
    return part;
  };
}

function destroyAll(parts: readonly Destroyable[]): void {
  for (const part of parts.toReversed()) part.destroy();
}
