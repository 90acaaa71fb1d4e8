/**
 * `completions`: scripts that make a shell complete commands, flags and their values.
 *
 * They serve `deltal …`, the command as it is installed, and `deno task …` in a checkout.
 *
 * @module
 */

import { nearest } from "../input/names.ts";
import { UsageError } from "./args.ts";
import {
  type CompletableCommands,
  completionScript,
  type Shell,
  SHELLS,
} from "./completion_scripts.ts";
import type { Command } from "./command.ts";
import { type CommandHelp, printHelp } from "./help.ts";

/** Makes `completions`, of the commands that are to be completed. */
export function completions(commands: () => CompletableCommands): Command {
  const help: CommandHelp = {
    usage: "deno task completions <bash|zsh|fish>",
    about: "Prints a script that makes a shell complete commands, flags and their values, for " +
      "`deno task` in this folder and for `deltal` where it is installed under that name.",
    sections: [],
    examples: [
      [
        "source <(deno task completions bash)",
        "for this session of bash; or put it into ~/.bashrc",
      ],
      ["source <(deno task completions zsh)", "for zsh, after compinit"],
      ["deno task completions fish | source", "for fish"],
    ],
  };
  return {
    name: "completions",
    about: "Make the shell complete commands and flags",
    help,
    run(args) {
      if (args.includes("--help") || args.includes("-h")) return printHelp(help);
      console.log(completionScript(shellOf(args), commands()));
      return 0;
    },
  };
}

/**
 * The shell that was given.
 *
 * @throws {UsageError} If there is none, or more than one word.
 */
function shellOf(args: readonly string[]): Shell {
  const [given, ...rest] = args.filter((arg) => arg !== "--verbose");
  const shell = SHELLS.find((shell) => shell === given);
  if (shell !== undefined && rest.length === 0) return shell;
  const near = given === undefined ? undefined : nearest(given, SHELLS);
  throw new UsageError(
    (given === undefined ? "a shell is missing" : `${args.join(" ")} is no shell known here`) +
      `: give one of ${SHELLS.join(", ")}` +
      (near && near !== given ? `; did you mean ${near}?` : ""),
  );
}
