/**
 * What made a result: program, source, device, machine.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { AdapterSummary } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import type { KernelChoices } from "../gpu/kernel.ts";
import { numbersOf } from "../run/numbers.ts";
import { VERSION } from "../run/version.ts";

/** What made a result. */
export interface Provenance {
  /** Version of this package. */
  readonly version: string;
  /** Commit of the checkout, where there is one. */
  readonly commit?: string;
  /** Version of Deno. */
  readonly deno: string;
  /** Operating system and processor architecture. */
  readonly platform: string;
  /** Logical processors. */
  readonly processors: number;
  /** The GPU. */
  readonly adapter: AdapterSummary;
  /** Fingerprint of its numbers, see `numbersOf`. */
  readonly numbers?: string;
  /** Kernels other than the built-in choices, by operation; left out where there are none. */
  readonly kernels?: KernelChoices;
  /** When, in UTC. */
  readonly at: string;
}

/** Describes this process and its device. */
export async function provenance(gpu: Gpu): Promise<Provenance> {
  const commit = await checkedOutCommit();
  return {
    version: VERSION,
    ...(commit ? { commit } : {}),
    deno: Deno.version.deno,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    processors: availableParallelism(),
    adapter: gpu.adapter,
    numbers: await numbersOf(gpu),
    ...(Object.keys(gpu.kernels).length > 0 ? { kernels: gpu.kernels } : {}),
    at: new Date().toISOString(),
  };
}

/**
 * The commit that a working copy stands at, read from git's own files.
 *
 * @param dir Root of the working copy.
 * @returns `undefined` where there is no git, or it is laid out in another way.
 */
export async function checkedOutCommit(dir = "."): Promise<string | undefined> {
  const git = join(dir, ".git");
  try {
    const head = (await Deno.readTextFile(join(git, "HEAD"))).trim();
    const name = /^ref: (\S+)$/.exec(head)?.[1];
    if (name === undefined) return head;
    try {
      return (await Deno.readTextFile(join(git, name))).trim();
    } catch {
      const packed = await Deno.readTextFile(join(git, "packed-refs"));
      return packed.split("\n").find((line) => line.endsWith(` ${name}`))?.slice(0, 40);
    }
  } catch {
    return undefined;
  }
}
