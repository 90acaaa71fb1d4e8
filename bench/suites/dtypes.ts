/**
 * Training steps and rollouts of policies stored in f32 and in f16, in turns: what halving the bytes of weights and cache
 * brings.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { STORED_DTYPES, type StoredDType } from "../../src/model/policy_weights.ts";
import { Rollout } from "../cases/rollout.ts";
import { TrainingStep } from "../cases/training_step.ts";
import type { RolloutWorkload, StepWorkload } from "../cases/workloads.ts";
import { cpuNow, median } from "../harness/measure.ts";
import { table } from "../harness/table.ts";

/** Work that is there in both, ready to be repeated. */
interface Subject {
  /** Does it once and waits. */
  readonly run: () => Promise<unknown>;
  /** Releases the memory. */
  readonly destroy: () => void;
}

/** One work in one dtype. */
export interface StoredFigures {
  /** Median CPU time of one repetition, milliseconds. */
  readonly cpuMs: number;
  /** Median wall-clock time, milliseconds. */
  readonly wallMs: number;
  /** Bytes of all its buffers. */
  readonly bytes: number;
}

/** One work in each dtype. */
export interface DTypeResult {
  /** What was done. */
  readonly name: string;
  /** Its figures. */
  readonly stored: Readonly<Record<StoredDType, StoredFigures>>;
}

/**
 * Times work in both dtypes, prints the table and returns its figures.
 *
 * @param gpu The device.
 * @param work What to do.
 * @param rounds How often each takes its turn; a first one is not counted.
 */
export async function dtypeSuite(
  gpu: Gpu,
  work: { steps: readonly StepWorkload[]; rollouts: readonly RolloutWorkload[] },
  rounds: number,
): Promise<DTypeResult[]> {
  const results: DTypeResult[] = [];
  for (const { policy, batch } of work.steps) {
    const name = `step, ${policy.name}, ${batch.lengths.length} responses`;
    const make = async (dtype: StoredDType) => {
      const step = await TrainingStep.create(gpu, { ...policy, dtype }, batch);
      const run = async () => {
        step.run();
        await step.wait();
      };
      return { run, destroy: () => step.destroy() };
    };
    results.push(await compare(gpu, name, make, rounds));
  }
  for (const { policy, work: { prompts, numGenerations, ...rest } } of work.rollouts) {
    const name = `rollout, ${policy.name}, ${
      prompts * numGenerations
    } sequences of up to ${rest.maxCompletionLength}`;
    const make = async (dtype: StoredDType) => {
      const rollout = await Rollout.create(gpu, { ...policy, dtype }, {
        prompts,
        numGenerations,
        ...rest,
      });
      return { run: () => rollout.run(), destroy: () => rollout.destroy() };
    };
    results.push(await compare(gpu, name, make, rounds));
  }
  print(gpu, results);
  return results;
}

async function compare(
  gpu: Gpu,
  name: string,
  make: (dtype: StoredDType) => Promise<Subject>,
  rounds: number,
): Promise<DTypeResult> {
  const subjects: { dtype: StoredDType; subject: Subject; bytes: number }[] = [];
  for (const dtype of STORED_DTYPES) {
    const before = gpu.counters.bytesAllocated;
    const subject = await make(dtype);
    subjects.push({ dtype, subject, bytes: gpu.counters.bytesAllocated - before });
  }
  const times: Record<StoredDType, { cpu: number[]; wall: number[] }> = {
    f32: { cpu: [], wall: [] },
    f16: { cpu: [], wall: [] },
    bf16: { cpu: [], wall: [] },
  };
  for (let round = 0; round <= rounds; round++) {
    // Whoever comes second finds other caches: they take turns in that too.
    for (const { dtype, subject } of round % 2 ? subjects.toReversed() : subjects) {
      const [cpu, wall] = [cpuNow(), performance.now()];
      await subject.run();
      if (round === 0) continue;
      times[dtype].cpu.push(cpuNow() - cpu);
      times[dtype].wall.push(performance.now() - wall);
    }
  }
  const figures = subjects.map(({ dtype, subject, bytes }) => {
    subject.destroy();
    const { cpu, wall } = times[dtype];
    return [dtype, { cpuMs: median(cpu), wallMs: median(wall), bytes }] as const;
  });
  return { name, stored: Object.fromEntries(figures) as Record<StoredDType, StoredFigures> };
}

function print(gpu: Gpu, results: readonly DTypeResult[]): void {
  const time = gpu.adapter.isFallback ? "cpuMs" : "wallMs";
  const unit = gpu.adapter.isFallback ? "CPU ms" : "ms";
  console.log(table(
    `Stored in f32 and in f16 on ${gpu.adapter.description}`,
    ["work", `f32 ${unit}`, `f16 ${unit}`, "f16 / f32", "f32 MB", "f16 MB"],
    results.map(({ name, stored: { f32, f16 } }) => [
      name,
      f32[time],
      f16[time],
      f16[time] / f32[time],
      f32.bytes / 2 ** 20,
      f16.bytes / 2 ** 20,
    ]),
  ));
}
