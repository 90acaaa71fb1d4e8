/**
 * The command line: `train`, `warm-start`, `eval`, `sample`, `probe`, `variance`,
 * `compare` and `report`.
 *
 * In a checkout run `deno task train` and the like; without one,
 * `deno run -A jsr:@deltal/deltal/cli train`. Every command has `--help`.
 *
 * @module
 */

import { nearest, UsageError } from "./args.ts";
import { compare } from "./compare.ts";
import { evalCommand } from "./eval.ts";
import { probeCommand } from "./probe.ts";
import { report } from "./report.ts";
import { sample } from "./sample.ts";
import { bold } from "./style.ts";
import { train } from "./train.ts";
import { varianceCommand } from "./variance.ts";
import { warmStart } from "./warm_start.ts";

const COMMANDS: ReadonlyMap<
  string,
  { run: (args: readonly string[]) => Promise<number>; about: string }
> = new Map([
  ["train", { run: train, about: "Train a policy on a task with a verifiable reward" }],
  ["warm-start", { run: warmStart, about: "Fit a new policy to a task's demonstrations" }],
  ["eval", { run: evalCommand, about: "Score a checkpoint on a task" }],
  ["sample", { run: sample, about: "Print what a checkpoint answers" }],
  ["probe", { run: probeCommand, about: "Tell what training would have to work with" }],
  ["variance", {
    run: varianceCommand,
    about: "Measure how biased and noisy each aggregation rule's gradient is",
  }],
  ["compare", { run: compare, about: "Train with every method of the paper and tabulate" }],
  ["report", { run: report, about: "Write one HTML file about the results in a folder" }],
]);

function help(): number {
  const lines = [...COMMANDS].map(([name, { about }]) => `  ${name.padEnd(12)}${about}`);
  console.log([
    "deltal: reinforcement learning of small language models on WebGPU",
    "",
    `${bold("Usage:")} deno task <command> [flags]`,
    "",
    ...lines,
    "",
    "Each command lists its flags with --help.",
  ].join("\n"));
  return 0;
}

/** What to tell of an error in one line. */
function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof Deno.errors.NotCapable
    ? `${message} (the tasks may write below runs/ only)`
    : message;
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
    console.error(`error: ${describe(error)}`);
    if (rest.includes("--verbose")) console.error(error);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
