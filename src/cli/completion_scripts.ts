/**
 * Scripts that make a shell complete commands, flags and their values, generated from the tables
 * of flags that also make `--help`.
 *
 * @module
 */

import { type Flags, kebab } from "./args.ts";
import type { CommandHelp } from "./help.ts";

/** Shells there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One of them. */
export type Shell = typeof SHELLS[number];

/** A command as a shell has to know it. */
export interface CompletableCommand {
  /** What it does, a few words. */
  readonly about: string;
  /** Its flags. */
  readonly help: CommandHelp;
}

/** Commands by name. */
export type CompletableCommands = ReadonlyMap<string, CompletableCommand>;

/** The script of a shell, for the command `deltal` and for `deno task` in a checkout. */
export function completionScript(shell: Shell, commands: CompletableCommands): string {
  return { bash, zsh, fish }[shell](commands);
}

/** A flag as a shell has to know it. */
interface ShellFlag {
  /** Without its dashes. */
  readonly name: string;
  readonly help: string;
  /** Whether something follows it, and whether it has to. */
  readonly value: "none" | "optional" | "required";
  /** Words that may follow. */
  readonly words: readonly string[];
  /** Whether a file or a folder may follow. */
  readonly path: boolean;
}

/** Placeholders that stand for any value, and those that stand for a file or a folder. */
const ANY = /^(n|x|text|port|-)$/;
const PATH = /^(dir$|file|\.\/)/;

function shellFlags({ help }: CompletableCommand): ShellFlag[] {
  const flags: Flags = Object.assign({}, ...help.sections.map(({ flags }) => flags));
  const own = Object.entries(flags).map(([name, flag]): ShellFlag => {
    const parts = flag.parse ? flag.placeholder?.split("|") ?? [] : [];
    return {
      name: kebab(name),
      help: flag.help,
      value: !flag.parse ? "none" : flag.alone === undefined ? "required" : "optional",
      words: parts.filter((part) => !ANY.test(part) && !PATH.test(part)),
      path: parts.some((part) => PATH.test(part)),
    };
  });
  return [...own, { name: "help", help: "Show the flags.", value: "none", words: [], path: false }];
}

/** What a command takes without a flag. */
function operand({ help }: CompletableCommand): Pick<ShellFlag, "words" | "path"> {
  const words = /<([\w|]+)>/.exec(help.usage)?.[1]?.split("|") ?? [];
  return { words, path: help.usage.includes("[folder]") };
}

/** A file that tells this repository from others with tasks of the same names. */
const MARK = "src/cli/completion_scripts.ts";

function bash(commands: CompletableCommands): string {
  const names = [...commands.keys()].join(" ");
  const cases = [...commands].map(([name, command]) => {
    const flags = shellFlags(command);
    const followers = Map.groupBy(flags.filter(({ value }) => value !== "none"), (flag) => {
      // What may stand alone may be followed by another flag.
      const words = [...flag.words, ...(flag.value === "optional" ? ["$flags"] : [])].join(" ");
      return `words="${words}"${flag.path ? " paths=1" : ""}`;
    });
    const values = [...followers].map(([action, flags]) =>
      `${flags.map(({ name }) => `--${name}`).join("|")}) ${action} ;;`
    );
    const { words, path } = operand(command);
    const other = `*) words="${["$flags", ...words].join(" ")}"${path ? " paths=1" : ""} ;;`;
    return [
      `    ${name})`,
      `      flags="${flags.map(({ name }) => `--${name}`).join(" ")}"`,
      "      case $previous in",
      ...[...values, other].map((line) => `        ${line}`),
      "      esac ;;",
    ].join("\n");
  });
  return `# Completion of deltal for bash: source <(deno task completions bash)
_deltal_at() {
  local command=\${COMP_WORDS[$1]} current=\${COMP_WORDS[COMP_CWORD]}
  local previous=\${COMP_WORDS[COMP_CWORD-1]} words= paths= flags=
  if (( COMP_CWORD == $1 )); then
    COMPREPLY=($(compgen -W "${names}" -- "$current"))
    return
  fi
  # --flag=value is three words to bash.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case $command in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $paths ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
_deltal() { _deltal_at 1; }
_deltal_deno() {
  if [[ \${COMP_WORDS[1]} == task && $COMP_CWORD -gt 2 && -f ${MARK} &&
    " ${names} " == *" \${COMP_WORDS[2]} "* ]]; then
    _deltal_at 2
  elif [[ $_deltal_before ]]; then
    "$_deltal_before" "$@"
  fi
}
if [[ $(complete -p deno 2>/dev/null) =~ -F\\ ([^ ]+) && \${BASH_REMATCH[1]} != _deltal_deno ]]; then
  _deltal_before=\${BASH_REMATCH[1]}
fi
complete -F _deltal deltal
complete -o default -F _deltal_deno deno`;
}

