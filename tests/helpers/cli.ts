/** Running the command line as a user does: as a process of its own, in some folder. */

import { fileURLToPath } from "node:url";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** What a command left behind. */
export interface CommandResult {
  /** Exit code. */
  readonly code: number;
  /** Standard output. */
  readonly stdout: string;
  /** Standard error. */
  readonly stderr: string;
}

/** A command for a module of this repository, with the permissions of `deno task train`. */
function denoCommand(module: string, args: readonly string[], cwd: string): Deno.Command {
  return new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write=runs",
      "--allow-net=127.0.0.1",
      "--allow-env=XDG_RUNTIME_DIR",
      `--config=${path("../../deno.json")}`,
      path(module),
      ...args,
    ],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Starts the command line; it ends with the block it is used in. */
export function spawnCommand(cwd: string, ...args: string[]): Deno.ChildProcess {
  return denoCommand("../../src/cli/main.ts", args, cwd).spawn();
}

/** Runs the command line to its end. */
export async function runCommand(cwd: string, ...args: string[]): Promise<CommandResult> {
  const command = denoCommand("../../src/cli/main.ts", args, cwd);
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/**
 * Runs a module that tells its process id, sends it a SIGINT when its standard error shows a text,
 * another one at the next text, and waits for the end.
 *
 * @param module Relative to this file.
 */
export async function interruptAt(
  module: string,
  cwd: string,
  texts: readonly string[],
  ...args: string[]
): Promise<CommandResult> {
  await using child = denoCommand(module, args, cwd).spawn();
  const stdout = new Response(child.stdout).text();
  const waiting = [...texts];
  let stderr = "";
  for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += piece;
    while (waiting.length > 0 && stderr.includes(waiting[0]!)) {
      waiting.shift();
      const pid = /^pid (\d+)$/m.exec(stderr)![1];
      await new Deno.Command("sh", { args: ["-c", `kill -INT ${pid}`] }).output();
    }
  }
  const { code } = await child.status;
  return { code, stdout: await stdout, stderr };
}
