/**
 * Flags of `compare` about shards and their folders.
 *
 * @module
 */

import type { Flag } from "./args.ts";

/** A part of the work: the i-th of n. */
export interface Shard {
  /** i, from 1. */
  readonly index: number;
  /** n. */
  readonly count: number;
}

/** Which part of the work. */
export const shard: Flag<Shard> = {
  parse(text: string): Shard {
    const [, index, count] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
    if (!index || !count || index > count) {
      throw new RangeError("give i/n with i from 1 to n, such as 2/8");
    }
    return { index, count };
  },
  placeholder: "i/n",
  help: "Make only every n-th run, beginning with the i-th; n machines that share the folder, or " +
    "whose folders are put together afterwards, make all of them.",
  default: "1/1",
};

/** Folders to put together. */
export const merge: Flag<readonly string[]> = {
  parse: (text) => text.split(","),
  placeholder: "dir …",
  help: "Make no run, but one folder of those of several, such as shards: all words that follow.",
};

/** Folders to look into. */
export const watch: Flag<readonly string[]> = {
  ...merge,
  help: "Make no run, but show on one live page how far the shards in these folders are.",
};

/** The words after a flag, up to the next flag, as its one value: shells expand `runs/shard-*` to many. */
export function withFolders(flag: string, args: readonly string[]): string[] {
  const at = args.indexOf(flag);
  if (at < 0) return [...args];
  const end = args.findIndex((arg, i) => i > at && arg.startsWith("-"));
  const folders = args.slice(at + 1, end < 0 ? args.length : end);
  const rest = end < 0 ? [] : args.slice(end);
  return [...args.slice(0, at + 1), ...(folders.length > 0 ? [folders.join(",")] : []), ...rest];
}
