/** What tests of bad input share. */

import { join } from "node:path";
import { digestFile } from "../../src/run/fingerprint.ts";
import { TINY_POLICY } from "./tiny_run.ts";

/** Flags of a run of a second. */
export const TINY: readonly string[] = [
  ...TINY_POLICY,
  ...["--prompts-per-step=2", "--num-generations=4", "--warm-start-steps=0", "--max-steps=2"],
  ...["--eval-prompts=2", "--num-generations-eval=2", "--quiet"],
];

/** {@linkcode TINY} with other flags, which take the place of those of the same name. */
export function tinyWith(...flags: string[]): string[] {
  const nameOf = (flag: string) => flag.split("=")[0];
  const names = flags.map(nameOf);
  return [...TINY.filter((flag) => !names.includes(nameOf(flag))), ...flags];
}

/** Digests of everything in a folder, by path. */
export async function contentsOf(dir: string, prefix = ""): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    const path = join(dir, name);
    if (isDirectory) Object.assign(contents, await contentsOf(path, `${prefix}${name}/`));
    else contents[prefix + name] = await digestFile(path);
  }
  return contents;
}
