/**
 * The text of `--help`.
 *
 * @module
 */

import { type Flags, kebab } from "./args.ts";
import { callableHere } from "./command_name.ts";
import { bold, dim, lineWidth, wrap } from "./style.ts";

/** Flags under a heading. */
export interface FlagSection {
  /** The heading. */
  readonly title: string;
  /** What is listed under it. */
  readonly flags: Flags;
}

/** What `--help` says of a command. */
export interface CommandHelp {
  /** The command line, such as `deno task train [flags]`. */
  readonly usage: string;
  /** What it does, a sentence or two. */
  readonly about: string;
  /** Its flags. */
  readonly sections: readonly FlagSection[];
  /** Command lines worth copying, each with what it does. */
  readonly examples?: readonly (readonly [command: string, what: string])[];
}

/** Column where descriptions begin; longer flags have theirs on the next line. */
const COLUMN = 38;

/**
 * The text of `--help`.
 *
 * @param help What to say.
 * @param width Columns of the terminal; between 60 and 100 are used.
 */
export function formatHelp(help: CommandHelp, width = 100): string {
  const columns = Math.max(60, Math.min(100, width));
  const lines = [...wrap(help.about, columns), "", `${bold("Usage:")} ${help.usage}`];
  for (const { title, flags } of help.sections) {
    lines.push("", bold(title));
    for (const [name, flag] of Object.entries(flags)) {
      const value = !flag.parse
        ? ""
        : flag.alone === undefined
        ? ` <${flag.placeholder}>`
        : ` [${flag.placeholder}]`;
      const left = `  --${kebab(name)}${value}`;
      const standard = flag.default === undefined ? "" : ` [${flag.default}]`;
      const text = wrap(flag.help + standard, columns - COLUMN);
      const fits = left.length + 2 <= COLUMN;
      lines.push(fits ? left.padEnd(COLUMN) + text.shift() : left);
      lines.push(...text.map((line) => " ".repeat(COLUMN) + line));
    }
  }
  if (help.examples?.length) {
    lines.push("", bold("Examples"));
    for (const [command, what] of help.examples) lines.push(`  ${command}`, `      ${dim(what)}`);
  }
  return lines.join("\n");
}

/**
 * Prints the text of `--help`.
 *
 * @returns The exit code.
 */
export function printHelp(help: CommandHelp): number {
  console.log(callableHere(formatHelp(help, lineWidth())));
  return 0;
}
