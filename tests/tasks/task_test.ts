/** What every task promises, checked for every task. */

import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { Random } from "../../src/random/random.ts";
import {
  chainSum,
  countdown,
  maze,
  mazeSmall,
  parity,
  type SymbolicTask,
  taskByName,
  taskNames,
} from "../../src/tasks/mod.ts";
import { uniformStream } from "../helpers/random.ts";

const TASKS: Record<string, SymbolicTask> = {
  "parity": parity(),
  "chain-sum": chainSum(),
  "countdown": countdown(),
  "maze": maze(),
  "parity, small": parity({ minBits: 2, maxBits: 6 }),
  "chain-sum, base 16": chainSum({ base: 16, minDigits: 1, maxDigits: 20 }),
  "countdown, 4 numbers": countdown({ numberCount: 4, maxNumber: 25, maxTarget: 99 }),
  "countdown, 7 attempts": countdown({ maxAttempts: 7 }),
  "maze-small": mazeSmall(),
  "maze, 4 x 3": maze({ columns: 4, rows: 3, maxSteps: 12 }),
};

function checkIds(task: SymbolicTask, ids: readonly number[], maxLength: number): void {
  assert(ids.length > 0 && ids.length <= maxLength, `${ids.length} ids`);
  assert(ids.every((id) => Number.isInteger(id) && id > 0 && id < task.vocabulary.length));
}

/** What makes two prompts the same problem: the symbols in any order, which is never too lax. */
function problemKey(task: SymbolicTask, promptIds: readonly number[]): string {
  if (task.name !== "countdown") return promptIds.join();
  const numbers = promptIds.slice(0, -2).sort((a, b) => a - b);
  return [...numbers, promptIds.at(-2)].join();
}

