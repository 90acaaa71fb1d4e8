/**
 * What a step reports: completions and figures.
 *
 * @module
 */

import type { GpuCounters } from "../gpu/counters.ts";
import type { StepBatch } from "./dynamic_sampling.ts";
import { rolloutMetrics } from "./metrics.ts";
import type { Rollout } from "./rollout.ts";

/** One completion of a step. */
export interface CompletionRecord {
  /** Token ids of the prompt. */
  readonly promptIds: readonly number[];
  /** Token ids of the completion. */
  readonly completionIds: readonly number[];
  /** What the verifier gave; `null` where it could not judge. */
  readonly reward: number | null;
  /** What each reward function said, for tasks with several. */
  readonly rewards?: Readonly<Record<string, number | null>>;
  /** Its advantage within the group; 0 where it could not be judged, or dynamic sampling left its prompt out. */
  readonly advantage: number;
  /** Whether the length limit cut it off. */
  readonly truncated: boolean;
}

/** What one step did. */
export interface StepReport {
  /** Steps completed, this one included. */
  readonly step: number;
  /** Figures by verl's names. */
  readonly metrics: Record<string, number>;
  /** All completions of the step. */
  readonly completions: readonly CompletionRecord[];
  /** What seems to go wrong since this step, and what to do about it. */
  readonly warnings: readonly string[];
}

/** One record for each completion sampled, the ones not trained on among them. */
export function completionRecords(batch: StepBatch, advantages: Float32Array): CompletionRecord[] {
  const { sampled, kept } = batch;
  const { numGenerations, rewardsByFunction } = sampled;
  const place = new Map(kept.map((p, i) => [p, i]));
  const names = Object.keys(rewardsByFunction);
  return sampled.completions.map((completionIds, b) => {
    const p = Math.floor(b / numGenerations);
    const used = place.get(p);
    const rewards = names.map((name) => [name, rewardsByFunction[name]![b]!]);
    return {
      promptIds: sampled.problems[p]!.promptIds,
      completionIds,
      reward: sampled.rewards[b]!,
      ...(names.length > 0 ? { rewards: Object.fromEntries(rewards) } : {}),
      advantage: used === undefined ? 0 : advantages[used * numGenerations + b % numGenerations]!,
      truncated: sampled.truncated[b]!,
    };
  });
}

/** Figures of everything sampled, and with dynamic sampling of what was kept of it. */
export function batchMetrics(
  { sampled, used, genBatches }: StepBatch,
  dynamicSampling: boolean,
): Record<string, number> {
  const metrics = rolloutMetrics(sampled);
  if (!dynamicSampling) return metrics;
  return {
    ...metrics,
    "dynamic_sampling/gen_batches": genBatches,
    "dynamic_sampling/prompts": used.problems.length,
    "dynamic_sampling/frac_kept": used.problems.length / sampled.problems.length,
  };
}

/** How fast the step was and what it asked of the device; compiling and peak are since the device was opened. */
export function performanceMetrics(
  before: GpuCounters,
  rolledOut: GpuCounters,
  after: GpuCounters,
  rollout: Rollout,
  seconds: number,
): Record<string, number> {
  const tokens = rollout.completions.reduce((n, c) => n + c.length, 0);
  return {
    "perf/tokens_per_s": tokens / seconds,
    "perf/gen_tokens_per_s": tokens / rollout.seconds.generation,
    "perf/dispatches": after.dispatches - before.dispatches,
    "perf/update_dispatches": after.dispatches - rolledOut.dispatches,
    "perf/submits": after.submits - before.submits,
    "perf/update_submits": after.submits - rolledOut.submits,
    "perf/buffers_created": after.buffersCreated - before.buffersCreated,
    "perf/bytes_to_gpu": after.bytesToGpu - before.bytesToGpu,
    "perf/bytes_from_gpu": after.bytesFromGpu - before.bytesFromGpu,
    "perf/compile_s": after.compileSeconds,
    "perf/peak_gpu_mb": after.peakBytesAllocated / 2 ** 20,
  };
}
