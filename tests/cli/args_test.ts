import { assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import {
  asUsageError,
  camel,
  choiceFlag,
  kebab,
  numberFlag,
  parseFlags,
  switchFlag,
  textFlag,
  UsageError,
} from "../../src/cli/args.ts";
import { TRAIN_FLAGS } from "../../src/cli/train_flags.ts";
import { nearest } from "../../src/input/names.ts";

const FLAGS = {
  maxSteps: numberFlag({ min: 0, max: 100, integer: true }, "Steps.", 60),
  entropyCoef: numberFlag({ min: -1, max: 1, integer: false }, "Bonus.", 0),
  lossScope: choiceFlag(["batch", "miniBatch"] as const, "Scope.", "batch"),
  out: textFlag("dir", "Folder."),
  resume: { ...textFlag("dir|latest", "Go on."), alone: "latest" },
  quiet: switchFlag("Say less."),
};

const values = (...args: string[]) => parseFlags(FLAGS, args).values;

/** The message with which `args` are refused. */
function refusal(...args: string[]): string {
  return assertThrows(() => parseFlags(FLAGS, args), UsageError).message;
}

Deno.test("flags become options of their kind, in either way of writing", () => {
  assertEquals(values(), {});
  assertEquals(
    values("--max-steps", "12", "--entropy-coef=-2.5e-1", "--loss-scope", "mini-batch", "--quiet"),
    { maxSteps: 12, entropyCoef: -0.25, lossScope: "miniBatch", quiet: true },
  );
  assertEquals(values("--loss-scope", "miniBatch", "--entropy-coef", "-1", "--max-steps=+3"), {
    lossScope: "miniBatch",
    entropyCoef: -1,
    maxSteps: 3,
  });
  assertEquals(values("--no-quiet"), { quiet: false });
  for (const twice of [["--max-steps", "1", "--max-steps", "2"], ["--quiet", "--no-quiet"]]) {
    assertThrows(() => values(...twice), UsageError, `${twice[0]} is given twice: leave one out`);
  }
});

Deno.test("help is asked for by either name, beside anything else", () => {
  for (const flag of ["--help", "-h"]) {
    assertEquals(parseFlags(FLAGS, ["--quiet", flag]), { values: { quiet: true }, help: true });
  }
  assertEquals(parseFlags(FLAGS, []).help, false);
});

Deno.test("a flag that may stand alone has a value of its own then", () => {
  assertEquals(values("--resume"), { resume: "latest" });
  assertEquals(values("--resume", "--quiet"), { resume: "latest", quiet: true });
  assertEquals(values("--resume", "runs/a"), { resume: "runs/a" });
  assertEquals(values("--resume=runs/a"), { resume: "runs/a" });
});

Deno.test("an unknown flag is refused with the nearest one", () => {
  assertEquals(
    refusal("--max-stesp", "3"),
    "there is no flag --max-stesp, did you mean --max-steps? --help lists all",
  );
  assertEquals(
    refusal("--maxSteps", "3"),
    "there is no flag --maxSteps, did you mean --max-steps? --help lists all",
  );
  assertEquals(refusal("--zzzzz"), "there is no flag --zzzzz: --help lists all");
  assertEquals(refusal("-q"), "there is no flag -q: --help lists all");
  assertEquals(refusal("--no-out"), "there is no flag --no-out: --help lists all");
  // Names every object has are no flags.
  for (const name of ["constructor", "to-string", "__proto__", "no-constructor"]) {
    assertEquals(refusal(`--${name}`), `there is no flag --${name}: --help lists all`);
  }
});

Deno.test("a value that is missing, superfluous or not allowed is refused with what is", () => {
  assertEquals(refusal("--max-steps"), "--max-steps needs a value: --max-steps <n>");
  assertEquals(refusal("--out", "--quiet"), "--out needs a value: --out <dir>");
  assertEquals(refusal("--quiet=yes"), '--quiet takes no value: leave out "yes"');
  assertEquals(refusal("--out", ""), '--out is "": give <dir>');
  assertEquals(
    refusal("--loss-scope", "all"),
    '--loss-scope is "all": give one of batch, mini-batch',
  );
  assertEquals(refusal("runs/a"), "runs/a is no flag: flags begin with --, see --help");
  assertEquals(refusal("--", "x"), "x is no flag: flags begin with --, see --help");
});

Deno.test("numbers are written out in decimal and within their range", () => {
  for (const text of ["", " ", "x", "3x", "0x3", "1_0", "NaN", "Infinity", "1e", ".", "--3"]) {
    assertThrows(() => values(`--max-steps=${text}`), UsageError, "give a whole number from 0 to");
  }
  for (const text of ["-1", "101", "1.5", "1e3"]) {
    assertEquals(
      refusal("--max-steps", text),
      `--max-steps is "${text}": give a whole number from 0 to 100`,
    );
  }
  assertEquals(
    refusal("--entropy-coef", "1.01"),
    '--entropy-coef is "1.01": give a number from -1 to 1',
  );
  for (const [text, value] of [["1e1", 10], ["7.", 7], ["0", 0], ["100", 100]] as const) {
    assertEquals(values("--max-steps", text), { maxSteps: value });
  }
});

Deno.test("train takes the library's settings in kebab-case, rules by their other names too", () => {
  const { values } = parseFlags(TRAIN_FLAGS, [
    "--loss-aggregation=delta-l",
    "--advantage-estimator=dr-grpo",
    "--mini-batch-size=64",
    "--mask-truncated-completions",
  ]);
  assertEquals(values, {
    lossAggregation: "deltaL",
    advantageEstimator: "drGrpo",
    miniBatchSize: 64,
    maskTruncatedCompletions: true,
  });
  const aggregation = (name: string) =>
    parseFlags(TRAIN_FLAGS, ["--loss-aggregation", name]).values.lossAggregation;
  assertEquals(aggregation("token-mean"), "dapo");
  assertEquals(aggregation("vl-norm"), "deltaL");
  assertEquals(aggregation("deltaL"), "deltaL");
  assertThrows(() => aggregation("mean"), UsageError, "give one of grpo, dapo, dr-grpo, delta-l");
  assertEquals(parseFlags(TRAIN_FLAGS, ["--mini-batch-size", "all"]).values.miniBatchSize, "all");
  for (const text of ["0", "-8", "1.5", "some"]) {
    assertThrows(
      () => parseFlags(TRAIN_FLAGS, ["--mini-batch-size", text]),
      UsageError,
      'give "all" or a multiple of --num-generations',
    );
  }
});

Deno.test("names change between cases without loss", () => {
  for (const name of Object.keys(TRAIN_FLAGS)) assertEquals(camel(kebab(name)), name);
});

Deno.test("the nearest word is one that could have been meant", () => {
  const words = ["train", "warm-start", "eval", "sample"];
  assertEquals(nearest("trian", words), "train");
  assertEquals(nearest("warmstart", words), "warm-start");
  assertEquals(nearest("evaluate", words), undefined);
  assertEquals(nearest("x", []), undefined);
});

Deno.test("errors about options become errors about flags", () => {
  const error = asUsageError(new RangeError("maxSteps is 3, see otherThing"), FLAGS);
  assertInstanceOf(error, UsageError);
  assertEquals(error.message, "--max-steps is 3, see otherThing");
  const short = asUsageError(new RangeError("out is 2: out of range"), FLAGS) as Error;
  assertEquals(short.message, "--out is 2: out of range");
  const other = new TypeError("maxSteps");
  assertStrictEquals(asUsageError(other, FLAGS), other);
});
