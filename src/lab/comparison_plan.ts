/**
 * What a comparison runs: methods, settings, seeds, and presets of them.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import type { TaskDefaults } from "../task/task.ts";
import type { TrainOptions } from "../rl/train_options.ts";
import { taskByName } from "../tasks/mod.ts";

/** A method of the comparison: what it sets and how tables call it. */
export interface Arm {
  /** Short name, used in file names. */
  readonly id: string;
  /** Name in tables. */
  readonly title: string;
  /** What it sets. */
  readonly objective: Pick<
    TrainOptions,
    "preset" | "advantageEstimator" | "scaleRewards" | "lossAggregation" | "lossAlpha"
  >;
  /**
   * Sets M to the harmonic mean length of the warm start's responses, so that Σ x_i is that of grpo at the first step:
   * what then differs from grpo is the direction of no step, only the change of scale from step to step.
   */
  readonly matchScale?: boolean;
}

const withStd = { advantageEstimator: "grpo", scaleRewards: "group" } as const;

/** The methods of the paper's tables, ΔL(1) first: the others are compared with it. */
export const ARMS: readonly Arm[] = [
  {
    id: "delta-l-1",
    title: "ΔL α = 1",
    objective: { ...withStd, lossAggregation: "deltaL", lossAlpha: 1 },
  },
  {
    id: "delta-l-0.75",
    title: "ΔL α = 0.75",
    objective: { ...withStd, lossAggregation: "deltaL", lossAlpha: 0.75 },
  },
  {
    id: "delta-l-0.5",
    title: "ΔL α = 0.5",
    objective: { ...withStd, lossAggregation: "deltaL", lossAlpha: 0.5 },
  },
  { id: "grpo", title: "GRPO", objective: { ...withStd, lossAggregation: "grpo" } },
  { id: "dapo", title: "DAPO (token mean)", objective: { ...withStd, lossAggregation: "dapo" } },
  {
    id: "dr-grpo-std",
    title: "Dr. GRPO, std kept",
    objective: { ...withStd, lossAggregation: "drGrpo" },
  },
  {
    id: "dr-grpo",
    title: "Dr. GRPO",
    objective: { advantageEstimator: "drGrpo", lossAggregation: "drGrpo" },
  },
  {
    id: "delta-l-1-scaled",
    title: "ΔL α = 1 at GRPO's scale",
    objective: { ...withStd, lossAggregation: "deltaL", lossAlpha: 1 },
    matchScale: true,
  },
  // Dynamic sampling and clip-higher in both; soft overlong punishment in the first, as in the paper.
  { id: "dapo-full", title: "DAPO, all parts", objective: { preset: "dapo" } },
  { id: "dapo-delta-l-1", title: "ΔL α = 1 in DAPO", objective: { preset: "dapoDeltaL" } },
];

/** The arm that the others are compared with. */
export const REFERENCE_ARM = "delta-l-1";

/** Everything but method, seed and learning rate: runs of one cell can be compared. */
export interface Cell {
  /** The task's name. */
  readonly task: string;
  /** What the cell is called, where its task is not built in or does not decide its policy. */
  readonly name?: string | undefined;
  /** Fingerprint of such a task. */
  readonly fingerprint?: string | undefined;
  /** Digest of the weights that runs begin with, where that is no warm start. */
  readonly start?: string | undefined;
  /** What departs from the task's own policy. */
  readonly policy: Partial<TaskDefaults["policy"]>;
  /** What departs from the task's own warm start. */
  readonly warmStart: {
    readonly steps?: number;
    readonly batchSize?: number;
    readonly learningRate?: number;
  };
  /** The most tokens of a response, also the constant M. */
  readonly maxCompletionLength: number;
  /** Different prompts per step. */
  readonly promptsPerStep: number;
  /** Responses per prompt. */
  readonly numGenerations: number;
  /** Steps. */
  readonly maxSteps: number;
  /** Step size of AdamW. */
  readonly learningRate: number;
  /** Mean reward whose first crossing is timed. */
  readonly targetReward: number;
  /** Held-out prompts of the evaluations before and after. */
  readonly evalPrompts: number;
}

/** Runs of one cell. */
export interface Block {
  /** What they share. */
  readonly cell: Cell;
  /** Ids of {@linkcode ARMS}. */
  readonly arms: readonly string[];
  /** Number of seeds: 1 … seeds. */
  readonly seeds: number;
  /** Multiples of the cell's learning rate; each is a group of its own. */
  readonly learningRates: readonly number[];
}

/** One training run of a comparison. */
export interface RunSpec {
  /** Name of its file, without suffix. */
  readonly id: string;
  /** What it shares with the runs it is compared with. */
  readonly cell: Cell;
  /** Method; `undefined` for the warm start itself, which is only evaluated. */
  readonly arm: Arm | undefined;
  /** Seed of prompts and sampling. */
  readonly seed: number;
  /** Step size of AdamW. */
  readonly learningRate: number;
}

const BLOCK = namesOf<Block>({ cell: true, arms: true, seeds: true, learningRates: true });

const CELL = namesOf<Cell>({
  task: true,
  name: true,
  fingerprint: true,
  start: true,
  policy: true,
  warmStart: true,
  maxCompletionLength: true,
  promptsPerStep: true,
  numGenerations: true,
  maxSteps: true,
  learningRate: true,
  targetReward: true,
  evalPrompts: true,
});

/** `countdown-64x3-127`: task, width × layers, longest response. */
export function cellName(cell: Cell): string {
  if (cell.name !== undefined) return cell.name;
  const size: TaskDefaults["policy"] = { ...taskByName(cell.task).defaults.policy, ...cell.policy };
  return `${cell.task}-${size.hiddenSize}x${size.numHiddenLayers}-${cell.maxCompletionLength}`;
}

/** The arm of an id. */
export function armById(id: string): Arm {
  const arm = ARMS.find((arm) => arm.id === id);
  if (!arm) {
    throw new RangeError(`arm must be one of ${ARMS.map(({ id }) => id).join(", ")}, got "${id}"`);
  }
  return arm;
}

/**
 * Every run of some blocks, in the order they are best made: seed by seed, so that an unfinished comparison has all
 * methods for its first seeds.
 *
 * @param blocks What to run.
 */
export function runSpecs(blocks: readonly Block[]): RunSpec[] {
  const specs = new Map<string, RunSpec>();
  const add = (spec: RunSpec) => specs.has(spec.id) || specs.set(spec.id, spec);
  for (const block of blocks) {
    checkNames("A block of a comparison", block, BLOCK);
    checkNames("A cell of a comparison", block.cell, CELL);
    checkNames("A cell's warm start", block.cell.warmStart, ["steps", "batchSize", "learningRate"]);
    const { cell, arms, seeds, learningRates } = block;
    const name = cellName(cell);
    for (let seed = 1; seed <= seeds; seed++) {
      add({ id: `${name}-warm-start-seed${seed}`, cell, arm: undefined, seed, learningRate: 0 });
      for (const factor of learningRates) {
        const learningRate = cell.learningRate * factor;
        for (const arm of arms) {
          const id = `${name}-${arm}-lr${learningRate.toPrecision(2)}-seed${seed}`;
          add({ id, cell, arm: armById(arm), seed, learningRate });
        }
      }
    }
  }
  return [...specs.values()];
}

/** Every n-th of a list, beginning with the i-th (from 1): together the n shards are the whole. */
export function shardOf<T>(list: readonly T[], index: number, count: number): T[] {
  return list.filter((_, k) => k % count === index - 1);
}
