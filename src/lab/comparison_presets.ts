/**
 * What `compare` runs by name.
 *
 * @module
 */

import { taskByName } from "../tasks/mod.ts";
import { ARMS, type Block, type Cell } from "./comparison_plan.ts";

/** Names of the presets. */
export type PresetName = "smoke" | "default" | "full";

const ALL = ARMS.map(({ id }) => id);
/** One of each family. */
const FAMILIES = ["delta-l-1", "grpo", "dapo", "dr-grpo-std"];

/** The most tokens a task's responses may have, and half of that. */
const longest = (task: string) => taskByName(task).maxCompletionLength;
const half = (task: string) => Math.ceil(longest(task) / 2);

const COUNTDOWN: Cell = {
  task: "countdown",
  policy: {},
  warmStart: {},
  maxCompletionLength: longest("countdown"),
  promptsPerStep: 16,
  numGenerations: 16,
  maxSteps: 30,
  learningRate: 3e-4,
  targetReward: 0.55,
  evalPrompts: 128,
};

/** Responses of chain-sum hardly differ in length: here the paper's theory foretells no difference. */
const CHAIN_SUM: Cell = {
  ...COUNTDOWN,
  task: "chain-sum",
  maxCompletionLength: longest("chain-sum"),
  maxSteps: 40,
  learningRate: 5e-4,
  targetReward: 0.7,
};

/** The paper's second task has α = 0.75: long responses that branch. */
const MAZE_SMALL: Cell = {
  ...COUNTDOWN,
  task: "maze-small",
  maxCompletionLength: longest("maze-small"),
  targetReward: 0.6,
};

const SMALL_POLICY = {
  hiddenSize: 48,
  numHiddenLayers: 2,
  numAttentionHeads: 3,
  numKeyValueHeads: 3,
  intermediateSize: 128,
};

const PARITY_SMOKE: Cell = {
  task: "parity",
  policy: { hiddenSize: 32, numHiddenLayers: 1, intermediateSize: 64 },
  warmStart: { steps: 60, batchSize: 64 },
  maxCompletionLength: longest("parity"),
  promptsPerStep: 8,
  numGenerations: 8,
  maxSteps: 8,
  learningRate: 5e-4,
  targetReward: 0.55,
  evalPrompts: 32,
};

/** For a GPU: larger batches and policies, four times the demonstrations. */
const COUNTDOWN_FULL: Cell = {
  ...COUNTDOWN,
  policy: {
    hiddenSize: 128,
    numHiddenLayers: 4,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
    intermediateSize: 352,
  },
  warmStart: { steps: 2000, batchSize: 256, learningRate: 1e-3 },
  promptsPerStep: 64,
  maxSteps: 200,
  learningRate: 2e-4,
  evalPrompts: 512,
};

/** 4.4 million parameters. */
const LARGE_POLICY = {
  hiddenSize: 256,
  numHiddenLayers: 6,
  numAttentionHeads: 8,
  numKeyValueHeads: 4,
  intermediateSize: 704,
};

const MAZE: Cell = {
  ...COUNTDOWN_FULL,
  task: "maze",
  policy: {},
  warmStart: {},
  maxCompletionLength: longest("maze"),
  learningRate: 3e-4,
  targetReward: 0.6,
};

/** Around the cell's own learning rate, which the main block has. */
const around = [0.5, 2];

function block(
  cell: Cell,
  arms: readonly string[],
  seeds: number,
  learningRates: readonly number[] = [1],
): Block {
  return { cell, arms, seeds, learningRates };
}

/** What each preset runs, most important block first. */
export const COMPARISON_PRESETS: Readonly<Record<PresetName, readonly Block[]>> = {
  smoke: [
    block(PARITY_SMOKE, ALL, 2),
    block({ ...PARITY_SMOKE, maxCompletionLength: half("parity") }, FAMILIES, 2, around),
  ],
  default: [
    block(COUNTDOWN, ALL, 5),
    block(COUNTDOWN, FAMILIES, 5, [0.5]),
    block(COUNTDOWN, FAMILIES, 2, [2]),
    block({ ...COUNTDOWN, maxCompletionLength: half("countdown") }, FAMILIES, 5),
    block(CHAIN_SUM, FAMILIES, 5),
    block({ ...COUNTDOWN, policy: SMALL_POLICY }, FAMILIES, 5),
    block(MAZE_SMALL, ["delta-l-1", "delta-l-0.75", "grpo", "dapo"], 5),
  ],
  full: [
    block(COUNTDOWN_FULL, ALL, 10),
    block({ ...COUNTDOWN_FULL, maxCompletionLength: half("countdown") }, ALL, 10),
    block({ ...COUNTDOWN_FULL, policy: LARGE_POLICY, learningRate: 1e-4 }, ALL, 10),
    block(COUNTDOWN_FULL, ALL, 5, around),
    block(MAZE, ALL, 10),
    block({ ...CHAIN_SUM, maxSteps: 100 }, ALL, 10),
  ],
};
