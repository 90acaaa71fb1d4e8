/**
 * Maze: find the way by walking, and walk back out of dead ends.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { Random } from "../random/random.ts";
import { SMALL_POLICY, type SymbolicTask } from "../task/task.ts";
import { checkInteger, checkProbability } from "./knobs.ts";
import { symbolicTask, vocabularyOf } from "./symbolic_task.ts";

/** What a maze task is built with. */
export interface MazeOptions {
  /** Columns of cells, 2 to 26. Default 6. */
  readonly columns?: number;
  /** Rows of cells, 2 to 26. Default 6. */
  readonly rows?: number;
  /** Probability that a wall which could stay is left out, so that there are several ways. Default 0.1. */
  readonly openingShare?: number;
  /** The most steps of a completion. Default 50. */
  readonly maxSteps?: number;
  /** Probabilities of giving up at a dead end, one per demonstration. Default 0.5, 0.2 and 0.05. */
  readonly giveUpHazards?: readonly number[];
  /** Probabilities of preferring ways towards the goal, one per demonstration. Default 0 and 0.8. */
  readonly goalBiases?: readonly number[];
}

const NAMES = namesOf<MazeOptions>({
  columns: true,
  rows: true,
  openingShare: true,
  maxSteps: true,
  giveUpHazards: true,
  goalBiases: true,
});

/** The facts of a maze problem. Cells are counted row by row from the top left. */
export interface MazeProblem {
  /** Open sides of each cell: 1 up, 2 right, 4 down, 8 left, added up. */
  readonly exits: readonly number[];
  /** Where to begin. */
  readonly start: number;
  /** Where to end. */
  readonly goal: number;
}

/** The four directions, by their bit in `exits`: up, right, down, left. */
const ARROWS = ["↑", "→", "↓", "←"] as const;
const BACK = "↩";
/** Pictures of the open sides 1 … 15. */
const PICTURES = [..."╵╶└╷│┌├╴┘─┴┐┤┬┼"];

/** The opposite of a direction. */
const opposite = (direction: number): number => (direction + 2) % 4;

/**
 * The maze task.
 *
 * A prompt lists every cell with a picture of its open sides, then start, goal and a colon:
 * `a1 ╶ b1 ┐ a2 ╶ b2 ┘ a1 a2 :`. A completion is a walk: a direction and the cell it leads to, or
 * `↩` and the cell it leads back to, undoing the latest step that is not undone; then end of
 * sequence: `→ b1 ↓ b2 ← a2`. The reward is 1 if every step goes through an open side and the walk
 * ends at the goal. The cells a completion names are for itself; they have to be cells, but only
 * directions count.
 *
 * Demonstrations search depth first: onwards while there is a cell not yet seen, back from a dead
 * end. They differ in persistence, which is drawn from `giveUpHazards`, and in whether they prefer
 * ways towards the goal, from `goalBiases`. Completions to one prompt therefore have between a few
 * and 2 `maxSteps` + 1 ids (3 to 101 by default), and branch early. Reinforcement learning has to
 * go on, to go in the right direction, and not to walk into walls.
 *
 * @throws {RangeError} if an option is out of its range
 */
