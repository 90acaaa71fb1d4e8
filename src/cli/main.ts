/**
 * The command line: `train`, `warm-start`, `eval`, `sample`, `probe`, `variance`, `compare`,
 * `tune`, `report` and `completions`.
 *
 * In a checkout run `deno task train` and the like; without one,
 * `deno run -A jsr:@deltal/deltal/cli train`. Every command has `--help`.
 *
 * @example A command as a function
 * ```ts
 * import { main } from "@deltal/deltal/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["eval", "--help"]), 0); // what the process would exit with
 * ```
 *
 * @module
 */

import { nearest } from "../input/names.ts";
import { UsageError } from "./args.ts";
import { VERSION } from "../run/version.ts";
import { callableHere, withAllPermissions } from "./command_name.ts";
import type { Command } from "./command.ts";
import { COMPARE } from "./compare.ts";
import { completions } from "./completions.ts";
import { EVAL } from "./eval.ts";
import { EXPORT } from "./export.ts";
import { PROBE } from "./probe.ts";
import { REPORT } from "./report.ts";
import { SAMPLE } from "./sample.ts";
import { bold } from "./style.ts";
import { TRAIN } from "./train.ts";
import { TUNE } from "./tune.ts";
import { VARIANCE } from "./variance.ts";
import { WARM_START } from "./warm_start.ts";

const COMMANDS: ReadonlyMap<string, Command> = new Map(
  [
    TRAIN,
    WARM_START,
    EVAL,
    SAMPLE,
    PROBE,
    EXPORT,
    VARIANCE,
    COMPARE,
    TUNE,
    REPORT,
    completions(() => COMMANDS),
  ].map((command) => [command.name, command]),
);

function help(): number {
  const lines = [...COMMANDS].map(([name, { about }]) => `  ${name.padEnd(13)}${about}`);
  console.log([
    "deltal: reinforcement learning of small language models on WebGPU",
    "",
    callableHere(`${bold("Usage:")} deno task <command> [flags]`),
    "",
    ...lines,
    "",
    "Each command lists its flags with --help.",
  ].join("\n"));
  return 0;
}

/** What to tell of an error in one line. */
function describe(error: unknown, args: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.NotCapable && message.includes("write access")) {
    return `${message} (the tasks may write below runs/ only)`;
  }
  const denied = /, run again with the --allow-[a-z]+ flag/;
  if (!isDenied(error) || !denied.test(message)) return message;
  return message.replace(
    denied,
    `, which the tasks do not have; to grant it, run: ${
      withAllPermissions(args, { native: message.includes("--allow-ffi") })
    }`,
  );
}

/** Whether a permission was missing, here or in a verifier. */
function isDenied(error: unknown): boolean {
  if (error instanceof Deno.errors.NotCapable) return true;
  return error instanceof Error && error.cause !== undefined && isDenied(error.cause);
}

/**
 * Runs a command.
 *
 * @param args Its name and its flags.
 * @returns The exit code: 0, 1 for an error, 2 for a command line that cannot be followed, 130 if
 * Ctrl-C stopped it.
 */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === undefined || name === "--help" || name === "-h" || name === "help") return help();
    if (name === "--version") {
      console.log(`deltal ${VERSION}`);
      return 0;
    }
    const command = COMMANDS.get(name);
    if (command === undefined) {
      const near = nearest(name, [...COMMANDS.keys()]);
      throw new UsageError(
        `there is no command ${name}${near ? `, did you mean ${near}?` : ":"} commands are ` +
          [...COMMANDS.keys()].join(", "),
      );
    }
    return await command.run(rest);
  } catch (error) {
    console.error(`error: ${describe(error, args)}`);
    if (rest.includes("--verbose")) console.error(error);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
