/**
 * What every command does: parse its flags, print its help or run.
 *
 * @module
 */

import { type Flags, type FlagValues, parseFlags } from "./args.ts";
import type { CompletableCommand } from "./completion_scripts.ts";
import { type CommandHelp, type FlagSection, printHelp } from "./help.ts";

/** A command. */
export interface Command extends CompletableCommand {
  readonly name: string;
  /** Runs it with what stands behind its name, and gives the exit code. */
  readonly run: (args: readonly string[]) => number | Promise<number>;
}

/** What a {@linkcode command} is made of. */
export interface CommandDefinition<F extends Flags>
  extends Omit<CommandHelp, "usage" | "sections"> {
  readonly name: string;
  /** What it does, a few words. */
  readonly brief: string;
  /** What follows its name. Default: a folder where it has a flag `checkpoint`, and flags. */
  readonly operands?: string;
  /** Its flags. */
  readonly flags: F;
  /** They under headings. Default: all under one. */
  readonly sections?: readonly FlagSection[];
  /** Arguments as its flags are parsed from. Default: as given. */
  readonly parsed?: (args: readonly string[]) => string[];
  /** Does it, and gives the exit code; `args` are as given. */
  readonly run: (values: FlagValues<F>, args: readonly string[]) => number | Promise<number>;
}

/** A command that parses flags. */
export function command<F extends Flags>(definition: CommandDefinition<F>): Command {
  const { name, brief, flags, parsed, run } = definition;
  // A folder by itself is the checkpoint, wherever there is one.
  const positional = "checkpoint" in flags ? "checkpoint" : undefined;
  const { operands = positional ? "[folder] [flags]" : "[flags]" } = definition;
  const { sections = [{ title: "Flags", flags }], about, examples = [] } = definition;
  const help = { usage: `deno task ${name} ${operands}`, about, sections, examples };
  return {
    name,
    about: brief,
    help,
    run(args) {
      const { values, help: asked } = parseFlags(flags, parsed?.(args) ?? args, positional);
      return asked ? printHelp(help) : run(values, args);
    },
  };
}