function zsh(commands: CompletableCommands): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const plain = (text: string) => text.replaceAll(/[[\]:\\]/g, "\\$&");
  const cases = [...commands].map(([name, command]) => {
    const specs = shellFlags(command).map((flag) => {
      const option = `--${flag.name}`;
      const help = `[${plain(flag.help)}]`;
      if (flag.value === "none") return quote(option + help);
      const words = flag.words.join(" ");
      const action = !flag.path ? `(${words})` : words ? `{compadd ${words}; _files}` : "_files";
      return quote(`${option}=${help}${flag.value === "optional" ? "::" : ":"}value:${action}`);
    });
    const { words, path } = operand(command);
    if (path) specs.push(quote("::folder:_files -/"));
    if (words.length > 0) specs.push(quote(`:value:(${words.join(" ")})`));
    return `    ${name}) _arguments \\\n      ${specs.join(" \\\n      ")} ;;`;
  });
  const described = [...commands].map(([name, { about }]) => quote(`${name}:${plain(about)}`));
  return `#compdef deltal
# Completion of deltal for zsh: source <(deno task completions zsh)
_deltal_flags() {
  case $1 in
${cases.join("\n")}
  esac
}
_deltal() {
  if (( CURRENT == 2 )); then
    local -a commands=(${described.join(" ")})
    _describe command commands
  else
    shift words
    (( CURRENT -= 1 ))
    _deltal_flags $words[1]
  fi
}
_deltal_deno() {
  local -a names=(${[...commands.keys()].join(" ")})
  if (( CURRENT > 3 )) && [[ $words[2] == task && -f ${MARK} ]] &&
    (( \${names[(Ie)$words[3]]} )); then
    shift 2 words
    (( CURRENT -= 2 ))
    _deltal_flags $words[1]
  elif (( $+functions[_deno] )); then
    _deno "$@"
  else
    _default
  fi
}
compdef _deltal deltal
compdef _deltal_deno deno`;
}

function fish(commands: CompletableCommands): string {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
  const lines = [...commands].flatMap(([name, command]) => {
    const own = shellFlags(command).map((flag) => {
      const words = flag.words.length > 0 ? ` -a ${quote(flag.words.join(" "))}` : "";
      const files = flag.path ? " -F" : "";
      // fish offers what may follow a flag only where something has to.
      const follows = flag.value === "required" || words !== "" || flag.path;
      const needed = follows ? (flag.path ? " -r" : " -x") : "";
      return `-l ${flag.name}${needed}${files}${words} -d ${quote(flag.help)}`;
    });
    const { words, path } = operand(command);
    const other = words.length > 0 ? [`-f -a ${quote(words.join(" "))}`] : path ? ["-F"] : [];
    return [...own, ...other].flatMap((rest) => [
      `complete -c deltal -n ${quote(`__deltal_at 2 ${name}`)} ${rest}`,
      `complete -c deno -n ${quote(`__deltal_at 3 ${name}`)} ${rest}`,
    ]);
  });
  const described = [...commands].map(([name, { about }]) =>
    `complete -c deltal -n __deltal_begins -a ${name} -d ${quote(about)}`
  );
  return `# Completion of deltal for fish: deno task completions fish | source
function __deltal_begins
  test (count (commandline -opc)) -eq 1
end
function __deltal_at
  set -l words (commandline -opc)
  test (count $words) -ge $argv[1]; or return 1
  test "$words[$argv[1]]" = $argv[2]; or return 1
  test $argv[1] -eq 2; or test "$words[2]" = task -a -f ${MARK}
end
# Deno's own are loaded first, because they replace what is there.
complete -C 'deno ' >/dev/null
complete -c deltal -f
${[...described, ...lines].join("\n")}`;
}
