import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { choiceFlag, numberFlag, switchFlag, textFlag, UsageError } from "../../src/cli/args.ts";
import { completionScript, type Shell, SHELLS } from "../../src/cli/completion_scripts.ts";
import { completions } from "../../src/cli/completions.ts";
import { runCommand } from "../helpers/cli.ts";
import { test } from "../helpers/test.ts";

const COMMANDS = new Map([
  ["train", {
    about: "Train a policy",
    help: {
      usage: "deno task train [flags]",
      about: "",
      sections: [
        {
          title: "Run",
          flags: {
            lossScope: choiceFlag(["batch", "miniBatch"] as const, "Whose: it's [all] of them."),
            maxSteps: numberFlag({ min: 0, max: 9, integer: true }, "Steps."),
            out: textFlag("dir", "Folder."),
          },
        },
        {
          title: "Output",
          flags: {
            resume: { ...textFlag("dir|latest", "Go on."), alone: "latest" },
            quiet: switchFlag("Say less."),
          },
        },
      ],
    },
  }],
  ["report", {
    about: "Write a report",
    help: { usage: "deno task report [folder]", about: "", sections: [] },
  }],
  ["completions", {
    about: "Print a script",
    help: { usage: "deno task completions <bash|fish>", about: "", sections: [] },
  }],
]);

/** Runs a program of a shell, if there is that shell. */
async function inShell(shell: Shell, program: string, cwd: string): Promise<string | undefined> {
  await Deno.writeTextFile(join(cwd, "program"), program);
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `command -v ${shell} >/dev/null || exit 99; exec ${shell} ./program`],
    cwd,
  }).output();
  if (code === 99) return undefined;
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

test.inDir("bash completes commands, flags and what follows them, of deltal and of deno task", async (dir) => {
  const cases: [words: string, expected: string][] = [
    ["deltal ''", "train report completions"],
    ["deltal r", "report"],
    ["deltal train --m", "--max-steps"],
    ["deltal train --loss-scope ''", "batch mini-batch"],
    ["deltal train --loss-scope = m", "mini-batch"],
    ["deltal train --loss-scope =", "batch mini-batch"],
    ["deltal train --max-steps ''", ""],
    ["deltal train --max-steps 3 --q", "--quiet"],
    ["deltal train --resume la", "latest"],
    ["deltal train --resume --q", "--quiet"],
    ["deltal train --out so", "some_folder"],
    ["deltal report so", "some_folder"],
    ["deltal completions f", "fish"],
    ["deno task train --m", "--max-steps"],
    ["deno run train --m", ""],
    ["deno task fmt --m", ""],
  ];
  await Deno.mkdir(join(dir, "some_folder"));
  await Deno.mkdir(join(dir, "src", "cli"), { recursive: true });
  await Deno.writeTextFile(join(dir, "src", "cli", "completion_scripts.ts"), "");
  const program = [
    completionScript("bash", COMMANDS),
    "ask() {",
    '  COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()',
    "  if [[ $1 == deno ]]; then _deltal_deno; else _deltal; fi",
    '  echo "${COMPREPLY[*]}"',
    "}",
    ...cases.map(([words]) => `ask ${words}`),
  ].join("\n");
  const printed = await inShell("bash", program, dir);
  if (printed === undefined) return;
  const answers = printed.split("\n").slice(0, -1);
  assertEquals(answers.map((answer, i) => [cases[i]![0], answer]), cases);
});

test.inDir("fish completes the same", async (dir) => {
  await Deno.mkdir(join(dir, "src", "cli"), { recursive: true });
  await Deno.writeTextFile(join(dir, "src", "cli", "completion_scripts.ts"), "");
  const ask = (line: string) => `complete -C '${line}'; echo`;
  const program = [
    completionScript("fish", COMMANDS),
    ...["deltal r", "deltal train --lo", "deltal train --loss-scope m", "deno task train --max-s"]
      .map(ask),
  ].join("\n");
  const printed = await inShell("fish", program, dir);
  if (printed === undefined) return;
  const own = printed.split("\n").filter((line) => line !== "" && !line.startsWith("src"));
  assertEquals(own, [
    "report\tWrite a report",
    "--loss-scope\tWhose: it's [all] of them.",
    "mini-batch\tWhose: it's [all] of them.",
    "--max-steps\tSteps.",
  ]);
});

Deno.test("zsh gets one specification per flag, quoted", () => {
  const script = completionScript("zsh", COMMANDS);
  for (
    const text of [
      `'--loss-scope=[Whose\\: it'\\''s \\[all\\] of them.]:value:(batch mini-batch)'`,
      "'--max-steps=[Steps.]:value:()'",
      "'--out=[Folder.]:value:_files'",
      "'--resume=[Go on.]::value:{compadd latest; _files}'",
      "'--quiet[Say less.]'",
      "'::folder:_files -/'",
      "':value:(bash fish)'",
      "local -a commands=('train:Train a policy' 'report:Write a report'",
    ]
  ) assertStringIncludes(script, text);
});

test.inDir("completions prints a script that its shell can read, for every command there is", async (dir) => {
  for (const shell of SHELLS) {
    const { code, stdout, stderr } = await runCommand(dir, "completions", shell);
    assertEquals([code, stderr], [0, ""]);
    for (const name of ["train", "warm-start", "eval", "sample", "--loss-aggregation"]) {
      assertStringIncludes(stdout, shell === "fish" ? name.replace(/^--/, "-l ") : name);
    }
    await Deno.writeTextFile(join(dir, "script"), stdout);
    const check = `command -v ${shell} >/dev/null || exit 0; exec ${shell} -n ./script`;
    const read = await new Deno.Command("sh", { args: ["-c", check], cwd: dir }).output();
    assert(read.success, new TextDecoder().decode(read.stderr));
  }
});

Deno.test("completions of another shell are refused with the shells there are", () => {
  const refused: [string[], string][] = [
    [[], "a shell is missing: give one of bash, zsh, fish"],
    [["bsh"], "bsh is no shell known here: give one of bash, zsh, fish; did you mean bash?"],
    [["bash", "zsh"], "bash zsh is no shell known here: give one of bash, zsh, fish"],
    [["constructor"], "constructor is no shell known here: give one of bash, zsh, fish"],
  ];
  for (const [args, message] of refused) {
    assertEquals(
      assertThrows(() => completions(() => COMMANDS).run(args), UsageError).message,
      message,
    );
  }
});
