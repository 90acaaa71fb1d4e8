/**
 * How time and memory grow with the work, beside its arithmetic: sequence length, batch, width, depth, vocabulary, and how
 * unequal the lengths are.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { costMs, type Effort } from "../harness/measure.ts";
import { table } from "../harness/table.ts";
import type { BenchPolicy } from "../cases/policies.ts";
import type { StepBatch } from "../cases/training_step.ts";
import { timeRollout, timeStep } from "./steps.ts";

/** One point of a sweep. */
export interface SweepPoint {
  /** Value of what is varied. */
  readonly x: number;
  /** Milliseconds (of CPU time on a software adapter). */
  readonly ms: number;
  /** Billions of operations of matrix products and attention; of the latter half, as keys in the future do not count. */
  readonly gflop: number;
  /** GPU memory at its peak, bytes. */
  readonly peakBytes: number;
  /** Response tokens. */
  readonly tokens: number;
}

/** What was varied, and how cost followed. */
export interface Sweep {
  /** What was varied. */
  readonly name: string;
  /** Measurements. */
  readonly points: readonly SweepPoint[];
  /** e of time ~ x^e, by least squares over the logarithms. */
  readonly timeExponent: number;
  /** e of operations ~ x^e. */
  readonly arithmeticExponent: number;
  /** e of memory ~ x^e. */
  readonly memoryExponent: number;
}

