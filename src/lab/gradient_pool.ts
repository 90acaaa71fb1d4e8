/**
 * Many responses of one policy, each with its own gradient.
 *
 * @module
 */

import { checkNames, namesOf } from "../input/names.ts";
import { Plan } from "../gpu/plan.ts";
import { Readback } from "../gpu/readback.ts";
import { assembled, memoryOf } from "../gpu/readied.ts";
import { submit } from "../gpu/submit.ts";
import type { GenerationRequest } from "../model/generate_request.ts";
import type { Policy } from "../model/policy.ts";
import { linear } from "../ops/matmul/linear.ts";
import { groupAdvantages } from "../objective/advantage.ts";
import { Learner } from "../rl/learner.ts";
import { policyLossSettings } from "../objective/policy_loss.ts";
import { type Rollout, rollOut } from "../rl/rollout.ts";
import type { Task } from "../task/task.ts";

/** How to fill a {@linkcode GradientPool}. */
export interface GradientPoolOptions extends
  Pick<
    GenerationRequest,
    "numGenerations" | "maxCompletionLength" | "temperature" | "seed"
  > {
  /** Different prompts P. */
  readonly prompts: number;
  /** Called after some gradients; the pool is given up where it gives true. */
  readonly onProgress?: (done: number, total: number) => Promise<boolean>;
}

/** Responses with advantages and gradients g_i = A_i Σ_t ∇ log π(o_it). */
export interface GradientPool {
  /** Responses per prompt G; responses of a prompt stand side by side. */
  readonly numGenerations: number;
  /** Tokens of each response (N), end of sequence included. */
  readonly lengths: readonly number[];
  /** Reward of each response (N). */
  readonly rewards: readonly number[];
  /** Whether the length limit cut each response off (N). */
  readonly truncated: readonly boolean[];
  /** Advantage of each response (N), with the group's standard deviation as divisor. */
  readonly advantages: Float64Array;
  /** Divisor of the advantages of each prompt (P): advantage times it is the centred reward. */
  readonly deviations: Float64Array;
  /** Gradient of each response, laid out like the parameters; absent where the advantage is 0 and so is the gradient. */
  readonly gradients: readonly (Float32Array | undefined)[];
}

/** Prompts sampled at a time. */
const PROMPTS_AT_ONCE = 16;

/** Gradients between looks at whether to go on. */
const PROGRESS_EVERY = 16;

const NAMES = namesOf<GradientPoolOptions>({
  prompts: true,
  numGenerations: true,
  maxCompletionLength: true,
  temperature: true,
  seed: true,
  onProgress: true,
});

/**
 * Samples responses and differentiates them one by one.
 *
 * @returns `undefined` if `onProgress` gave it up.
 * @throws {RangeError} If the responses do not fit the policy.
 * @throws {Error} If the verifier could not judge a response.
 */
export async function sampleGradients(
  policy: Policy,
  task: Task,
  options: GradientPoolOptions,
): Promise<GradientPool | undefined> {
  checkNames("sampleGradients", options, NAMES);
  const { numGenerations, onProgress } = options;
  const rollouts = await sampleResponses(policy, task, options);
  const completions = rollouts.flatMap((r) => r.completions);
  const prompts = rollouts.flatMap((r) => r.problems.map(({ promptIds }) => promptIds));
  const rewards = rollouts.flatMap((r) => r.rewards).map((reward, i) => {
    if (reward !== null) return reward;
    throw new Error(
      `The verifier could not judge completion ${i} of task ${task.name}: the variance of gradients needs every reward`,
    );
  });
  const advantages = groupAdvantages(rewards, numGenerations, {
    advantageEstimator: "grpo",
    scaleRewards: "group",
  });
  const centred = groupAdvantages(rewards, numGenerations, { advantageEstimator: "drGrpo" });
  const one = await differentiator(policy, task, options);
  const gradients: (Float32Array | undefined)[] = [];
  try {
    for (const [i, completion] of completions.entries()) {
      const prompt = prompts[Math.floor(i / numGenerations)]!;
      gradients.push(
        advantages[i] === 0 ? undefined : await one.gradient(prompt, completion, advantages[i]!),
      );
      const due = i % PROGRESS_EVERY === 0 || i + 1 === completions.length;
      if (due && await onProgress?.(i + 1, completions.length)) return undefined;
    }
  } finally {
    one.destroy();
  }
  return {
    numGenerations,
    lengths: completions.map((c) => c.length),
    rewards,
    truncated: rollouts.flatMap((r) => r.truncated),
    advantages,
    deviations: Float64Array.from(prompts, (_, p) => {
      // Any response with an advantage tells the divisor of its group; a group without any needs none.
      for (let i = p * numGenerations; i < (p + 1) * numGenerations; i++) {
        if (advantages[i] !== 0) return centred[i]! / advantages[i]!;
      }
      return 1;
    }),
    gradients,
  };
}

/**
 * Responses to the first training problems of a seed, some prompts at a time.
 *
 * @param options How many, and how to sample.
 */
