/** Whole training steps and rollouts, with the shapes of real runs. */

import { benchWork } from "./harness/deno_bench.ts";
import { Rollout } from "./cases/rollout.ts";
import { TrainingStep } from "./cases/training_step.ts";
import { PARITY_ROLLOUT, PARITY_STEP, TINY_GPT_STEP } from "./cases/workloads.ts";

for (const { policy, batch } of [PARITY_STEP, TINY_GPT_STEP]) {
  benchWork(`training step, ${policy.name}`, { group: "step" }, async (gpu) => {
    const step = await TrainingStep.create(gpu, policy, batch);
    return async () => {
      step.run();
      await step.wait();
    };
  });
}

benchWork(`rollout, ${PARITY_ROLLOUT.policy.name}`, { group: "rollout" }, async (gpu) => {
  const rollout = await Rollout.create(gpu, PARITY_ROLLOUT.policy, PARITY_ROLLOUT.work);
  return async () => void await rollout.run();
});
