/**
 * The command line run inside the test's own process, on its one device, which is much quicker than a process for each
 * case.
 *
 * @module
 */

import { stripVTControlCharacters } from "node:util";
import { main } from "../../src/cli/main.ts";
import type { CommandResult } from "./cli.ts";
import "./one_device.ts";

/** Milliseconds after which a command counts as hanging, however busy the machine is. */
const LIMIT = 600_000;

/** Runs a command as where nothing is a terminal, see {@linkcode runInProcessWith}. */
export async function runInProcess(cwd: string, ...args: string[]): Promise<CommandResult> {
  return await runInProcessWith({}, cwd, ...args);
}

/**
 * Runs a command as where nothing is a terminal.
 *
 * @param streams What its standard input has, and who is told all that it has printed, whenever that is more.
 * @param cwd Where; the process is back where it was afterwards.
 * @throws {Error} If it does not come to an end.
 */
export async function runInProcessWith(
  { stdin, onPrint }: {
    readonly stdin?: string;
    readonly onPrint?: (stdout: string) => void;
  },
  cwd: string,
  ...args: string[]
): Promise<CommandResult> {
  const before = Deno.cwd();
  const { log, error } = console;
  const told = { stdout: "", stderr: "" };
  const line = (values: unknown[]) =>
    values.map((value) => typeof value === "string" ? value : Deno.inspect(value)).join(" ") +
    "\n";
  console.log = (...values: unknown[]) => {
    told.stdout += line(values);
    onPrint?.(told.stdout);
  };
  console.error = (...values: unknown[]) => told.stderr += line(values);
  const streams = [Deno.stdout, Deno.stderr] as Partial<typeof Deno.stderr>[];
  for (const stream of streams) stream.isTerminal = () => false;
  Deno.stderr.writeSync = (bytes) => {
    told.stderr += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  if (stdin !== undefined) {
    const { body } = new Response(stdin);
    Object.defineProperty(Deno.stdin, "readable", { value: body, configurable: true });
  }
  Deno.chdir(cwd);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${args.join(" ")} hangs`)), LIMIT);
    });
    const code = await Promise.race([main(args), late]);
    const plain = stripVTControlCharacters;
    return { code, stdout: plain(told.stdout), stderr: plain(told.stderr) };
  } finally {
    clearTimeout(timer);
    Deno.chdir(before);
    [console.log, console.error] = [log, error];
    // What the streams do themselves is their class's.
    Reflect.deleteProperty(Deno.stdin, "readable");
    for (const stream of streams) {
      delete stream.isTerminal;
      delete stream.writeSync;
    }
  }
}