/** Slope of log y over log x. */
export function fittedExponent(points: readonly { x: number; y: number }[]): number {
  const logs = points.map(({ x, y }) => [Math.log(x), Math.log(y)] as const);
  const mean = (i: 0 | 1) => logs.reduce((sum, log) => sum + log[i], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const variance = logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return covariance / variance;
}

/**
 * Lengths with a given mean and maximum: as many of the longest as it takes, the others half the mean.
 *
 * @returns `count` lengths whose sum is `count * mean`, up to rounding; all equal if `longest` is the mean.
 */
export function skewedLengths(mean: number, longest: number, count: number): number[] {
  if (longest <= mean) return new Array<number>(count).fill(mean);
  const short = Math.max(1, Math.floor(mean / 2));
  const long = Math.round(count * (mean - short) / (longest - short));
  // Spread over the groups, as they fall in a real batch.
  return Array.from(
    { length: count },
    (_, b) => Math.floor((b + 1) * long / count) > Math.floor(b * long / count) ? longest : short,
  );
}

function policy(width: number, layers: number, vocabSize = 64): BenchPolicy {
  return {
    name: `d ${width}, ${layers} layers, ${vocabSize} tokens`,
    config: {
      vocabSize,
      hiddenSize: width,
      numHiddenLayers: layers,
      numAttentionHeads: width / 16,
      maxPositionEmbeddings: 8192,
    },
  };
}

/** Sizes of a sweep. */
export interface SweepSizes {
  /** Response lengths. */
  readonly lengths: readonly number[];
  /** Response lengths of a policy that reads far, two responses a step. */
  readonly long: readonly number[];
  /** Responses per step. */
  readonly batches: readonly number[];
  /** Widths. */
  readonly widths: readonly number[];
  /** Layers. */
  readonly depths: readonly number[];
  /** Vocabularies. */
  readonly vocabularies: readonly number[];
  /** Mean length where lengths are unequal. */
  readonly mean: number;
  /** Longest length, as multiples of the mean. */
  readonly skews: readonly number[];
  /** Responses where lengths are unequal. */
  readonly responses: number;
}

/** For a software adapter. */
export const SWEEP: SweepSizes = {
  lengths: [32, 64, 128, 256, 512],
  long: [256, 512, 1024, 2048, 4096],
  batches: [8, 16, 32, 64, 128],
  widths: [32, 64, 128, 256],
  depths: [1, 2, 4, 8],
  vocabularies: [64, 1024, 8192, 49_152, 151_936],
  mean: 32,
  skews: [1, 2, 4, 8, 16],
  responses: 256,
};

/** For a real GPU. */
export const LARGE_SWEEP: SweepSizes = {
  lengths: [64, 128, 256, 512, 1024, 2048],
  long: [512, 1024, 2048, 4096, 8000],
  batches: [64, 128, 256, 512, 1024],
  widths: [64, 128, 256, 512, 1024],
  depths: [1, 2, 4, 8, 16],
  vocabularies: [64, 1024, 8192, 49_152, 151_936],
  mean: 128,
  skews: [1, 2, 4, 8, 16],
  responses: 512,
};

/** For trying out that everything runs. */
export const QUICK_SWEEP: SweepSizes = {
  lengths: [4, 8],
  long: [8, 16],
  batches: [2, 4],
  widths: [16, 32],
  depths: [1, 2],
  vocabularies: [16, 32],
  mean: 4,
  skews: [1, 2],
  responses: 8,
};

/** Runs all sweeps and prints the tables. */
export async function sweepSuite(
  gpu: Gpu,
  sizes: SweepSizes,
  effort: Effort,
): Promise<{ sweeps: Sweep[]; skewed: { step: number; rollout: number } }> {
  const sweep = async (
    name: string,
    values: readonly number[],
    work: (x: number) => { policy: BenchPolicy; batch: StepBatch },
  ): Promise<Sweep> => {
    const points: SweepPoint[] = [];
    for (const x of values) {
      const { timing, tokens, peakBytes, gflops } = await timeStep(gpu, work(x), effort);
      const ms = costMs(gpu, timing);
      points.push({ x, ms, gflop: gflops * ms / 1000, peakBytes, tokens });
    }
    const exponent = (of: "ms" | "gflop" | "peakBytes") =>
      fittedExponent(points.map((point) => ({ x: point.x, y: point[of] })));
    return {
      name,
      points,
      timeExponent: exponent("ms"),
      arithmeticExponent: exponent("gflop"),
      memoryExponent: exponent("peakBytes"),
    };
  };
  const equal = (length: number, count: number): StepBatch => ({
    promptLength: 8,
    numGenerations: Math.min(8, count),
    lengths: new Array<number>(count).fill(length),
  });
  const base = policy(64, 2);
  const length = sizes.lengths[1]!;
  const batch = sizes.batches[1]!;
  const sweeps = [
    await sweep("response length", sizes.lengths, (x) => ({
      policy: base,
      batch: equal(x, batch),
    })),
    await sweep("response length, read far", sizes.long, (x) => ({
      policy: base,
      batch: equal(x, 2),
    })),
    await sweep("responses", sizes.batches, (x) => ({ policy: base, batch: equal(length, x) })),
    await sweep("width", sizes.widths, (x) => ({
      policy: policy(x, 2),
      batch: equal(length, batch),
    })),
    await sweep("layers", sizes.depths, (x) => ({
      policy: policy(64, x),
      batch: equal(length, batch),
    })),
    await sweep("vocabulary", sizes.vocabularies, (x) => ({
      policy: policy(64, 1, x),
      batch: equal(length, batch),
    })),
    await sweep(`longest response, the mean stays ${sizes.mean}`, sizes.skews, (x) => ({
      policy: base,
      batch: {
        promptLength: 8,
        numGenerations: 8,
        lengths: skewedLengths(sizes.mean, x * sizes.mean, sizes.responses),
      },
    })),
  ];
  const unit = gpu.adapter.isFallback ? "CPU" : "wall";
  console.log(table(
    `Training step: cost as work grows (${unit} time)`,
    [
      "varied",
      "value",
      "ms",
      "ns/token",
      "GFLOP/s",
      "peak MB",
      "kB/token",
      "time ~ x^",
      "FLOP ~ x^",
      "memory ~ x^",
    ],
    sweeps.flatMap(({ name, points, timeExponent, arithmeticExponent, memoryExponent }) =>
      points.map(({ x, ms, gflop, tokens, peakBytes }, i) => [
        i === 0 ? name : "",
        x,
        ms,
        1e6 * ms / tokens,
        1000 * gflop / ms,
        peakBytes / 2 ** 20,
        peakBytes / 1024 / tokens,
        ...(i === 0 ? [timeExponent, arithmeticExponent, memoryExponent] : []),
      ])
    ),
  ));

  const perToken = ({ ms, tokens }: SweepPoint) => ms / tokens;
  const unequal = sweeps.at(-1)!.points;
  const eighth = unequal.find(({ x }) => x === 8) ?? unequal.at(-1)!;
  const step = perToken(eighth) / perToken(unequal[0]!);
  const rollout = await skewedRollout(gpu, sizes, effort);
  console.log(
    `\nTime per useful token, longest ${eighth.x} times the mean against equal lengths: ` +
      `training step ${step.toFixed(2)}x; rollout ${rollout.toFixed(2)}x`,
  );
  return { sweeps, skewed: { step, rollout } };
}

/** Time per token of a rollout whose lengths are geometric, cut off at 8 times the mean, relative to equal lengths. */
async function skewedRollout(gpu: Gpu, sizes: SweepSizes, effort: Effort): Promise<number> {
  const shape = policy(64, 2);
  const numGenerations = 8;
  const work = { prompts: sizes.responses / numGenerations, promptLength: 8, numGenerations };
  // A policy with random weights ends with probability eosIds / V at each token.
  const eosIds = Math.max(1, Math.round(64 / sizes.mean));
  const skewed = await timeRollout(gpu, {
    policy: shape,
    work: { ...work, maxCompletionLength: 8 * sizes.mean, eosIds },
  }, effort);
  const equal = await timeRollout(gpu, {
    policy: shape,
    work: { ...work, maxCompletionLength: sizes.mean, eosIds: 0 },
  }, effort);
  return costMs(gpu, skewed.timing) / skewed.tokens / (costMs(gpu, equal.timing) / equal.tokens);
}