export async function sampleResponses(
  policy: Policy,
  task: Task,
  options: Omit<GradientPoolOptions, "onProgress">,
  promptsAtOnce: number = Math.min(options.prompts, PROMPTS_AT_ONCE),
): Promise<Rollout[]> {
  const { prompts, numGenerations, maxCompletionLength, temperature, seed } = options;
  const capacity = {
    promptTokens: promptsAtOnce * task.maxPromptLength,
    sequences: promptsAtOnce * numGenerations,
    completionLength: maxCompletionLength,
  };
  const sampling = { split: "train", seed, step: 0, numGenerations, maxCompletionLength } as const;
  return await policy.withGenerator(capacity, async (generator) => {
    const rollouts: Rollout[] = [];
    for (let firstProblem = 0; firstProblem < prompts; firstProblem += promptsAtOnce) {
      const count = Math.min(promptsAtOnce, prompts - firstProblem);
      rollouts.push(
        await rollOut(generator, task, { ...sampling, temperature, firstProblem, count }),
      );
    }
    return rollouts;
  });
}

/** What computes the gradient of one response at a time. */
async function differentiator(
  policy: Policy,
  task: Task,
  { maxCompletionLength, temperature }: GradientPoolOptions,
) {
  const { gpu, parameters } = policy;
  return await assembled(async (own) => {
    const tensor = (shape: readonly number[], name: string) => {
      const made = gpu.tensor(shape, { name: `pool.${name}` });
      own(memoryOf(gpu, made));
      return made;
    };
    const advantages = tensor([1], "advantage");
    const weights = tensor([1], "weight");
    gpu.write(weights, [1]);
    const oldLogProbs = tensor([1, maxCompletionLength], "old_log_probs");
    const learner = await Learner.create(policy, { advantages, weights, oldLogProbs }, {
      ...policyLossSettings({ policyLoss: "reinforce" }),
      temperature,
      beta: 0,
      entropyCoef: 0,
    }, { maxTokens: task.maxPromptLength + maxCompletionLength });
    return {
      async gradient(prompt: readonly number[], tokens: readonly number[], advantage: number) {
        // The learner minimises -A log π; the sign makes it g_i.
        gpu.write(advantages, [-advantage]);
        const { read: [gradient] } = await learner.step(
          [{ prompt, responses: [{ sequence: 0, tokens }] }],
          { read: [parameters.gradients], label: "Gradient of a response" },
        );
        return gradient as Float32Array;
      },
      destroy() {
        learner.destroy();
        for (const part of [advantages, weights, oldLogProbs]) gpu.destroyTensor(part);
      },
    };
  });
}

/** Elements of a block of gradients on the GPU at most. */
const BLOCK_ELEMENTS = 2 ** 23;

/** Scalar products of the gradients of a pool over some of their elements. */
export interface Gram {
  /** Number of gradients N, absent ones included. */
  readonly size: number;
  /** `products[i * N + j]` = g_i · g_j. */
  readonly products: Float64Array;
}

/**
 * All scalar products g_i · g_j over the elements offset … offset + length - 1, computed on the GPU.
 *
 * Products of a block of elements are float32; blocks are added in float64.
 *
 * @param policy Whose device computes.
 * @param gradients The gradients.
 * @param range Which of their elements.
 * @param blockElements Elements on the GPU at a time.
 */
export async function gram(
  policy: Policy,
  gradients: GradientPool["gradients"],
  { offset, length }: { readonly offset: number; readonly length: number },
  blockElements: number = BLOCK_ELEMENTS,
): Promise<Gram> {
  const size = gradients.length;
  const present = gradients.flatMap((gradient, i) => gradient ? [{ gradient, i }] : []);
  const n = present.length;
  const products = new Float64Array(size * size);
  if (n === 0) return { size, products };
  const widest = Math.max(1, Math.floor(blockElements / n));
  for (let start = 0; start < length; start += widest) {
    const width = Math.min(widest, length - start);
    const block = new Float32Array(n * width);
    for (const [row, { gradient }] of present.entries()) {
      const from = offset + start;
      block.set(gradient.subarray(from, from + width), row * width);
    }
    const values = await productOf(policy, block, n, width);
    for (let a = 0; a < n; a++) {
      const row = present[a]!.i * size;
      for (let b = 0; b < n; b++) products[row + present[b]!.i]! += values[a * n + b]!;
    }
  }
  return { size, products };
}

/** X Xᵀ of X (n, width). */
async function productOf(
  { gpu }: Policy,
  data: Float32Array<ArrayBuffer>,
  n: number,
  width: number,
): Promise<Float32Array> {
  const x = gpu.tensor([n, width], { data, name: "gradients" });
  const plan = new Plan(gpu, "gram");
  const result = plan.keep(linear(plan, x, x, { name: "products" }));
  const readback = new Readback(gpu, [result]);
  try {
    await plan.compile();
    submit(gpu, [plan], readback);
    const [values] = await readback.take();
    gpu.check();
    return values;
  } finally {
    readback.destroy();
    plan.destroy();
    gpu.destroyTensor(x);
  }
}

/** Adds scalar products over other elements. */
export function addGram(sum: Gram, term: Gram): void {
  for (let k = 0; k < sum.products.length; k++) sum.products[k]! += term.products[k]!;
}
