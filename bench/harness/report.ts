/**
 * What a benchmark writes: one JSON file with the machine it ran on.
 *
 * @module
 */

import type { AdapterSummary } from "../../src/gpu/adapter.ts";

/** Where and with what something was measured. */
export interface Machine {
  /** The device. */
  readonly adapter: AdapterSummary;
  /** Operating system and architecture. */
  readonly target: string;
  /** Processors. */
  readonly processors: number;
  /** Running tasks over the last minute when the measurement began; above `processors` times are too long. */
  readonly load: number;
  /** Versions of Deno and V8. */
  readonly versions: Readonly<Record<string, string>>;
  /** When it began, ISO 8601. */
  readonly date: string;
}

/** Describes this machine. */
export function machine(adapter: AdapterSummary): Machine {
  return {
    adapter,
    target: Deno.build.target,
    processors: navigator.hardwareConcurrency,
    load: loadAverage(),
    versions: { ...Deno.version },
    date: new Date().toISOString(),
  };
}

function loadAverage(): number {
  try {
    return Deno.loadavg()[0]!;
  } catch {
    return NaN; // needs a permission of its own
  }
}

/**
 * Writes results as JSON, without what JSON cannot hold.
 *
 * @param path The file; folders are made.
 * @param results Anything.
 */
export async function writeResults(path: string, results: unknown): Promise<void> {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (folder) await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(results, null, 2) + "\n");
}

/** A file name for results of this moment: `runs/bench/2026-01-31T12-00-00-kernels.json`. */
export function resultsPath(suite: string): string {
  return `runs/bench/${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-${suite}.json`;
}
