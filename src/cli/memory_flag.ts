/**
 * Sizes of memory on the command line.
 *
 * @module
 */

import type { Flag } from "./args.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
};

/** The flag for the most memory that a run may take. */
export const MEMORY_BUDGET_FLAG: Flag<number> = {
  parse(text: string): number {
    const [, number, unit] = /^(\d+(?:\.\d+)?) ?([KMG]i?B|)$/.exec(text) ?? [];
    const bytes = Math.floor(Number(number) * UNITS[unit!]!);
    if (!(bytes > 0)) throw new RangeError("give a size such as 7.5GiB or 800MB");
    return bytes;
  },
  placeholder: "size",
  help:
    "The most GPU memory to take: micro-batches become smaller, then activations are computed again.",
  default: "what is free, where that is known",
};
