/**
 * A whole step of reinforcement learning, beside PyTorch's where Python has it: rollout, verifier, update.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { Random } from "../../src/random/random.ts";
import { countParameters, type PolicyConfig, resolveConfig } from "../../src/model/config.ts";
import { Policy } from "../../src/model/policy.ts";
import type { Task } from "../../src/task/task.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import { median } from "../harness/measure.ts";
import { type Cell, table } from "../harness/table.ts";
import { tokenIds } from "../cases/random.ts";
import type { RlvrWork } from "../cases/workloads.ts";
import { OURS, pythonWithTorch } from "./peers.ts";

/** What a step took. */
export interface RlvrFigure {
  /** Name of the policy. */
  readonly policy: string;
  /** Who did it. */
  readonly engine: string;
  /** Parameters of the policy. */
  readonly parameters: number;
  /** Milliseconds of generation. */
  readonly generateMs: number;
  /** Milliseconds of rewards and update. */
  readonly updateMs: number;
  /** Sampled tokens. */
  readonly tokens: number;
  /** Milliseconds of the first step, compilation included. */
  readonly firstMs: number;
  /** GPU memory at its peak, bytes; 0 where it is not known. */
  readonly peakBytes: number;
}

/** Random prompts; the sum of a completion's ids should be even. */
function evenSum(
  { promptLength, maxCompletionLength }: RlvrWork,
  config: PolicyConfig,
): Task<null> {
  const { vocabSize } = config;
  const { hiddenSize, numHiddenLayers, numAttentionHeads, numKeyValueHeads, intermediateSize } =
    config;
  return {
    name: "even-sum",
    vocabulary: Array.from({ length: vocabSize }, (_, id) => String(id)),
    padTokenId: 0,
    eosTokenId: 1,
    maxPromptLength: promptLength,
    maxCompletionLength,
    defaults: {
      policy: {
        hiddenSize,
        numHiddenLayers,
        numAttentionHeads,
        numKeyValueHeads,
        intermediateSize,
      },
      warmStart: { steps: 0, batchSize: 1, learningRate: 1e-3 },
      rl: { maxSteps: 1, promptsPerStep: 1, numGenerations: 2, learningRate: LEARNING_RATE },
    },
    problem: (_split, seed, index) => ({
      promptIds: tokenIds(new Random(seed, index), promptLength, vocabSize),
      metadata: null,
    }),
    verify: (_metadata, ids) => ids.reduce((sum, id) => sum + id, 0) % 2 === 0 ? 1 : 0,
    describe: (ids) => ids.join(" "),
  };
}

/** So small that the lengths stay what they are. */
const LEARNING_RATE = 1e-6;

async function ours(gpu: Gpu, work: RlvrWork, steps: number): Promise<RlvrFigure> {
  const before = gpu.counters.peakBytesAllocated = gpu.counters.bytesAllocated;
  const start = performance.now();
  const policy = Policy.create(gpu, work.policy.config);
  const trainer = await Trainer.create(policy, evenSum(work, policy.config), {
    maxSteps: steps + 2,
    learningRate: LEARNING_RATE,
    promptsPerStep: work.prompts,
    numGenerations: work.numGenerations,
    maxTokensPerMicroBatch: work.maxTokensPerMicroBatch,
  });
  try {
    await trainer.next();
    const firstMs = performance.now() - start;
    await trainer.next();
    const metrics: Record<string, number>[] = [];
    for (let i = 0; i < steps; i++) metrics.push((await trainer.next()).metrics);
    const middle = (of: (m: Record<string, number>) => number) => median(metrics.map(of));
    return {
      policy: work.policy.name,
      engine: OURS,
      parameters: countParameters(policy.config),
      generateMs: 1000 * middle((m) => m["timing_s/gen"]!),
      updateMs: 1000 * middle((m) => m["timing_s/step"]! - m["timing_s/gen"]!),
      tokens: middle((m) => m["perf/tokens_per_s"]! * m["timing_s/step"]!),
      firstMs,
      peakBytes: gpu.counters.peakBytesAllocated - before,
    };
  } finally {
    trainer.destroy();
    policy.destroy();
  }
}

/** The same by bench/peers/rlvr_step.py. */
async function torch(
  program: string,
  work: RlvrWork,
  options: { steps: number; compile: boolean; limitMs: number },
): Promise<RlvrFigure | string> {
  const { vocabSize, hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize } =
    resolveConfig(work.policy.config);
  const script = new URL("../peers/rlvr_step.py", import.meta.url).pathname;
  const description = {
    ...work,
    policy: undefined,
    steps: options.steps,
    config: { vocabSize, hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize },
  };
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [script, JSON.stringify(description), ...(options.compile ? ["--compile"] : [])],
      signal: AbortSignal.timeout(options.limitMs),
    }).output();
    const said = new TextDecoder().decode(success ? stdout : stderr).trim();
    if (!success) return said.split("\n").at(-1) ?? "failed";
    const figures = JSON.parse(said.split("\n").at(-1)!) as RlvrFigure & {
      version: string;
      device: string;
    };
    const how = options.compile ? "torch.compile" : "eager";
    return {
      ...figures,
      policy: work.policy.name,
      engine: `torch ${figures.version}, ${how}, ${figures.device}`,
    };
  } catch (error) {
    return `not within ${options.limitMs / 1000} s, or: ${(error as Error).message}`;
  }
}

/** Options of {@linkcode rlvrSuite}. */
export interface RlvrOptions {
  /** Steps to take the median of. */
  readonly steps: number;
  /** Whether PyTorch also runs through torch.compile, which takes a minute to compile. */
  readonly compile: boolean;
}

/** Times whole steps and prints the table. */
export async function rlvrSuite(
  gpu: Gpu,
  work: readonly RlvrWork[],
  { steps, compile }: RlvrOptions,
): Promise<RlvrFigure[]> {
  const python = await pythonWithTorch();
  const results: RlvrFigure[] = [];
  const failures: Cell[][] = [];
  for (const item of work) results.push(await ours(gpu, item, steps));
  // What takes longest comes last: compiling.
  for (const compiled of !python ? [] : compile ? [false, true] : [false]) {
    for (const item of work) {
      const limitMs = 100_000;
      const figure = await torch(python!.program, item, { steps, compile: compiled, limitMs });
      if (typeof figure !== "string") results.push(figure);
      else failures.push([item.policy.name, `torch${compiled ? ", compiled" : ""}: ${figure}`]);
    }
  }
  const perToken = (f: RlvrFigure) => (f.generateMs + f.updateMs) / f.tokens;
  const rows = results.map((figure): Cell[] => {
    const own = results.find(({ engine, policy }) => engine === OURS && policy === figure.policy)!;
    const ms = figure.generateMs + figure.updateMs;
    return [
      figure.policy,
      figure.engine,
      figure.generateMs,
      figure.updateMs,
      ms,
      figure.tokens,
      figure.tokens / ms * 1000,
      perToken(figure) / perToken(own),
      figure.peakBytes / 2 ** 20,
      figure.firstMs,
    ];
  });
  console.log(table(
    "A whole RLVR step (wall-clock milliseconds)",
    [
      "policy",
      "engine",
      "generate",
      "update",
      "step",
      "tokens",
      "tokens/s",
      "time per token, ours = 1",
      "peak MB",
      "first ms",
    ],
    [...rows, ...failures],
  ));
  return results;
}
