/** Every kernel that training and generating ask of every class of device, without a device. */

import type { AdapterSummary } from "../../src/gpu/adapter.ts";
import { Gpu } from "../../src/gpu/device.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";
import type { KernelDescriptor } from "../../src/gpu/kernel.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Dim } from "../../src/gpu/tensor.ts";
import type { PolicyConfig } from "../../src/model/config.ts";
import type { StoredDType } from "../../src/model/policy_weights.ts";
import { Policy } from "../../src/model/policy.ts";
import { ADVANTAGES } from "../../src/objective/advantage.ts";
import { AGGREGATIONS } from "../../src/objective/aggregation.ts";
import { SURROGATES } from "../../src/objective/surrogate.ts";
import { add } from "../../src/ops/general/add.ts";
import { reduceMax, reduceSum } from "../../src/ops/general/reduce.ts";
import { embedding } from "../../src/ops/embedding.ts";
import { rope } from "../../src/ops/general/rope.ts";
import { softmax } from "../../src/ops/general/softmax.ts";
import { logProb } from "../../src/ops/log_prob.ts";
import { linear } from "../../src/ops/matmul/linear.ts";
import { Trainer } from "../../src/rl/trainer.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { tinyTask } from "./tiny_task.ts";

/** What devices there are, as far as kernels are concerned. */
export const DEVICE_CLASSES: Readonly<Record<string, Partial<AdapterSummary>>> = {
  "software, 8 lanes, wide loads": { isFallback: true, subgroupSize: 8, int64: true },
  "software, 8 lanes": { isFallback: true, subgroupSize: 8 },
  "software, 16 lanes": { isFallback: true, subgroupSize: 16 },
  "software, 4 lanes": { isFallback: true, subgroupSize: 4 },
  "software, no subgroups": { isFallback: true },
  "graphics processor, 32 lanes": { subgroupSize: 32 },
  "graphics processor, 64 lanes": { subgroupSize: 64 },
  "graphics processor, no subgroups of one size": {},
  "graphics processor, matrix units": {
    subgroupSize: 32,
    matrixUnits: [{ rows: 16, columns: 8, inner: 16 }],
  },
};

/** Sizes that suit wide loads, and such that suit no more than four numbers at a time. */
const SIZES = [
  { hiddenSize: 64, numAttentionHeads: 4, numKeyValueHeads: 2, intermediateSize: 128 },
  { hiddenSize: 12, numAttentionHeads: 3, numKeyValueHeads: 1, intermediateSize: 20 },
];

/** A kernel and the class of device that asks for it. */
export interface UsedKernel extends KernelDescriptor {
  readonly device: string;
}

/** A device that exists on paper only, and takes down the kernels it is asked for. */
async function paperDevice(
  treatAs: Partial<AdapterSummary>,
  note: (descriptor: KernelDescriptor) => void,
): Promise<Gpu> {
  const device = {
    limits: {
      maxStorageBufferBindingSize: 2 ** 27,
      maxBufferSize: 2 ** 28,
      // The largest tiles of units take more than every device has.
      maxComputeWorkgroupStorageSize: treatAs.matrixUnits ? 2 ** 15 : 2 ** 14,
    },
    features: new Set(),
  };
  const gpu = await Gpu.fromDevice(dryDevice(device as unknown as GPUDevice), { treatAs });
  const compile = gpu.kernel.bind(gpu);
  gpu.kernel = (descriptor) => {
    note(descriptor);
    return compile(descriptor);
  };
  return gpu;
}

