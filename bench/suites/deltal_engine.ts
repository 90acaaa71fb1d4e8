/**
 * This library as one of the engines of a comparison.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { submit } from "../../src/gpu/submit.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { matmul } from "../../src/ops/matmul/linear.ts";
import { reduceSum } from "../../src/ops/general/reduce.ts";
import { softmax } from "../../src/ops/general/softmax.ts";
import { Fence } from "../harness/measure.ts";
import {
  COMPARED,
  type GenerateItem,
  type GptShape,
  inputValues,
  type Item,
  type StepItem,
} from "../harness/work_items.ts";
import { type Engine, type Ready, serve } from "../harness/worker.ts";
import type { BenchPolicy } from "../cases/policies.ts";
import { Rollout } from "../cases/rollout.ts";
import { TrainingStep } from "../cases/training_step.ts";

/**
 * The Llama of the same work as a GPT: SwiGLU has three matrices where a GPT's feed-forward has two of C x 4C, so its
 * width is 8/3 C, rounded up to a multiple of eight.
 */
function llama({ width, layers, heads, vocabulary }: GptShape): BenchPolicy {
  return {
    name: `d ${width}, ${layers} layers`,
    config: {
      modelType: "llama",
      vocabSize: vocabulary,
      hiddenSize: width,
      numHiddenLayers: layers,
      numAttentionHeads: heads,
      intermediateSize: 8 * Math.ceil(width / 3),
    },
  };
}

async function op(gpu: Gpu, record: (plan: Plan) => Tensor): Promise<Ready> {
  const plan = new Plan(gpu, "comparison");
  const output = plan.keep(record(plan));
  await plan.compile();
  const fence = new Fence(gpu);
  return {
    run: async () => {
      submit(gpu, [plan]);
      await fence.wait();
    },
    results: async () => {
      const view = output.view([Math.min(COMPARED, output.capacity)]);
      const readback = new Readback(gpu, [view]);
      submit(gpu, [], readback);
      const [values] = await readback.take();
      return Array.from(values!);
    },
    dispose: () => {
      fence.destroy();
      plan.destroy();
    },
  };
}

async function step(gpu: Gpu, item: StepItem): Promise<Ready> {
  const training = await TrainingStep.create(gpu, llama(item), {
    promptLength: 1,
    numGenerations: 1,
    lengths: new Array<number>(item.batch).fill(item.context),
  });
  return {
    note: "as a Llama with SwiGLU of the same work, policy-gradient loss, clip and AdamW",
    run: async () => {
      training.run();
      await training.wait();
    },
    dispose: () => training.destroy(),
  };
}

async function generate(gpu: Gpu, item: GenerateItem): Promise<Ready> {
  const numGenerations = 16;
  const rollout = await Rollout.create(gpu, llama(item), {
    prompts: item.sequences / numGenerations,
    promptLength: item.prompt,
    numGenerations,
    maxCompletionLength: item.context - item.prompt,
    eosIds: 0,
  });
  return {
    note: `with a cache; ${numGenerations} samples to each prompt`,
    run: async () => void await rollout.run(),
    dispose: () => rollout.destroy(),
  };
}

/** Every item is done. */
async function prepare(gpu: Gpu, item: Item): Promise<Ready> {
  const input = (shape: number[]) => {
    const data = inputValues(shape.reduce((n, size) => n * size, 1));
    return gpu.tensor(shape, { data, name: "input" });
  };
  switch (item.kind) {
    case "matmul": {
      const { layout, m, k, n } = item;
      const [transposeA, transposeB] = [layout === "tn", layout === "nt"];
      const a = input(transposeA ? [k, m] : [m, k]);
      const b = input(transposeB ? [n, k] : [k, n]);
      return await op(gpu, (plan) => matmul(plan, a, b, { transposeA, transposeB }));
    }
    case "softmax": {
      const x = input([item.rows, item.columns]);
      return await op(gpu, (plan) => softmax(plan, x));
    }
    case "sum": {
      const x = input([item.n]);
      return await op(gpu, (plan) => reduceSum(plan, x, "all"));
    }
    case "step":
      return await step(gpu, item);
    case "generate":
      return await generate(gpu, item);
  }
}

if (import.meta.main) {
  await serve(async (): Promise<Engine> => {
    const gpu = await openGpu();
    return { prepare: (item) => prepare(gpu, item) };
  });
}
