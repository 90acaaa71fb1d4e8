/**
 * Where the GPU's time goes, dispatch by dispatch: one training step and one rollout.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { Profiler } from "../../src/gpu/profile.ts";
import { measurePeaks } from "../../src/ops/general/peaks.ts";
import { formatProfile, profileRows } from "../../src/run/profile_report.ts";
import { Rollout } from "../cases/rollout.ts";
import { TrainingStep } from "../cases/training_step.ts";
import type { RolloutWorkload, StepWorkload } from "../cases/workloads.ts";

/**
 * Profiles work after a warm-up and prints the table.
 *
 * @param gpu A device with timestamps.
 * @param title Heading.
 * @param run The work.
 * @returns Rows, the longest time first.
 */
export async function profile(gpu: Gpu, title: string, run: () => Promise<unknown>) {
  await run();
  const profiler = gpu.profiler = new Profiler(gpu);
  try {
    await run();
    await profiler.collect();
  } finally {
    gpu.profiler = undefined;
    profiler.destroy();
  }
  const peaks = await measurePeaks(gpu);
  console.log(`\n## Profile: ${title}\n${formatProfile(profiler, { peaks })}`);
  return { title, peaks, rows: profileRows(profiler.entries.values()) };
}

/** Profiles a training step and a rollout. */
export async function profileSuite(
  gpu: Gpu,
  work: { step: StepWorkload; rollout: RolloutWorkload },
) {
  const step = await TrainingStep.create(gpu, work.step.policy, work.step.batch);
  const training = await profile(
    gpu,
    `training step, ${work.step.policy.name}, ${work.step.batch.lengths.length} responses, ${step.tokens} tokens`,
    async () => {
      step.run();
      await step.wait();
    },
  );
  step.destroy();
  const rollout = await Rollout.create(gpu, work.rollout.policy, work.rollout.work);
  const { prompts, numGenerations } = work.rollout.work;
  const generation = await profile(
    gpu,
    `rollout, ${work.rollout.policy.name}, ${prompts * numGenerations} sequences`,
    () => rollout.run(),
  );
  rollout.destroy();
  return [training, generation];
}
