/**
 * Compares the memory that `planMemory` foresees with what a process really takes on a software adapter, whose buffers are
 * the machine's memory.
 *
 *     deno run -A bench/memory_peak.ts models/smol   # all parameters of a model are trained, three steps
 *     deno run -A bench/memory_peak.ts               # as many layers and kernels, hardly any numbers
 *
 * A process also holds what the driver compiles, and what JavaScript does; a narrow policy needs as much of those. The
 * difference of two runs, in resident memory and in the plan, is that of the buffers alone.
 */

import { openGpu, parity, planMemory, Policy, Trainer } from "../mod.ts";
import { readConfig } from "../src/model/hf_folder.ts";

const [dir] = Deno.args;
const options = {
  maxSteps: 3,
  learningRate: 1e-6,
  promptsPerStep: 8,
  numGenerations: 8,
  maxCompletionLength: 16,
  maxTokensPerMicroBatch: 1024,
};
/** SmolLM2-135M with a narrow residual stream. */
const NARROW = {
  vocabSize: 8,
  hiddenSize: 36,
  intermediateSize: 32,
  numHiddenLayers: 30,
  numAttentionHeads: 9,
  numKeyValueHeads: 3,
  headDim: 4,
};
const MIB = 2 ** 20;
const config = dir ? await readConfig(dir) : NARROW;
const task = parity();
const gpu = await openGpu();
const plan = await planMemory(gpu, config, task, options);

/** MiB of address space and of memory that the process has, and what JavaScript holds of both. */
async function taken(): Promise<{ reserved: number; resident: number; script: number }> {
  const [reserved, resident] = (await Deno.readTextFile("/proc/self/statm")).split(" ").map(Number);
  const { heapTotal, external } = Deno.memoryUsage();
  return {
    reserved: reserved! / 256,
    resident: resident! / 256,
    script: (heapTotal + external) / MIB,
  };
}

const start = await taken();
async function say(what: string): Promise<void> {
  const now = await taken();
  const grown = (of: keyof typeof now) => (now[of] - start[of]).toFixed(0);
  console.log(
    `${what}: counted ${(gpu.counters.bytesAllocated / MIB).toFixed(0)}, reserved ${
      grown("reserved")
    }, ` +
      `resident ${grown("resident")}, JavaScript ${grown("script")} MiB`,
  );
}

const policy = dir ? await Policy.load(gpu, dir) : Policy.create(gpu, NARROW);
await say("policy");
const trainer = await Trainer.create(policy, task, options);
await say("trainer");
while (trainer.completedSteps < options.maxSteps) {
  await trainer.next();
  await say(`step ${trainer.completedSteps}`);
}
console.log(
  `planned ${(plan.total / MIB).toFixed(0)}, counted at most ` +
    `${(gpu.counters.peakBytesAllocated / MIB).toFixed(0)} MiB`,
);
trainer.destroy();
policy.destroy();
await gpu.close();