/** Rules differ in constants alone: one device shows them all. */
async function recordAll(gpu: Gpu, withRules: boolean): Promise<void> {
  const task = tinyTask();
  const options = (more: Partial<TrainOptions>): TrainOptions => ({
    maxSteps: 1,
    learningRate: 1e-3,
    promptsPerStep: 2,
    numGenerations: 4,
    ...more,
  });
  const build = async (
    sizes: typeof SIZES[number],
    dtype: StoredDType,
    more: Partial<TrainOptions>,
    config: Partial<PolicyConfig> = {},
  ) => {
    const policy = Policy.create(gpu, {
      ...sizes,
      ...config,
      numHiddenLayers: 1,
      vocabSize: task.vocabulary.length,
      maxPositionEmbeddings: 64,
    }, { dtype });
    const trainer = await Trainer.create(policy, task, options(more));
    trainer.destroy();
    policy.destroy();
  };
  for (const sizes of SIZES) {
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      await build(sizes, dtype, {
        beta: 0.1,
        activationDtype: dtype === "f16" ? dtype : "f32",
        optimizerDtype: dtype === "f16" ? "bf16" : "f32",
        entropyCoef: 0.01,
      });
    }
  }
  const [small] = SIZES;
  const other = { normedHeads: true, suppressedTokenId: task.padTokenId };
  await build(small!, "f32", {
    loraRank: 4,
    scaleRewards: "batch",
    overlongFiltering: true,
    beta: 0.1,
    klInReward: true,
    klAfterNormalization: true,
  }, other);
  gpu.kernels = { "attention 4/2x16": "tiled_4" };
  await build(small!, "f32", {});
  gpu.kernels = {};
  const all = <T extends string>(table: Readonly<Record<T, unknown>>) => Object.keys(table) as T[];
  for (const policyLoss of withRules ? all(SURROGATES) : []) {
    await build(small!, "f32", { policyLoss });
  }
  for (const lossAggregation of withRules ? all(AGGREGATIONS) : []) {
    await build(small!, "f32", { lossAggregation });
  }
  for (const advantageEstimator of withRules ? all(ADVANTAGES) : []) {
    await build(small!, "f32", { advantageEstimator });
  }
  const plan = new Plan(gpu, "general", { gradients: true });
  for (const width of [65, 4_000_000]) {
    const x = plan.input([2, width], "x");
    plan.requireGradient(x);
    const y = add(plan, softmax(plan, x), x);
    plan.shareGradient(y, plan.input([2, width], "seed"));
    for (const axis of ["all", "rows", "columns"] as const) {
      const total = reduceSum(plan, x, axis);
      plan.shareGradient(total, plan.input([total.capacity], "seed"));
      if (width < 100) reduceMax(plan, x, axis);
    }
  }
  const index = (size: number) => plan.input([size], "index", "u32");
  for (const rows of [33, 4096]) { // the larger one is worth the largest tiles
    const x = plan.input([rows, 64], "x");
    const weight = plan.input([4096, 64], "weight");
    plan.requireGradient(x);
    plan.requireGradient(weight);
    const y = linear(plan, x, weight, { bias: plan.input([4096], "bias") });
    const table = { rowOffsets: index(rows + 1), rowItems: index(rows), itemTargets: index(rows) };
    const { logProbs } = logProb(plan, y, { ...table, items: new Dim("items", rows) }, {
      temperature: 1,
    });
    plan.shareGradient(logProbs, plan.input([rows], "seed"));
  }
  const table = plan.input([8, 16], "table");
  plan.requireGradient(table);
  const dim = (name: string) => new Dim(name, 4);
  const looked = embedding(plan, table, index(4), {
    order: index(4),
    chunks: plan.input([4, 2], "chunks", "u32"),
    chunkCount: dim("chunks"),
    runs: plan.input([4, 3], "runs", "u32"),
    runCount: dim("runs"),
  });
  plan.shareGradient(looked, plan.input([4, 16], "seed"));
  const heads = { heads: 2, keyValueHeads: 1, headDim: 8 };
  rope(plan, plan.input([5, 32], "qkv"), index(5), { ...heads, rotation: { theta: 500 } });
  plan.backward();
  plan.destroy();
}

/** Collects them; no kernel is compiled. */
export async function everyKernel(): Promise<UsedKernel[]> {
  const kernels = new Map<string, UsedKernel>();
  for (const [device, treatAs] of Object.entries(DEVICE_CLASSES)) {
    const gpu = await paperDevice(treatAs, (descriptor) => {
      const { code, entryPoint, constants } = descriptor;
      const key = JSON.stringify([code, entryPoint, constants]);
      if (!kernels.has(key)) kernels.set(key, { ...descriptor, device });
    });
    await recordAll(gpu, kernels.size === 0);
    await gpu.close();
  }
  return [...kernels.values()];
}
