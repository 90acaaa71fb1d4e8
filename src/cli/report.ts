/**
 * `report`: one HTML file about the results in a folder.
 *
 * @module
 */

import { join } from "node:path";
import type { WrittenReport } from "../report/report.ts";
import { latestRun } from "../run/run_directory.ts";
import { callableHere } from "./command_name.ts";
import { type FlagValues, switchFlag, textFlag, UsageError } from "./args.ts";
import { checkFolder } from "./folders.ts";
import { type Command, command } from "./command.ts";
import { byteSize } from "./style.ts";
import { RUNS } from "./runs.ts";

const FLAGS = {
  out: textFlag("dir", "With several folders: where their report goes.", "runs/report"),
  verbose: switchFlag("Print where in the code an error arose."),
};

/** `report`. */
export const REPORT: Command = command({
  name: "report",
  brief: "Write one HTML file about the results in a folder",
  operands: "[folder …] [flags]",
  about:
    "Writes report.html into the folder of a training run, a comparison or a variance study: " +
    "figures, tables, what was run, first and last completions. It is one file that needs no network. " +
    "Of several training runs: their curves and results side by side, also those of TRL (a folder with trainer_state.json or " +
    "checkpoints) and verl (with the .jsonl of its logger file). Without a folder: the latest training run.",
  examples: [["deno task report runs/parity-*", "all runs of parity in one page"]],
  flags: FLAGS,
  parsed: (args) => separate(args).flags,
  run,
});

async function run({ out }: FlagValues<typeof FLAGS>, args: readonly string[]): Promise<number> {
  const folders = [...new Set(separate(args).words)];
  for (const folder of folders) await checkFolder(folder);
  const { path, bytes } = folders.length > 1
    ? await (await reports()).writeRunsReport(folders, out ?? join(RUNS, "report"))
    : await writeReport(await oneFolder(folders[0], out));
  console.log(`${path} (${byteSize(bytes)})`);
  return 0;
}

async function oneFolder(folder: string | undefined, out: string | undefined): Promise<string> {
  if (out !== undefined) {
    throw new UsageError("--out goes with several folders: one folder holds its own report");
  }
  const dir = folder ?? await latestRun(RUNS);
  if (dir === undefined) throw new UsageError(`there is no run below ${RUNS}: give a folder`);
  return dir;
}

/** Folders, and flags with their values. */
function separate(args: readonly string[]): { words: string[]; flags: string[] } {
  const isValue = args.map((_, i) => args[i - 1] === "--out");
  return {
    words: args.filter((arg, i) => !arg.startsWith("-") && !isValue[i]),
    flags: args.filter((arg, i) => arg.startsWith("-") || isValue[i]),
  };
}

/** What writes reports. */
async function reports(): Promise<typeof import("../report/report.ts")> {
  // Not a literal, so that the plotting library is fetched when a report is made and not before training begins.
  const module = new URL("../report/report.ts", import.meta.url).href;
  return await import(module) as typeof import("../report/report.ts");
}

/** Writes the report of a folder. */
async function writeReport(dir: string): Promise<WrittenReport> {
  return await (await reports()).writeReport(dir);
}

/**
 * Writes the report at the end of another command, which has done its work whatever becomes of the report.
 *
 * @returns What to tell of it.
 */
export async function reportAtEnd(dir: string): Promise<string> {
  try {
    const { path, bytes } = await writeReport(dir);
    return `${path} (${byteSize(bytes)})`;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return callableHere(`no report (${reason}); later: deno task report ${dir}`);
  }
}
