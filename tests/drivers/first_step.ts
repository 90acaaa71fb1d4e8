/**
 * A step of training in a new process, as every first one is; prints what it took as JSON.
 *
 * @module
 */

import process from "node:process";
import { openGpu, parity, Policy, train } from "../../mod.ts";

const start = performance.now();
const gpu = await openGpu();
const task = parity();
const policy = Policy.create(gpu, {
  ...task.defaults?.policy,
  vocabSize: task.vocabulary.length,
  eosTokenId: task.eosTokenId,
});
const sizes = { maxSteps: 1, learningRate: 1e-3, promptsPerStep: 4, numGenerations: 4 };
for await (const { step } of train({ policy, task, ...sizes })) {
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ step, wall, cpu: (user + system) / 1e6 }));
}
policy.destroy();
await gpu.close();
