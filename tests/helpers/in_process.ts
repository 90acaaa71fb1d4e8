/** The command line run inside the test's own process, which is much quicker than a process for each case. */

import { main } from "../../src/cli/main.ts";
import "./one_device.ts";
import type { CommandResult } from "./cli.ts";

/** Milliseconds after which a command that should end at once counts as hanging. */
const LIMIT = 60_000;

/**
 * Runs a command.
 *
 * @param cwd Where; the process is back where it was afterwards.
 * @throws {Error} If it does not come to an end.
 */
export async function runInProcess(cwd: string, ...args: string[]): Promise<CommandResult> {
  const before = Deno.cwd();
  const { log, error } = console;
  const lines: Record<"stdout" | "stderr", string> = { stdout: "", stderr: "" };
  console.log = (...texts: unknown[]) => lines.stdout += `${texts.join(" ")}\n`;
  console.error = (...texts: unknown[]) => lines.stderr += `${texts.join(" ")}\n`;
  Deno.chdir(cwd);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${args.join(" ")} hangs`)), LIMIT);
    });
    return { code: await Promise.race([main(args), late]), ...lines };
  } finally {
    clearTimeout(timer);
    Deno.chdir(before);
    [console.log, console.error] = [log, error];
  }
}
