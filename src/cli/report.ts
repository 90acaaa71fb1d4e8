/**
 * `report`: one HTML file about the results in a folder.
 *
 * @module
 */

import type { WrittenReport } from "../report/report.ts";
import { latestRun } from "../run/run_directory.ts";
import { callableHere } from "./command_name.ts";
import { UsageError } from "./args.ts";
import { type CommandHelp, printHelp } from "./help.ts";
import { byteSize } from "./style.ts";
import { RUNS } from "./runs.ts";

/** What `--help` says. */
export const HELP: CommandHelp = {
  usage: "deno task report [folder]",
  about:
    "Writes report.html into the folder of a training run, a comparison or a variance study: " +
    "figures, tables, settings, first and last completions. It is one file that needs no network. " +
    "Without a folder: the latest training run.",
  sections: [],
};

/**
 * The command.
 *
 * @returns Its exit code.
 */
export async function report(args: readonly string[]): Promise<number> {
  const folders = args.filter((arg) => !arg.startsWith("-"));
  const flags = args.filter((arg) => arg.startsWith("-"));
  if (flags.some((flag) => flag === "--help" || flag === "-h")) return printHelp(HELP);
  const unknown = flags.find((flag) => flag !== "--verbose");
  if (unknown) throw new UsageError(`there is no flag ${unknown}: give a folder, see --help`);
  if (folders.length > 1) {
    throw new UsageError(`one folder at a time: got ${folders.join(", ")}`);
  }
  const dir = folders[0] ?? await latestRun(RUNS);
  if (dir === undefined) throw new UsageError(`there is no run below ${RUNS}: give a folder`);
  const { path, bytes } = await writeReport(dir);
  console.log(`${path} (${byteSize(bytes)})`);
  return 0;
}

/** Writes the report of a folder. */
async function writeReport(dir: string): Promise<WrittenReport> {
  // Not a literal, so that the plotting library is fetched when a report is made and not before training begins.
  const module = new URL("../report/report.ts", import.meta.url).href;
  const { writeReport } = await import(module) as typeof import("../report/report.ts");
  return await writeReport(dir);
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
