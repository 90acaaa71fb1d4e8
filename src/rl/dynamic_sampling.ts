/**
 * The batch of a training step: one rollout, or with dynamic sampling as many as it takes to find prompts whose rewards
 * differ.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { submit } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Generator } from "../model/generate.ts";
import { inGroups } from "../objective/groups.ts";
import { type Rollout, rollOut } from "./rollout.ts";
import { truncationOf } from "../model/truncation.ts";
import { hasSignal } from "./signal.ts";
import type { Task } from "../task/task.ts";
import type { ResolvedTrainOptions } from "./train_options.ts";

/** What was sampled in a step, and what of it to train on. */
export interface StepBatch {
  /** Everything sampled. */
  readonly sampled: Rollout;
  /** What to train on; the same unless dynamic sampling left prompts out. */
  readonly used: Rollout;
  /** Problems of `used`, as indices into those of `sampled`. */
  readonly kept: readonly number[];
  /** Number of rollouts. */
  readonly genBatches: number;
}

/** Samples the batches of training steps. */
export class BatchSampler {
  /** Log-probabilities of the tokens of the last batch to train on (B, M). */
  readonly oldLogProbs: Tensor;

  readonly #gpu: Gpu;
  readonly #generator: Generator;
  readonly #task: Task;
  readonly #options: ResolvedTrainOptions;

  /**
   * @param generator Where to generate.
   */
  constructor(gpu: Gpu, generator: Generator, task: Task, options: ResolvedTrainOptions) {
    this.#gpu = gpu;
    this.#generator = generator;
    this.#task = task;
    this.#options = options;
    const { promptsPerStep, numGenerations, dynamicSampling } = options;
    const shape = [promptsPerStep * numGenerations, generator.capacity.completionLength];
    this.oldLogProbs = dynamicSampling
      ? gpu.tensor(shape, { name: "kept_log_probs" })
      : generator.logProbs.view(shape);
  }

  /**
   * Samples the batch of a step.
   *
   * @param step Zero-based training step.
   * @param firstProblem The first problem not asked yet; `genBatches` rollouts of `promptsPerStep` problems follow.
   * @param request `signal` ends it early; its reason is thrown.
   * @throws {Error} If the verifier fails, or can judge nothing.
   */
  async next(
    step: number,
    firstProblem: number,
    request: { signal?: AbortSignal | undefined } = {},
  ): Promise<StepBatch> {
    const { promptsPerStep, dynamicSampling, maxGenBatches } = this.#options;
    if (!dynamicSampling) {
      const sampled = await this.#rollOut(step, firstProblem, request);
      requireJudged(sampled, step);
      return { sampled, used: sampled, kept: sampled.problems.map((_, p) => p), genBatches: 1 };
    }
    const rollouts: Rollout[] = [];
    const kept: number[] = [];
    while (kept.length < promptsPerStep && rollouts.length < maxGenBatches) {
      const first = firstProblem + rollouts.length * promptsPerStep;
      const rollout = await this.#rollOut(step, first, request);
      const withSignal = inGroups(rollout.rewards, rollout.numGenerations)
        .flatMap((group, p) => hasSignal(group) ? [p] : [])
        .slice(0, promptsPerStep - kept.length);
      this.#keepLogProbs(withSignal, kept.length);
      kept.push(...withSignal.map((p) => rollouts.length * promptsPerStep + p));
      rollouts.push(rollout);
    }
    const sampled = joinRollouts(rollouts);
    requireJudged(sampled, step);
    return { sampled, used: pickProblems(sampled, kept), kept, genBatches: rollouts.length };
  }

  async #rollOut(
    step: number,
    firstProblem: number,
    request: { signal?: AbortSignal | undefined },
  ): Promise<Rollout> {
    const options = this.#options;
    const { numGenerations, maxCompletionLength, temperature, seed } = options;
    return await rollOut(this.#generator, this.#task, {
      ...truncationOf(options),
      numGenerations,
      maxCompletionLength,
      temperature,
      seed,
      split: "train",
      firstProblem,
      count: options.promptsPerStep,
      step,
      ...request,
    });
  }

  /** Copies the rows of some problems behind those kept so far; the next rollout overwrites the generator's. */
  #keepLogProbs(problems: readonly number[], keptSoFar: number): void {
    const [rows, width] = [this.#options.numGenerations, this.#generator.capacity.completionLength];
    const group = (tensor: Tensor, p: number) =>
      tensor.view([rows, width], { elementOffset: p * rows * width });
    const copies = problems.map((p, i) => ({
      copy: group(this.#generator.logProbs, p),
      to: group(this.oldLogProbs, keptSoFar + i),
    }));
    if (copies.length > 0) submit(this.#gpu, copies);
  }

  /** Releases the memory. */
  destroy(): void {
    if (this.#options.dynamicSampling) this.#gpu.destroyTensor(this.oldLogProbs);
  }
}

/** Refuses a batch that says nothing: most likely what the verifier asks is out of order. */
function requireJudged({ rewards }: Rollout, step: number): void {
  if (rewards.some((reward) => reward !== null)) return;
  throw new Error(
    `The verifier judged none of the ${rewards.length} completions of step ${step + 1}: it ` +
      "returned null for each. The step can be repeated once it answers",
  );
}

/** Several rollouts as one. */
function joinRollouts(rollouts: readonly Rollout[]): Rollout {
  const [first] = rollouts as [Rollout];
  const total = (count: (rollout: Rollout) => number) => rollouts.reduce((n, r) => n + count(r), 0);
  const names = new Set(rollouts.flatMap((r) => Object.keys(r.rewardsByFunction)));
  return {
    problems: rollouts.flatMap((r) => r.problems),
    numGenerations: first.numGenerations,
    completions: rollouts.flatMap((r) => r.completions),
    truncated: rollouts.flatMap((r) => r.truncated),
    entropySums: Float32Array.from(rollouts.flatMap((r) => Array.from(r.entropySums))),
    rewards: rollouts.flatMap((r) => r.rewards),
    solved: rollouts.flatMap((r) => r.solved),
    rewardsByFunction: Object.fromEntries(
      [...names].map((name) => [
        name,
        rollouts.flatMap((r) => r.rewardsByFunction[name] ?? r.rewards.map(() => null)),
      ]),
    ),
    seconds: {
      generation: total((r) => r.seconds.generation),
      reward: total((r) => r.seconds.reward),
    },
  };
}

/** The part of a rollout that answers some of its problems. */
function pickProblems(rollout: Rollout, problems: readonly number[]): Rollout {
  const { numGenerations } = rollout;
  const picked = <T>(list: ArrayLike<T>): T[] =>
    problems.flatMap((p) =>
      Array.from({ length: numGenerations }, (_, g) => list[p * numGenerations + g]!)
    );
  return {
    ...rollout,
    problems: problems.map((p) => rollout.problems[p]!),
    completions: picked(rollout.completions),
    truncated: picked(rollout.truncated),
    entropySums: Float32Array.from(picked(rollout.entropySums)),
    rewards: picked(rollout.rewards),
    solved: picked(rollout.solved),
    rewardsByFunction: Object.fromEntries(
      Object.entries(rollout.rewardsByFunction).map(([name, list]) => [name, picked(list)]),
    ),
  };
}
