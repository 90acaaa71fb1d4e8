/**
 * What training takes of a device's memory at the shapes of published models, and what saving memory costs in time.
 *
 * @module
 */

import { Gpu } from "../../src/gpu/device.ts";
import { dryDevice } from "../../src/gpu/dry_device.ts";
import type { PolicyConfigOptions } from "../../src/model/config.ts";
import type { PolicyStorageOptions } from "../../src/model/policy_storage.ts";
import { planMemory } from "../../src/rl/memory.ts";
import type { TrainOptions } from "../../src/rl/train_options.ts";
import { parity } from "../../src/tasks/parity.ts";
import { SMOLLM2 } from "../cases/policies.ts";
import { TrainingStep } from "../cases/training_step.ts";
import type { StepWorkload } from "../cases/workloads.ts";
import { cpuNow, median } from "../harness/measure.ts";
import { table } from "../harness/table.ts";

/** Shapes of published models, tied embeddings like theirs. */
const SHAPES: Readonly<Record<string, PolicyConfigOptions>> = {
  [SMOLLM2.name]: SMOLLM2.config,
  "Qwen2.5-0.5B": {
    modelType: "qwen2",
    vocabSize: 151936,
    hiddenSize: 896,
    intermediateSize: 4864,
    numHiddenLayers: 24,
    numAttentionHeads: 14,
    numKeyValueHeads: 2,
    headDim: 64,
    maxPositionEmbeddings: 32768,
  },
};

/** Ways to save memory. */
const WAYS: readonly {
  readonly name: string;
  readonly options: Partial<TrainOptions>;
  readonly storage: PolicyStorageOptions;
}[] = [
  { name: "defaults", options: {}, storage: {} },
  { name: "activationCheckpointing", options: { activationCheckpointing: true }, storage: {} },
  {
    name: "… and 2048 tokens at once",
    options: { activationCheckpointing: true, maxTokensPerMicroBatch: 2048 },
    storage: {},
  },
  {
    name: "… and 2048 tokens at once, moments in bf16",
    options: {
      activationCheckpointing: true,
      maxTokensPerMicroBatch: 2048,
      optimizerDtype: "bf16",
    },
    storage: {},
  },
  {
    name: "… and 2048 tokens at once, moments in bf16, cache in f16",
    options: {
      activationCheckpointing: true,
      maxTokensPerMicroBatch: 2048,
      optimizerDtype: "bf16",
    },
    storage: { cacheDtype: "f16" },
  },
  {
    name: "… and 2048 tokens at once, LoRA of rank 16 on a bf16 base",
    options: { activationCheckpointing: true, maxTokensPerMicroBatch: 2048, loraRank: 16 },
    storage: { dtype: "bf16" },
  },
];

/** Ways to take a training step, by name. */
const STEPS = {
  "all parameters": {},
  activationCheckpointing: { activationCheckpointing: true },
  "moments in bf16": { optimizerDtype: "bf16" },
  "LoRA, rank 16": { loraRank: 16 },
} as const;

/** What the suite found. */
export interface MemoryResult {
  /** Bytes planned, by shape and way. */
  readonly planned: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Median CPU time of a step and bytes of its buffers, by way. */
  readonly steps: Readonly<Record<string, { readonly cpuMs: number; readonly bytes: number }>>;
}

/**
 * Plans training of 8 prompts with 8 responses of 512 tokens, times a small step in each way, in turns, and prints both.
 *
 * @param gpu The device to time on; what is planned may be larger than it.
 * @param work The step to time.
 * @param rounds How often each way takes its turn; a first one is not counted.
 */
export async function memorySuite(
  gpu: Gpu,
  work: StepWorkload,
  rounds: number,
): Promise<MemoryResult> {
  const planned = await planAll();
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
  console.log(
    table("GiB of GPU memory planned, 8 prompts x 8 responses x 512 tokens, prompts of 128", [
      "",
      ...Object.keys(SHAPES),
    ], WAYS.map(({ name }) => [name, ...Object.keys(SHAPES).map((s) => gib(planned[s]![name]!))])),
  );
  const steps = await timeSteps(gpu, work, rounds);
  const plain = steps["all parameters"]!;
  console.log(
    table(
      `A training step, ${work.policy.name}, in turns on ${gpu.adapter.description}`,
      ["", "CPU ms", "time", "MiB", "memory"],
      Object.entries(steps).map(([name, { cpuMs, bytes }]) => [
        name,
        cpuMs.toFixed(1),
        `${(cpuMs / plain.cpuMs).toFixed(2)} x`,
        (bytes / 2 ** 20).toFixed(1),
        `${(bytes / plain.bytes).toFixed(2)} x`,
      ]),
    ),
  );
  return { planned, steps };
}

async function planAll(): Promise<MemoryResult["planned"]> {
  const limits = { maxStorageBufferBindingSize: 2 ** 31 - 4, maxBufferSize: 2 ** 32 };
  const device = dryDevice({ limits, features: new Set() } as unknown as GPUDevice);
  const paper = await Gpu.fromDevice(device);
  const planned: Record<string, Record<string, number>> = {};
  for (const [shape, config] of Object.entries(SHAPES)) {
    planned[shape] = {};
    for (const { name, options, storage } of WAYS) {
      const task = { ...parity(), maxPromptLength: 128, maxCompletionLength: 512 };
      const plan = await planMemory(paper, config, task, {
        maxSteps: 1,
        learningRate: 1e-6,
        promptsPerStep: 8,
        numGenerations: 8,
        ...options,
      }, storage);
      planned[shape][name] = plan.total;
    }
  }
  await paper.close();
  return planned;
}

async function timeSteps(
  gpu: Gpu,
  { policy, batch }: StepWorkload,
  rounds: number,
): Promise<MemoryResult["steps"]> {
  const subjects = [];
  for (const [name, how] of Object.entries(STEPS)) {
    const before = gpu.counters.bytesAllocated;
    const step = await TrainingStep.create(gpu, policy, batch, how);
    subjects.push({ name, step, bytes: gpu.counters.bytesAllocated - before, cpu: [] as number[] });
  }
  for (let round = 0; round <= rounds; round++) {
    for (const subject of round % 2 ? subjects.toReversed() : subjects) {
      const start = cpuNow();
      subject.step.run();
      await subject.step.wait();
      if (round > 0) subject.cpu.push(cpuNow() - start);
    }
  }
  for (const { step } of subjects) step.destroy();
  return Object.fromEntries(
    subjects.map(({ name, bytes, cpu }) => [name, { cpuMs: median(cpu), bytes }]),
  );
}