export function maze(options: MazeOptions = {}): SymbolicTask<MazeProblem> {
  checkNames("maze", options, NAMES);
  const {
    columns = 6,
    rows = 6,
    openingShare = 0.1,
    maxSteps = 50,
    giveUpHazards = [0.5, 0.2, 0.05],
    goalBiases = [0, 0.8],
  } = options;
  checkInteger("columns", columns, 2, 26);
  checkInteger("rows", rows, 2, 26);
  checkProbability("openingShare", openingShare);
  checkInteger("maxSteps", maxSteps, 1, 4096);
  for (const [name, list] of Object.entries({ giveUpHazards, goalBiases })) {
    if (list.length === 0) {
      throw new RangeError(`${name} must have at least one probability, got none`);
    }
    for (const probability of list) checkProbability(name, probability);
  }

  const count = columns * rows;
  const cellNames = Array.from(
    { length: count },
    (_, cell) => `${String.fromCharCode(97 + cell % columns)}${1 + Math.floor(cell / columns)}`,
  );
  const vocabulary = vocabularyOf([...cellNames, ...PICTURES, ...ARROWS, BACK, ":"]);
  const CELL = 2;
  const PICTURE = CELL + count - 1; // of open sides 0, which no cell has
  const UP = vocabulary.indexOf(ARROWS[0]);
  const UNDO = vocabulary.indexOf(BACK);
  const ASK = vocabulary.indexOf(":");

  /** The cell on the other side of a side; `undefined` outside the maze. */
  function neighbour(cell: number, direction: number): number | undefined {
    const [x, y] = [cell % columns, Math.floor(cell / columns)];
    const [toX, toY] = [x + [0, 1, 0, -1][direction]!, y + [-1, 0, 1, 0][direction]!];
    const inside = toX >= 0 && toX < columns && toY >= 0 && toY < rows;
    return inside ? toY * columns + toX : undefined;
  }

  /** Steps between two cells if there were no walls. */
  function distance(a: number, b: number): number {
    const across = Math.abs(a % columns - b % columns);
    return across + Math.abs(Math.floor(a / columns) - Math.floor(b / columns));
  }

  /** A random tree of passages over all cells (Kruskal's algorithm), and some more openings. */
  function drawProblem(random: Random): MazeProblem {
    const exits = new Array<number>(count).fill(0);
    const walls: [cell: number, direction: number, other: number][] = [];
    for (let cell = 0; cell < count; cell++) {
      for (const direction of [1, 2]) {
        const other = neighbour(cell, direction);
        if (other !== undefined) walls.push([cell, direction, other]);
      }
    }
    const region = exits.map((_, cell) => cell);
    for (const [cell, direction, other] of random.shuffle(walls)) {
      const [here, there] = [region[cell]!, region[other]!];
      if (here === there && random.uniform() >= openingShare) continue;
      region.forEach((r, i) => {
        if (r === there) region[i] = here;
      });
      exits[cell]! |= 1 << direction;
      exits[other]! |= 1 << opposite(direction);
    }
    const start = random.integer(count);
    const goal = (start + 1 + random.integer(count - 1)) % count;
    return { exits, start, goal };
  }

  /** A depth-first search that may give up, as ids. */
  function search(random: Random, { exits, start, goal }: MazeProblem): number[] {
    const hazard = random.pick(giveUpHazards);
    const bias = random.pick(goalBiases);
    const ids: number[] = [];
    const path = [start];
    const seen = new Set(path);
    let goingBack = false;
    while (path.at(-1) !== goal && ids.length < 2 * maxSteps) {
      const here = path.at(-1)!;
      const ways = [0, 1, 2, 3].flatMap((direction) => {
        const to = neighbour(here, direction);
        const open = (exits[here]! & (1 << direction)) !== 0;
        return open && to !== undefined && !seen.has(to) ? [{ direction, to }] : [];
      });
      if (ways.length === 0) {
        if (!goingBack && random.uniform() < hazard) break;
        goingBack = true;
        path.pop();
        ids.push(UNDO, CELL + path.at(-1)!);
        continue;
      }
      goingBack = false;
      const closer = ways.filter(({ to }) => distance(to, goal) < distance(here, goal));
      const directed = random.uniform() < bias && closer.length > 0;
      const { direction, to } = random.pick(directed ? closer : ways);
      path.push(to);
      seen.add(to);
      ids.push(UP + direction, CELL + to);
    }
    return ids;
  }

  /** Where a walk ends; `undefined` if it is none or goes through a wall. */
  function walk({ exits, start }: MazeProblem, ids: readonly number[]): number | undefined {
    if (ids.length % 2 !== 0) return undefined;
    const path = [start];
    for (let i = 0; i < ids.length; i += 2) {
      const named = ids[i + 1]! - CELL;
      if (!Number.isInteger(named) || named < 0 || named >= count) return undefined;
      if (ids[i] === UNDO) {
        if (path.length === 1) return undefined;
        path.pop();
        continue;
      }
      const direction = ids[i]! - UP;
      const here = path.at(-1)!;
      const open = [0, 1, 2, 3].includes(direction) && (exits[here]! & (1 << direction)) !== 0;
      const to = open ? neighbour(here, direction) : undefined;
      if (to === undefined) return undefined;
      path.push(to);
    }
    return path.at(-1);
  }

  return symbolicTask<MazeProblem>({
    name: "maze",
    vocabulary,
    maxPromptLength: 2 * count + 3,
    maxCompletionLength: 2 * maxSteps + 1,
    defaults: {
      policy: {
        hiddenSize: 128,
        numHiddenLayers: 4,
        numAttentionHeads: 4,
        numKeyValueHeads: 4,
        intermediateSize: 352,
        tieWordEmbeddings: false,
      },
      warmStart: { steps: 2000, batchSize: 256, learningRate: 1e-3 },
      rl: { maxSteps: 200, promptsPerStep: 64, numGenerations: 16, learningRate: 3e-4 },
    },

    separator: " ",
    draw: drawProblem,
    keyOf: ({ exits, start, goal }) => [...exits, start, goal],
    promptOf({ exits, start, goal }) {
      const map = exits.flatMap((sides, cell) => [CELL + cell, PICTURE + sides]);
      return [...map, CELL + start, CELL + goal, ASK];
    },
    demonstrate: search,
    isRight: (problem, ids) => walk(problem, ids) === problem.goal,
  });
}

/**
 * {@linkcode maze} with 4 × 4 cells and completions of at most 49 ids: minutes without a graphics processor.
 */
export function mazeSmall(): SymbolicTask<MazeProblem> {
  return {
    ...maze({ columns: 4, rows: 4, maxSteps: 24 }),
    name: "maze-small",
    defaults: {
      policy: { ...SMALL_POLICY, numHiddenLayers: 3, tieWordEmbeddings: false },
      warmStart: { steps: 1000, batchSize: 64, learningRate: 3e-3 },
      rl: { maxSteps: 80, promptsPerStep: 32, numGenerations: 16, learningRate: 3e-4 },
    },
  };
}
