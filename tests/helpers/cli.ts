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

/** How a command is run. */
interface CommandOptions {
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A command for a module of this repository, with the permissions of `deno task train`. */
function denoCommand(
  module: string,
  args: readonly string[],
  cwd: string,
  { env = {} }: CommandOptions = {},
): Deno.Command {
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
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs the command line to its end. */
export async function runCommand(cwd: string, ...args: string[]): Promise<CommandResult> {
  return await resultOf(denoCommand("../../src/cli/main.ts", args, cwd));
}

/** Runs commands one after the other, in a process of their own with variables in its environment. */
export async function runCommandsWith(
  env: Readonly<Record<string, string>>,
  cwd: string,
  ...commands: string[][]
): Promise<CommandResult[]> {
  const command = denoCommand("./commands.ts", [JSON.stringify(commands)], cwd, { env });
  const { code, stdout, stderr } = await resultOf(command);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function resultOf(command: Deno.Command): Promise<CommandResult> {
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** How a process tells its id. */
const PID = /^pid (\d+)$/m;

/** A process that told its id: the command that was started may be a wrapper around it. */
export class AnnouncedProcess {
  /** Whether it was killed. */
  killed = false;
  /** Milliseconds it took to tell what `end` waited for, if it did. */
  toldAfter: number | undefined;
  readonly #start = performance.now();
  readonly #child: Deno.ChildProcess;

  /** @param child Whose standard error begins with `pid` and its process id. */
  constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /**
   * Waits for the end, by itself or by SIGKILL.
   *
   * @param moment Milliseconds after it told something when it is killed.
   * @param since What it has to tell on its standard error; its id if not given.
   */
  async end(moment = Infinity, since: RegExp = PID): Promise<CommandResult> {
    await using child = this.#child;
    const stdout = new Response(child.stdout).text();
    let stderr = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    let kill: Promise<void> | undefined;
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      stderr += piece;
      if (timer !== undefined || moment === Infinity || !since.test(stderr)) continue;
      const pid = PID.exec(stderr)![1]!;
      this.toldAfter = performance.now() - this.#start;
      timer = setTimeout(() => kill = this.#kill(pid), moment);
    }
    clearTimeout(timer);
    await kill;
    const { code } = await child.status;
    return { code, stdout: await stdout, stderr };
  }

  async #kill(pid: string): Promise<void> {
    const { success } = await new Deno.Command("sh", { args: ["-c", `kill -KILL ${pid}`] })
      .output();
    this.killed = success;
  }
}

/** Starts the command line so that it can be killed. */
export function spawnAnnounced(cwd: string, ...args: string[]): AnnouncedProcess {
  return new AnnouncedProcess(denoCommand("./announced.ts", args, cwd).spawn());
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
      const pid = PID.exec(stderr)![1];
      await new Deno.Command("sh", { args: ["-c", `kill -INT ${pid}`] }).output();
    }
  }
  const { code } = await child.status;
  return { code, stdout: await stdout, stderr };
}
