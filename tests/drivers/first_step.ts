/**
 * A step of training in a new process, as every first one is; prints what it took as JSON.
 *
 * @module
 */

import process from "node:process";
import { openGpu, parity, Policy, train } from "../../mod.ts";

const start = performance.now();
const gpu = await openGpu();
// A new policy gets nothing right, and where rewards do not differ there is no gradient to compute.
let answers = 0;
const task = { ...parity(), verify: () => answers++ % 2 };
const policy = Policy.create(gpu, {
  ...task.defaults.policy,
  vocabSize: 8 * Math.ceil(task.vocabulary.length / 8), // as `train` has it
  eosTokenId: task.eosTokenId,
});
const sizes = { maxSteps: 1, learningRate: 1e-3, promptsPerStep: 4, numGenerations: 4 };
for await (const { step, metrics } of train({ policy, task, ...sizes })) {
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage();
  if (!(metrics["actor/grad_norm"]! > 0)) throw new Error("This step has learnt nothing");
  console.log(JSON.stringify({ step, wall, cpu: (user + system) / 1e6 }));
}
policy.destroy();
await gpu.close();
