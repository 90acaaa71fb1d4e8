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
  /** Its standard input. */
  readonly stdin?: "null" | "piped";
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A command for a module of this repository, with the permissions of `deno task train`. */
function denoCommand(
  module: string,
  args: readonly string[],
  cwd: string,
  { stdin = "null", env = {} }: CommandOptions = {},
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
    stdin,
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
  return await runCommandWith({}, cwd, ...args);
}

/** Runs the command line to its end with variables in its environment. */
export async function runCommandWith(
  env: Readonly<Record<string, string>>,
  cwd: string,
  ...args: string[]
): Promise<CommandResult> {
  const command = denoCommand("../../src/cli/main.ts", args, cwd, { env });
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

/** Runs the command line to its end on a text as its standard input. */
export async function pipeCommand(
  cwd: string,
  input: string,
  ...args: string[]
): Promise<CommandResult> {
  const command = denoCommand("../../src/cli/main.ts", args, cwd, { stdin: "piped" });
  await using child = command.spawn();
  const stdout = new Response(child.stdout).text();
  const stderr = new Response(child.stderr).text();
  await new Response(input).body!.pipeTo(child.stdin);
  const { code } = await child.status;
  return { code, stdout: await stdout, stderr: await stderr };
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
