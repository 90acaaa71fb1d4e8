/**
 * Generation, ready to be repeated.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { Random } from "../../src/random/random.ts";
import { Generator } from "../../src/model/generate.ts";
import { Policy } from "../../src/model/policy.ts";
import type { BenchPolicy } from "./policies.ts";
import { tokenIds } from "./random.ts";

/** What to generate. */
export interface RolloutWork {
  /** Different prompts. */
  readonly prompts: number;
  /** Tokens of each. */
  readonly promptLength: number;
  /** Samples per prompt. */
  readonly numGenerations: number;
  /** The most tokens of a completion. */
  readonly maxCompletionLength: number;
  /**
   * How many of the V ids end a completion. A policy with random weights draws ids almost evenly, so lengths are geometric
   * with mean V / eosIds; 0 makes every completion as long as can be.
   */
  readonly eosIds: number;
  /** Decoding steps between looks at which sequences have ended. Default: the device's. */
  readonly stepsPerSubmit?: number;
}

/** What one call gave. */
export interface RolloutResult {
  /** Tokens of all completions. */
  readonly tokens: number;
  /** The longest completion. */
  readonly longest: number;
}

/** A policy and a generator. */
export class Rollout {
  readonly #policy: Policy;
  readonly #generator: Generator;
  readonly #prompts: readonly number[][];
  readonly #work: RolloutWork;

  private constructor(
    policy: Policy,
    generator: Generator,
    prompts: readonly number[][],
    work: RolloutWork,
  ) {
    this.#policy = policy;
    this.#generator = generator;
    this.#prompts = prompts;
    this.#work = work;
  }

  /**
   * Compiles everything a rollout needs.
   *
   * @param gpu The device.
   * @param shape The policy; its weights are random.
   * @param work What to generate; prompts are random.
   */
  static async create(gpu: Gpu, shape: BenchPolicy, work: RolloutWork): Promise<Rollout> {
    const policy = Policy.create(gpu, shape.config, { dtype: shape.dtype ?? "f32" });
    const random = new Random(2);
    const prompts = Array.from(
      { length: work.prompts },
      () => tokenIds(random, work.promptLength, policy.config.vocabSize),
    );
    const generator = await Generator.create(gpu, policy.parameters, {
      promptTokens: work.prompts * work.promptLength,
      sequences: work.prompts * work.numGenerations,
      completionLength: work.maxCompletionLength,
      stepsPerSubmit: work.stepsPerSubmit,
    });
    return new Rollout(policy, generator, prompts, work);
  }

  /** Generates once; the same tokens every time. */
  async run(): Promise<RolloutResult> {
    const { completions } = await this.#generator.run(this.#policy.request(this.#prompts, {
      numGenerations: this.#work.numGenerations,
      maxCompletionLength: this.#work.maxCompletionLength,
      seed: 3,
      eosTokenIds: Array.from({ length: this.#work.eosIds }, (_, i) => i),
    }));
    return {
      tokens: completions.reduce((n, { length }) => n + length, 0),
      longest: completions.reduce((n, { length }) => Math.max(n, length), 0),
    };
  }

  /** Releases the memory. */
  destroy(): void {
    this.#generator.destroy();
    this.#policy.destroy();
  }
}
