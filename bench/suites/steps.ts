/**
 * Whole training steps and rollouts: time, and what crosses the bus.
 *
 * @module
 */

import type { GpuCounters } from "../../src/gpu/counters.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { costMs, type Effort, measure, type Timing } from "../harness/measure.ts";
import { table } from "../harness/table.ts";
import { Rollout, type RolloutResult } from "../cases/rollout.ts";
import { type StepBatch, stepFlops, TrainingStep } from "../cases/training_step.ts";
import type { RolloutWorkload, StepWorkload } from "../cases/workloads.ts";

/** What one repetition asked of the device. */
export type Calls = Pick<
  GpuCounters,
  "dispatches" | "submits" | "bindGroups" | "buffersCreated" | "bytesToGpu" | "bytesFromGpu"
>;

/** Figures of a step or a rollout. */
export interface WorkResult {
  /** What was done. */
  readonly name: string;
  /** Its time. */
  readonly timing: Timing;
  /** Tokens of the responses: computed for a purpose. */
  readonly tokens: number;
  /** Those per second of wall-clock time. */
  readonly tokensPerSecond: number;
  /** Billions of operations per second (of CPU time on a software adapter); 0 where not counted. */
  readonly gflops: number;
  /** What one repetition asked of the device. */
  readonly calls: Calls;
  /** GPU memory at its peak, bytes, of this work alone. */
  readonly peakBytes: number;
  /** Milliseconds until the host had handed everything over. */
  readonly hostMs: number;
  /** Milliseconds from nothing to the first result, compilation included. */
  readonly firstMs: number;
}

/** Counts what happens between two points. */
function callsSince(before: GpuCounters, now: GpuCounters): Calls {
  return {
    dispatches: now.dispatches - before.dispatches,
    submits: now.submits - before.submits,
    bindGroups: now.bindGroups - before.bindGroups,
    buffersCreated: now.buffersCreated - before.buffersCreated,
    bytesToGpu: now.bytesToGpu - before.bytesToGpu,
    bytesFromGpu: now.bytesFromGpu - before.bytesFromGpu,
  };
}

/** Forgets earlier peaks, so that the next one belongs to the work at hand. */
function restartPeak(gpu: Gpu): number {
  gpu.counters.peakBytesAllocated = gpu.counters.bytesAllocated;
  return gpu.counters.bytesAllocated;
}

/** Keys that all tokens of a packed batch attend to together: no token attends to the future. */
export function attendedKeys({ promptLength, numGenerations, lengths }: StepBatch): number {
  const upTo = (length: number) => length * (length + 1) / 2;
  const prompts = lengths.length / numGenerations;
  return lengths.reduce(
    (sum, length) => sum + (length - 1) * promptLength + upTo(length - 1),
    prompts * upTo(promptLength),
  );
}

/** Times a training step. */
export async function timeStep(
  gpu: Gpu,
  { policy, batch }: StepWorkload,
  effort: Effort,
): Promise<WorkResult> {
  const bytes = restartPeak(gpu);
  const start = performance.now();
  const step = await TrainingStep.create(gpu, policy, batch);
  try {
    step.run();
    await step.wait();
    const firstMs = performance.now() - start;
    const before = { ...gpu.counters };
    const handOver = performance.now();
    step.run();
    const hostMs = performance.now() - handOver;
    await step.wait();
    const calls = callsSince(before, gpu.counters);
    const timing = await measure(async (times) => {
      for (let i = 0; i < times; i++) {
        step.run();
        await step.wait();
      }
    }, effort);
    const flops = stepFlops(step.policy, step.tokens, attendedKeys(batch) / step.tokens);
    return {
      name: `step, ${policy.name}, ${batch.lengths.length} responses, ${step.tokens} rows`,
      timing,
      tokens: step.usefulTokens,
      tokensPerSecond: step.usefulTokens / timing.wallMs * 1000,
      gflops: flops / 1e6 / costMs(gpu, timing),
      calls,
      peakBytes: gpu.counters.peakBytesAllocated - bytes,
      hostMs,
      firstMs,
    };
  } finally {
    step.destroy();
  }
}

/** Times a rollout. */
export async function timeRollout(
  gpu: Gpu,
  { policy, work }: RolloutWorkload,
  effort: Effort,
): Promise<WorkResult> {
  const bytes = restartPeak(gpu);
  const start = performance.now();
  const rollout = await Rollout.create(gpu, policy, work);
  try {
    let result: RolloutResult = await rollout.run();
    const firstMs = performance.now() - start;
    const before = { ...gpu.counters };
    await rollout.run();
    const calls = callsSince(before, gpu.counters);
    const timing = await measure(async (times) => {
      for (let i = 0; i < times; i++) result = await rollout.run();
    }, effort);
    const { tokens, longest } = result;
    const sequences = work.prompts * work.numGenerations;
    return {
      name:
        `rollout, ${policy.name}, ${sequences} sequences, mean ${
          (tokens / sequences).toFixed(0)
        } of ${longest}` + (work.stepsPerSubmit === undefined ? "" : ", not shrinking"),
      timing,
      tokens,
      tokensPerSecond: tokens / timing.wallMs * 1000,
      gflops: 0,
      calls,
      peakBytes: gpu.counters.peakBytesAllocated - bytes,
      hostMs: NaN,
      firstMs,
    };
  } finally {
    rollout.destroy();
  }
}

/** Prints steps and rollouts as a table. */
export function printWork(gpu: Gpu, results: readonly WorkResult[]): void {
  const second = gpu.adapter.isFallback ? "CPU-s" : "s";
  console.log(table(
    `Training steps and rollouts on ${gpu.adapter.description}`,
    [
      "work",
      "wall ms",
      "CPU ms",
      "tokens/s",
      `GFLOP/${second}`,
      "dispatches",
      "submits",
      "buffers",
      "kB to GPU",
      "kB back",
      "peak MB",
      "host ms",
      "first ms",
    ],
    results.map((r) => [
      r.name,
      r.timing.wallMs,
      r.timing.cpuMs,
      r.tokensPerSecond,
      r.gflops || undefined,
      r.calls.dispatches,
      r.calls.submits,
      r.calls.buffersCreated,
      r.calls.bytesToGpu / 1024,
      r.calls.bytesFromGpu / 1024,
      r.peakBytes / 2 ** 20,
      Number.isNaN(r.hostMs) ? undefined : r.hostMs,
      r.firstMs,
    ]),
  ));
}

/** Times steps and rollouts and prints the table. */
export async function stepSuite(
  gpu: Gpu,
  work: { steps: readonly StepWorkload[]; rollouts: readonly RolloutWorkload[] },
  effort: Effort,
): Promise<WorkResult[]> {
  const results: WorkResult[] = [];
  for (const step of work.steps) results.push(await timeStep(gpu, step, effort));
  for (const rollout of work.rollouts) results.push(await timeRollout(gpu, rollout, effort));
  printWork(gpu, results);
  return results;
}
