/**
 * The profile of a run as a table: where the GPU's time went.
 *
 * @module
 */

import type { ProfileEntry, Profiler } from "../gpu/profile.ts";
import type { DevicePeaks } from "../ops/general/peaks.ts";

/** Figures of all dispatches that do the same, summed. */
export interface ProfileRow {
  /** Plan and path, the layers of a policy taken together: `learner: layers.*.mlp.down_proj.forward`. */
  readonly path: string;
  /** The kernel, or the kernels if the layers differ. */
  readonly kernel: string;
  /** Times it ran. */
  readonly calls: number;
  /** GPU time. */
  readonly seconds: number;
  /** Part of all GPU time, from 0 to 1. */
  readonly share: number;
  /** Floating-point operations per second; 0 where the launcher states none. */
  readonly flopsPerSecond: number;
  /** Bytes per second; 0 where the launcher states none. */
  readonly bytesPerSecond: number;
}

/** Options of {@linkcode profileRows}. */
export interface ProfileReportOptions {
  /** What makes one row: the path of a dispatch, or the kernel it runs. Default `"path"`. */
  groupBy?: "path" | "kernel";
}

/** Options of {@linkcode formatProfile}. */
export interface FormatProfileOptions extends ProfileReportOptions {
  /** The most rows; the others are summed up in a last one. Default 40. */
  rows?: number;
  /** What the device can do, as `measurePeaks` finds; rows then say how near to it they come. */
  peaks?: DevicePeaks | undefined;
}

/**
 * Sums a profile up.
 *
 * @param entries {@linkcode Profiler.entries}' values, after {@linkcode Profiler.collect}.
 * @param options What makes one row.
 * @returns Rows, the longest time first.
 */
export function profileRows(
  entries: Iterable<ProfileEntry>,
  options: ProfileReportOptions = {},
): ProfileRow[] {
  const groups = new Map<string, { kernels: Set<string>; entries: ProfileEntry[] }>();
  let total = 0;
  for (const entry of entries) {
    const path = options.groupBy === "kernel"
      ? entry.kernel
      : `${entry.plan}: ${entry.label.replaceAll(/\blayers\.\d+\./g, "layers.*.")}`;
    const group = groups.get(path) ?? { kernels: new Set(), entries: [] };
    groups.set(path, group);
    group.kernels.add(entry.kernel);
    group.entries.push(entry);
    total += entry.nanoseconds;
  }
  return [...groups].map(([path, { kernels, entries }]) => {
    const sum = (of: (entry: ProfileEntry) => number) => entries.reduce((n, e) => n + of(e), 0);
    const nanoseconds = sum((e) => e.nanoseconds);
    const rate = (amount: number) => nanoseconds > 0 ? amount / nanoseconds * 1e9 : 0;
    return {
      path,
      kernel: [...kernels].join(", "),
      calls: sum((e) => e.calls),
      seconds: nanoseconds / 1e9,
      share: total > 0 ? nanoseconds / total : 0,
      flopsPerSecond: rate(sum((e) => e.flops)),
      bytesPerSecond: rate(sum((e) => e.bytes)),
    };
  }).sort((a, b) => b.seconds - a.seconds);
}

/**
 * How near a row comes to what the device can do: the larger of its shares of the peak rates of computing and of memory.
 *
 * @returns 1 where one of them is used up; 0 where nothing is stated.
 */
export function roofline(row: ProfileRow, peaks: DevicePeaks): number {
  return Math.max(
    row.flopsPerSecond / peaks.flopsPerSecond,
    row.bytesPerSecond / peaks.bytesPerSecond,
  );
}

/**
 * A profile as a table for people.
 *
 * @param profiler After {@linkcode Profiler.collect}.
 * @param options What makes one row, and how many there are.
 * @returns Lines of text: share, time, calls, GFLOP/s or GB/s, with `peaks` the part of the device's, and what it is.
 *
 * @example
 * ```ts ignore
 * gpu.profiler = new Profiler(gpu);
 * await trainer.next();
 * await gpu.profiler.collect();
 * console.log(formatProfile(gpu.profiler));
 * ```
 */
export function formatProfile(profiler: Profiler, options: FormatProfileOptions = {}): string {
  const all = profileRows(profiler.entries.values(), options);
  const limit = options.rows ?? 40;
  const rows = all.slice(0, limit);
  const seconds = (list: readonly ProfileRow[]) => list.reduce((n, row) => n + row.seconds, 0);
  const calls = (list: readonly ProfileRow[]) => list.reduce((n, row) => n + row.calls, 0);
  const kernels = options.groupBy !== "kernel";
  const { peaks } = options;
  const cells = rows.map((row) => [
    percent(row.share),
    milliseconds(row.seconds),
    String(row.calls),
    milliseconds(row.seconds / row.calls),
    row.flopsPerSecond > 0 ? (row.flopsPerSecond / 1e9).toFixed(1) : "",
    row.bytesPerSecond > 0 ? (row.bytesPerSecond / 1e9).toFixed(1) : "",
    ...(peaks ? [`${(100 * roofline(row, peaks)).toFixed(0)} %`] : []),
    kernels ? `${row.path}  (${row.kernel})` : row.path,
  ]);
  const rest = all.slice(limit);
  if (rest.length > 0) {
    cells.push([
      percent(rest.reduce((n, row) => n + row.share, 0)),
      milliseconds(seconds(rest)),
      String(calls(rest)),
      milliseconds(seconds(rest) / calls(rest)),
      "",
      "",
      ...(peaks ? [""] : []),
      `${rest.length} others`,
    ]);
  }
  const head = [
    "share",
    "ms",
    "calls",
    "ms/call",
    "GFLOP/s",
    "GB/s",
    ...(peaks ? ["of peak"] : []),
    kernels ? "path" : "kernel",
  ];
  const width = (column: number) =>
    [head, ...cells].reduce((n, line) => Math.max(n, line[column]!.length), 0);
  const last = head.length - 1;
  const format = (line: readonly string[]) =>
    line.map((cell, column) => column === last ? cell : cell.padStart(width(column))).join("  ");
  const summary = `GPU time ${seconds(all).toFixed(3)} s in ${calls(all)} dispatches`;
  const untimed = profiler.untimed > 0 ? `; ${profiler.untimed} more were not timed` : "";
  const measured = peaks
    ? `; the device does ${(peaks.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s and ` +
      `${(peaks.bytesPerSecond / 1e9).toFixed(1)} GB/s`
    : "";
  return [summary + untimed + measured, format(head), ...cells.map(format)].join("\n");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function milliseconds(seconds: number): string {
  const ms = seconds * 1000;
  return ms.toFixed(ms < 1 ? 3 : ms < 100 ? 2 : 0);
}
