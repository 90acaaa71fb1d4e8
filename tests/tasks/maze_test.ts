import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { maze, type MazeOptions, type MazeProblem } from "../../src/tasks/mod.ts";

/**
 * `a1 b1 c1` over `a2 b2 c2`, with a wall between a1 and a2 and between c1 and c2:
 *
 *     ╶ ┬ ╴
 *     ╶ ┴ ╴
 */
const small = maze({ columns: 3, rows: 2 });
const FACTS: MazeProblem = { exits: [2, 14, 8, 2, 11, 8], start: 0, goal: 3 };

function verify(text: string, facts = FACTS): number {
  const ids = text === "" ? [] : text.split(" ").map((symbol) => {
    const id = small.vocabulary.indexOf(symbol);
    assert(id >= 0, symbol);
    return id;
  });
  return small.verify(facts, [...ids, small.eosTokenId]);
}

const STEPS = [[-1, 0], [0, 1], [1, 0], [0, -1]] as const;

/** Passages of a maze as neighbours by cell, read from the open sides of both cells they join. */
function passages({ exits }: MazeProblem, columns: number): number[][] {
  const rows = exits.length / columns;
  return exits.map((sides, cell) =>
    STEPS.flatMap(([down, right], direction) => {
      if ((sides & (1 << direction)) === 0) return [];
      const [row, column] = [Math.floor(cell / columns) + down, cell % columns + right];
      assert(row >= 0 && row < rows && column >= 0 && column < columns, "a way leads outside");
      const other = row * columns + column;
      assert((exits[other]! & (1 << (direction + 2) % 4)) !== 0, "a way leads one way only");
      return [other];
    })
  );
}

/** Number of cells reached from the first one. */
function reached(neighbours: readonly number[][]): number {
  const seen = new Set([0]);
  for (const cell of seen) for (const other of neighbours[cell]!) seen.add(other);
  return seen.size;
}

Deno.test("maze: every cell can be reached, and without further openings in one way only", () => {
  for (const [columns, rows] of [[6, 6], [2, 2], [5, 3], [26, 2]] as const) {
    const edges = (openingShare: number) => {
      const task = maze({ columns, rows, openingShare });
      let total = 0;
      for (let i = 0; i < 30; i++) {
        const { metadata } = task.problem("train", 1, i);
        const neighbours = passages(metadata, columns);
        assertEquals(neighbours.length, columns * rows);
        assertEquals(reached(neighbours), columns * rows);
        assert(metadata.start !== metadata.goal);
        total += neighbours.flat().length / 2;
      }
      return total / 30;
    };
    const [tree, all] = [columns * rows - 1, 2 * columns * rows - columns - rows];
    assertEquals([edges(0), edges(1)], [tree, all]);
    const some = edges(0.5);
    assert(all === tree + 1 || (some > tree && some < all), `${some} passages`);
  }
});

Deno.test("maze: the prompt shows every cell with its open sides, start and goal", () => {
  const { promptIds, metadata } = small.problem("eval", 3, 5);
  const words = small.describe(promptIds).split(" ");
  assertEquals(words.length, small.maxPromptLength);
  assertEquals(words.filter((_, i) => i < 12 && i % 2 === 0), ["a1", "b1", "c1", "a2", "b2", "c2"]);
  assertEquals(words.at(-1), ":");
  const names = words.slice(0, 12).filter((_, i) => i % 2 === 0);
  assertEquals(words.slice(12, 14), [names[metadata.start], names[metadata.goal]]);
});

Deno.test("maze: walks that end at the goal through open sides are right", () => {
  assertEquals(verify("→ b1 ↓ b2 ← a2"), 1);
  // Into a dead end and back out of it.
  assertEquals(verify("→ b1 → c1 ↩ b1 ↓ b2 ← a2"), 1);
  // Walking back is no better or worse than undoing.
  assertEquals(verify("→ b1 → c1 ← b1 ↓ b2 ← a2"), 1);
  // Past the goal and back.
  assertEquals(verify("→ b1 ↓ b2 ← a2 → b2 ↩ a2"), 1);
  // Only directions count, but cells have to be cells.
  assertEquals(verify("→ c2 ↓ a1 ← a1"), 1);
  assertEquals(verify("→ b1 ↓ → ← a2"), 0);
});

