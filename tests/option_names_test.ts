/** Options that do not exist are refused wherever options are taken: a misspelt one would silently do nothing. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import * as root from "../mod.ts";
import * as engine from "../src/engine.ts";
import * as lab from "../src/lab/mod.ts";
import * as text from "../src/text/mod.ts";
import { optionsOf, type OptionsParameter } from "./helpers/exported_options.ts";

// deno-lint-ignore no-explicit-any -- called as a program in JavaScript may
type Anything = any;

const ENTRY_POINTS: Readonly<Record<string, Anything>> = {
  "mod.ts": root,
  "src/engine.ts": engine,
  "src/lab/mod.ts": lab,
  "src/text/mod.ts": text,
};

/** Objects that may have more than is asked of them. */
const NOT_OPTIONS: Readonly<Record<string, string>> = {
  Task: "a task keeps what it likes beside its contract",
  PolicyConfig: "what resolveConfig made, which refuses names",
  PolicyWeights: "what has weights, such as Parameters",
  ResolvedTrainOptions: "what resolveTrainOptions made, which refuses names",
  Checkpointable: "a trainer, or what acts as one",
  Command: "what dispatch made, which refuses names",
  RunRecord: "what runComparison made",
  Cell: "part of a block, which runSpecs looks at",
};

/** What stands for classes that are exported as types alone. */
const INSTEAD: Readonly<Record<string, string>> = { Recorder: "Plan" };

const WRONG = { seeed: 1 };
const REFUSED = /(has no option|no setting|not a field).*seeed|seeed.*(has no option|not a field)/;

/** Calls it with the wrong options in one place, empty ones in the others, and nothing besides: names are looked at first. */
async function messageOf(
  entryPoint: Anything,
  { className, kind, member, index, objects }: OptionsParameter,
): Promise<string | undefined> {
  const args: unknown[] = [];
  for (const other of objects) args[other] = {};
  args[index] = WRONG;
  const owner = className === undefined ? entryPoint : entryPoint[INSTEAD[className] ?? className];
  try {
    if (kind === "constructor") new owner(...args);
    const target = kind === "method" ? Object.create(owner.prototype) : owner;
    const result = await target[member](...args);
    await result?.next?.();
  } catch (error) {
    return (error as Error).message;
  }
}

const found = await optionsOf(Object.keys(ENTRY_POINTS));

for (const [path, entryPoint] of Object.entries(ENTRY_POINTS)) {
  Deno.test(`${path}: whatever takes options refuses one that does not exist`, async () => {
    const parameters = found[path]!.filter(({ type = "" }) => !(type in NOT_OPTIONS));
    assert(parameters.length > 0, "no options found");
    const silent: string[] = [];
    for (const parameter of parameters) {
      const message = await messageOf(entryPoint, parameter);
      if (!REFUSED.test(message ?? "")) silent.push(`${parameter.name}: ${message}`);
    }
    assertEquals(silent, []);
  });
}

Deno.test("what is not looked for among options is there", () => {
  const types = Object.values(found).flat().map(({ type }) => type);
  assertEquals(Object.keys(NOT_OPTIONS).filter((name) => !types.includes(name)), []);
});

Deno.test("a comparison refuses what its blocks, cells and warm starts do not have", () => {
  const cell = {
    task: "parity",
    policy: {},
    warmStart: {},
    maxCompletionLength: 8,
    promptsPerStep: 1,
    numGenerations: 2,
    maxSteps: 1,
    learningRate: 1,
    targetReward: 1,
    evalPrompts: 1,
  };
  const block = { cell, arms: [], seeds: 1, learningRates: [1] };
  assertEquals(lab.runSpecs([block]).length, 1);
  for (
    const wrong of [
      { ...block, ...WRONG },
      { ...block, cell: { ...cell, ...WRONG } },
      { ...block, cell: { ...cell, warmStart: WRONG } },
    ]
  ) assertThrows(() => lab.runSpecs([wrong as lab.Block]), TypeError, "no option seeed");
});