for (const [label, task] of Object.entries(TASKS)) {
  Deno.test(`${label}: the vocabulary starts with padding and end of sequence`, () => {
    assertEquals([task.padTokenId, task.eosTokenId], [0, 1]);
    assertEquals(task.vocabulary.slice(0, 2), ["<pad>", "<eos>"]);
    assertEquals(new Set(task.vocabulary).size, task.vocabulary.length);
  });

  Deno.test(`${label}: problems fit, without padding or end of sequence, and survive JSON`, () => {
    for (let i = 0; i < 300; i++) {
      for (const split of ["train", "eval"] as const) {
        const { promptIds, metadata } = task.problem(split, 1, i);
        checkIds(task, promptIds, task.maxPromptLength);
        assert(!promptIds.includes(task.eosTokenId));
        assertEquals(JSON.parse(JSON.stringify(metadata)), metadata);
      }
    }
  });

  Deno.test(`${label}: demonstrations fit and end in the only end of sequence`, () => {
    for (let i = 0; i < 1000; i++) {
      const { promptIds, completionIds } = task.demonstration(1, i);
      checkIds(task, promptIds, task.maxPromptLength);
      checkIds(task, completionIds, task.maxCompletionLength);
      assertEquals(completionIds.indexOf(task.eosTokenId), completionIds.length - 1);
    }
  });

  Deno.test(`${label}: the longest completion is demonstrated`, () => {
    const longest = Math.max(
      ...Array.from({ length: 5000 }, (_, i) => task.demonstration(2, i).completionIds.length),
    );
    assertEquals(longest, task.maxCompletionLength);
  });

  Deno.test(`${label}: problems and demonstrations are pure functions`, () => {
    for (let i = 0; i < 50; i++) {
      assertEquals(task.problem("train", 3, i), task.problem("train", 3, i));
      assertEquals(task.problem("eval", 3, i), task.problem("eval", 3, i));
      assertEquals(task.demonstration(3, i), task.demonstration(3, i));
    }
    const first50 = (seed: number) =>
      Array.from({ length: 50 }, (_, i) => task.demonstration(seed, i));
    assertNotEquals(first50(3), first50(4));
    assertNotEquals(task.demonstration(3, 0), task.demonstration(3, 1));
  });

  Deno.test(`${label}: nothing trained or demonstrated on is evaluated on, whatever the seed`, () => {
    const trained = new Set<string>();
    const evaluated = new Set<string>();
    for (let i = 0; i < 1500; i++) {
      trained.add(problemKey(task, task.problem("train", 1, i).promptIds));
      trained.add(problemKey(task, task.problem("train", 2, i).promptIds));
      trained.add(problemKey(task, task.demonstration(3, i).promptIds));
      evaluated.add(problemKey(task, task.problem("eval", 1, i).promptIds));
      evaluated.add(problemKey(task, task.problem("eval", 4, i).promptIds));
    }
    assertEquals([...trained].filter((key) => evaluated.has(key)), []);
    assert(evaluated.size >= 5, `${evaluated.size} different problems to evaluate on`);
  });

  Deno.test(`${label}: the verifier judges any ids 0 or 1 and keeps them as they are`, () => {
    const uniform = uniformStream(5);
    const integer = (bound: number) => Math.floor(bound * uniform());
    const { metadata } = task.problem("train", 1, 0);
    const wild = [-1, task.vocabulary.length, 1e9, 2 ** 53, 0.5, NaN, Infinity, -Infinity];
    let ended = 0;
    for (let i = 0; i < 5000; i++) {
      const ids = Array.from(
        { length: integer(2 * task.maxCompletionLength) },
        () =>
          uniform() < 0.05
            ? wild[integer(wild.length)]!
            : integer(uniform() < 0.5 ? 3 : task.vocabulary.length),
      );
      // Most random lists end early: see to it that long ones are judged too.
      if (uniform() < 0.7) {
        ids.forEach((id, place) => ids[place] = id === task.eosTokenId ? 2 : id);
        ids.push(task.eosTokenId);
        ended++;
      }
      const before = [...ids];
      const reward = task.verify(metadata, ids);
      assert(reward === 0 || reward === 1, `reward ${reward} for ${ids}`);
      assertEquals(ids, before);
      assertEquals(typeof task.describe(ids), "string");
    }
    assert(ended > 3000);
    assertEquals(task.verify(metadata, []), 0);
    assertEquals(task.verify(metadata, [task.eosTokenId]), 0);
  });

  Deno.test(`${label}: damaged demonstrations are judged without failing`, () => {
    const random = new Random(6);
    const tally = [0, 0];
    for (let i = 0; i < 3000; i++) {
      const { metadata } = task.problem("train", 7, i % 10);
      const ids = task.demonstration(7, i).completionIds;
      const damage = random.integer(4);
      const place = random.integer(ids.length);
      if (damage === 0) ids[place] = random.integer(task.vocabulary.length);
      if (damage === 1) ids.splice(place, 1);
      if (damage === 2) ids.splice(place, 0, random.integer(task.vocabulary.length));
      const reward = task.verify(metadata, ids);
      assert(reward === 0 || reward === 1);
      tally[reward]!++;
    }
    assert(tally[0]! > 0);
  });

  Deno.test(`${label}: without end of sequence there is no reward; ids behind it do not count`, () => {
    let right = 0;
    for (let i = 0; i < 400; i++) {
      const { promptIds, completionIds } = task.demonstration(8, i);
      const metadata = metadataOf(task, promptIds);
      const reward = task.verify(metadata, completionIds);
      right += reward;
      assertEquals(task.verify(metadata, completionIds.slice(0, -1)), 0);
      assertEquals(task.verify(metadata, [...completionIds, 0, 0, 5]), reward);
    }
    assert(right > 20, `${right} right demonstrations`);
  });

  Deno.test(`${label}: the recommended settings describe a possible policy`, () => {
    const { policy, warmStart, rl } = task.defaults;
    assertEquals(policy.hiddenSize % (2 * policy.numAttentionHeads), 0);
    assertEquals(policy.numAttentionHeads % policy.numKeyValueHeads, 0);
    assertEquals(policy.intermediateSize, Math.ceil(8 * policy.hiddenSize / 3 / 16) * 16);
    for (const value of [...Object.values(warmStart), ...Object.values(rl)]) assert(value > 0);
    assert(rl.numGenerations > 1);
  });

  Deno.test(`${label}: seeds and indices must be whole numbers`, () => {
    assertThrows(() => task.problem("train", -1, 0), RangeError, "seed must be an integer");
    assertThrows(() => task.problem("train", 0, 0.5), RangeError, "index must be an integer");
    assertThrows(() => task.demonstration(NaN, 0), RangeError, "seed must be an integer");
  });
}