Deno.test("maze: walks through walls, to elsewhere, or without end are wrong", () => {
  const wrong = [
    "",
    "→ b1",
    "→ b1 ↓ b2",
    "→ b1 ↓ b2 → c2",
    "→ b1 ↓ b2 ←",
    "↓ a2",
    "↑ a2",
    "← a2",
    "↩ a2",
    "→ b1 ↩ a1 ↩ a2",
    "→ b1 → c1 ↓ c2 ← b2 ← a2",
    "a2 a2",
    ": a2",
    "╶ a2",
  ];
  for (const text of wrong) assertEquals(verify(text), 0, text);
  assertEquals(verify("", { ...FACTS, goal: 0 }), 1);
  const walk = [..."→↓←"].flatMap((arrow) => [small.vocabulary.indexOf(arrow), 2]);
  assertEquals(small.verify(FACTS, walk), 0, "without end of sequence");
});

/** Demonstrations with whether they are right, judged by the facts their prompt shows. */
function demonstrations(options: MazeOptions, count: number) {
  const task = maze(options);
  const pictures = "╵╶└╷│┌├╴┘─┴┐┤┬┼";
  return Array.from({ length: count }, (_, i) => {
    const { promptIds, completionIds } = task.demonstration(5, i);
    const words = task.describe(promptIds).split(" ");
    const facts = {
      exits: words.slice(0, -3).filter((_, k) => k % 2 === 1).map((p) => 1 + pictures.indexOf(p)),
      start: promptIds.at(-3)! - 2,
      goal: promptIds.at(-2)! - 2,
    };
    return {
      facts,
      text: task.describe(completionIds.slice(0, -1)),
      length: completionIds.length,
      right: task.verify(facts, completionIds) === 1,
    };
  });
}

Deno.test("maze: demonstrations name the cells they reach, see no cell twice going on, and may give up", () => {
  for (const { facts, text, right } of demonstrations({ columns: 4, rows: 4 }, 400)) {
    const neighbours = passages(facts, 4);
    const cell = (name: string) => name.charCodeAt(0) - 97 + 4 * (Number(name.slice(1)) - 1);
    const words = text === "" ? [] : text.split(" ");
    const path = [facts.start];
    const seen = new Set(path);
    for (let i = 0; i < words.length; i += 2) {
      const named = cell(words[i + 1]!);
      if (words[i] === "↩") {
        // Back only where there is nothing new.
        assert(neighbours[path.at(-1)!]!.every((other) => seen.has(other)));
        path.pop();
        assertEquals(named, path.at(-1));
      } else {
        assert(neighbours[path.at(-1)!]!.includes(named) && !seen.has(named));
        path.push(named);
        seen.add(named);
      }
    }
    assertEquals(right, path.at(-1) === facts.goal);
  }
});

Deno.test("maze: persistence decides about success, and the sense of direction about length", () => {
  const measure = (options: MazeOptions) => {
    const all = demonstrations({ maxSteps: 500, ...options }, 1200);
    const share = all.filter((d) => d.right).length / all.length;
    return { share, length: all.reduce((n, d) => n + d.length, 0) / all.length };
  };
  const patient = measure({ giveUpHazards: [0], goalBiases: [0] });
  assertEquals(patient.share, 1);
  const hasty = measure({ giveUpHazards: [1], goalBiases: [0] });
  assert(hasty.share < 0.6 && hasty.length < 0.5 * patient.length);
  const directed = measure({ giveUpHazards: [0], goalBiases: [1] });
  assertEquals(directed.share, 1);
  assert(directed.length < 0.8 * patient.length, `${directed.length} and ${patient.length} ids`);
});

Deno.test("maze: by default lengths spread from 3 to 101, and neither all nor none are right", () => {
  const all = demonstrations({}, 3000);
  const lengths = all.map((d) => d.length);
  assertEquals([Math.min(...lengths), Math.max(...lengths)], [3, 101]);
  const share = all.filter((d) => d.right).length / all.length;
  assert(share > 0.5 && share < 0.75, `${share} are right`);
  const mean = lengths.reduce((a, b) => a + b) / lengths.length;
  const inverse = lengths.reduce((sum, n) => sum + 1 / n, 0) / lengths.length;
  // The ratio of noise that length-aware aggregation has to work with.
  assert(Math.sqrt(mean * inverse) > 1.4);
  assertAlmostEquals(mean, 29, 2);
});

Deno.test("maze: options out of range are refused", () => {
  const refused = (options: MazeOptions, message: string) =>
    assertThrows(() => maze(options), RangeError, message);
  refused({ columns: 1 }, "columns must be an integer from 2 to 26, got 1");
  refused({ rows: 27 }, "rows must be an integer from 2 to 26, got 27");
  refused({ maxSteps: 0 }, "maxSteps must be an integer from 1");
  refused({ openingShare: 1.5 }, "openingShare must be a number from 0 to 1");
  refused({ giveUpHazards: [] }, "giveUpHazards must have at least one probability");
  refused({ goalBiases: [0.5, 2] }, "goalBiases must be a number from 0 to 1, got 2");
});
