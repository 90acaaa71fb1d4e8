import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { kebab, numberFlag, switchFlag, textFlag } from "../../src/cli/args.ts";
import { formatHelp } from "../../src/cli/help.ts";
import { byteSize, count, duration, percent, short, wrap } from "../../src/cli/style.ts";
import { TRAIN_FLAGS, TRAIN_SECTIONS } from "../../src/cli/train_flags.ts";
import { SETTINGS } from "../../src/rl/settings.ts";

Deno.test("help lists flags, what follows them, their defaults", () => {
  const text = formatHelp({
    usage: "deno task thing [flags]",
    about: "Does a thing.",
    sections: [{
      title: "Flags",
      flags: {
        maxSteps: numberFlag({ min: 0, max: 9, integer: true }, "Steps.", 6),
        resume: { ...textFlag("dir", "Go on."), alone: "latest" },
        quiet: switchFlag("Say less."),
        aFlagWhoseNameIsLongerThanUsual: textFlag("something", "Wraps to the next line."),
      },
    }],
    examples: [["deno task thing", "the thing"]],
  }, 70);
  assertEquals(
    text,
    `Does a thing.

Usage: deno task thing [flags]

Flags
  --max-steps <n>                     Steps. [6]
  --resume [dir]                      Go on.
  --quiet                             Say less.
  --a-flag-whose-name-is-longer-than-usual <something>
                                      Wraps to the next line.

Examples
  deno task thing
      the thing`,
  );
});

Deno.test("train --help lists every flag once, each with a sentence", () => {
  const text = formatHelp({ usage: "", about: "", sections: TRAIN_SECTIONS }, 100);
  const listed = TRAIN_SECTIONS.flatMap(({ flags }) => Object.keys(flags));
  assertEquals(listed.toSorted(), Object.keys(TRAIN_FLAGS).sort());
  for (const name of listed) assertStringIncludes(text, `  --${kebab(name)}`);
  for (const [name, { help }] of Object.entries(TRAIN_FLAGS)) {
    assert(/^[A-Z].*\.$/.test(help), `${name}: ${help}`);
  }
  // Flags are not broken; only lists of choices are longer than a terminal.
  for (const line of text.split("\n")) assert(line.length <= 100 || line.includes("|"), line);
});

Deno.test("every setting of the library has a flag", () => {
  const settings = Object.keys(SETTINGS);
  const flags = Object.keys(TRAIN_FLAGS);
  assertEquals(settings.filter((name) => !flags.includes(name)), []);
});

Deno.test("lines are broken between words", () => {
  assertEquals(wrap("aa bb cc", 5), ["aa bb", "cc"]);
  assertEquals(wrap("abcdefgh ij", 5), ["abcdefgh", "ij"]);
  assertEquals(wrap("", 5), [""]);
});

Deno.test("figures have units and few digits", () => {
  assertEquals([0.034, 4.21, 41.4, 187, 3671].map(duration), [
    "0.03 s",
    "4.2 s",
    "41 s",
    "3:07",
    "1:01:11",
  ]);
  assertEquals([812, 1400, 26214400, 3 * 2 ** 30].map(byteSize), [
    "812 B",
    "1.37 kB",
    "25 MB",
    "3 GB",
  ]);
  assertEquals([0.25, 7.31, 60, 812.4, 12900, 1.25e6].map(short), [
    "0.25",
    "7.31",
    "60",
    "812",
    "12.9 k",
    "1.25 M",
  ]);
  assertEquals([count(1, "submit"), count(2.5, "submit")], ["1 submit", "2.50 submits"]);
  assertEquals(percent(0.9934), "99.3 %");
});