/** Reads a problem's facts back from its prompt, as a person would. */
function metadataOf(task: SymbolicTask, promptIds: readonly number[]): unknown {
  const text = task.describe(promptIds);
  if (task.name === "countdown") {
    const numbers = text.split(" ").slice(0, -1).map(Number);
    return { target: numbers.pop(), numbers };
  }
  if (task.name.startsWith("maze")) {
    const words = text.split(" ");
    const cells = words.slice(0, -3).filter((_, i) => i % 2 === 0);
    const pictures = words.slice(0, -3).filter((_, i) => i % 2 === 1);
    const [start, goal] = words.slice(-3, -1).map((cell) => cells.indexOf(cell));
    return { exits: pictures.map((p) => 1 + "╵╶└╷│┌├╴┘─┴┐┤┬┼".indexOf(p)), start, goal };
  }
  const digits = text.replace(/[_:]/g, "").split("").map((digit) => parseInt(digit, 36));
  const base = task.name === "parity" ? 2 : task.vocabulary.indexOf("_") - 2;
  const answer = digits.reduce((sum, digit) => sum + digit, 0) % base;
  return task.name === "parity" ? { bits: digits, answer } : { digits, answer };
}

Deno.test("the problem's facts are those its prompt shows", () => {
  for (const task of Object.values(TASKS)) {
    for (let i = 0; i < 200; i++) {
      const { promptIds, metadata } = task.problem("eval", 11, i);
      assertEquals(metadataOf(task, promptIds), metadata);
    }
  }
});

Deno.test("one problem in eight is kept for evaluation", () => {
  // Every string of nine bits comes up in exactly one split.
  const task = parity({ minBits: 9, maxBits: 9 });
  const seen = { train: new Set<string>(), eval: new Set<string>() };
  for (let i = 0; i < 6000; i++) {
    for (const split of ["train", "eval"] as const) {
      seen[split].add(task.describe(task.problem(split, 1, i).promptIds));
    }
  }
  assertEquals(seen.train.size + seen.eval.size, 512);
  assertAlmostEquals(seen.eval.size / 512, 1 / 8, 0.045); // 3 standard errors
});

Deno.test("a task too small to have an eval split says so", () => {
  // None of the four strings of two bits happens to be in the eval split.
  const task = parity({ minBits: 2, maxBits: 2 });
  const seen = Array.from({ length: 100 }, (_, i) => task.problem("train", 0, i).metadata.bits);
  assertEquals(new Set(seen.map((bits) => bits.join(""))).size, 4);
  assertThrows(() => task.problem("eval", 0, 0), Error, "the eval split is empty");
});

Deno.test("taskByName finds every task under its own name and names the allowed ones", () => {
  assertEquals(taskNames, ["parity", "chain-sum", "countdown", "maze-small", "maze"]);
  for (const name of taskNames) assertEquals(taskByName(name).name, name);
  for (const wrong of ["", "mazes", "constructor", "__proto__", "Parity"]) {
    assertThrows(
      () => taskByName(wrong),
      RangeError,
      `task must be one of parity, chain-sum, countdown, maze-small, maze, got "${wrong}"`,
    );
  }
});

Deno.test("describe shows what is outside the vocabulary", () => {
  assertEquals(parity().describe([2, 3, 99, 1, 0]), "01<99><eos><pad>");
  assertEquals(countdown().describe([2, 62, -1]), "0 60 <-1>");
});
