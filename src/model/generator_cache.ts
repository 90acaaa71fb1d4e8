/**
 * The generators of a policy: those that callers hold, and one that grows with what is asked of it.
 *
 * @module
 */

import { deferred } from "../host/deferred.ts";
import type { Gpu } from "../gpu/device.ts";
import { type FinishedSequence, Generator } from "./generate.ts";
import { capacityFor, type Generation, type GenerationRequest } from "./generate_request.ts";
import { generation } from "./generation.ts";
import type { GeneratorCapacity } from "./generator_capacity.ts";
import type { Parameters } from "./parameters.ts";

/** Generators of one policy. */
export class GeneratorCache {
  readonly #gpu: Gpu;
  readonly #parameters: Parameters;
  readonly #held = new Map<string, Promise<Generator>>();
  readonly #all = new Set<Generator>();
  #shared: Generator | undefined;
  #lent = false;
  #turn: Promise<void> = Promise.resolve();
  #epoch = 0;

  /** */
  constructor(gpu: Gpu, parameters: Parameters) {
    this.#gpu = gpu;
    this.#parameters = parameters;
  }

  /** The generator of exactly this capacity, which nobody replaces. */
  async exactly(capacity: GeneratorCapacity): Promise<Generator> {
    const { promptTokens, sequences, completionLength, stepsPerSubmit, truncates = false } =
      capacity;
    const key = [promptTokens, sequences, completionLength, stepsPerSubmit, truncates].join();
    const held = this.#held.get(key);
    if (held === undefined) {
      const made = this.#make(capacity);
      this.#held.set(key, made);
      return await made;
    }
    const generator = await held.catch(() => undefined);
    if (generator && !generator.isDestroyed) return generator;
    if (this.#held.get(key) === held) this.#held.delete(key);
    return await this.exactly(capacity);
  }

  /**
   * Uses the shared generator, which is built again when a larger capacity than ever before is asked for. While it is in
   * use, others get one of their own.
   *
   * @param needed The smallest capacity that will do.
   * @param use What to do with it.
   */
  async use<R>(
    needed: GeneratorCapacity,
    use: (generator: Generator) => Promise<R>,
  ): Promise<R> {
    const generator = await this.#borrow(needed);
    try {
      return await use(generator);
    } finally {
      this.#giveBack(generator);
    }
  }

  /** Runs a request when those that were made before are done. */
  async generate(request: GenerationRequest): Promise<Generation> {
    const before = this.#turn;
    const { promise, resolve } = deferred<void>();
    this.#turn = promise;
    await before;
    try {
      return await this.use(
        capacityFor(request),
        (generator) => generation(this.#gpu, generator, request),
      );
    } finally {
      resolve();
    }
  }

  /** Runs a request, and yields what ends. Whoever asks may ask for more meanwhile, so that it waits for nobody. */
  async *stream(request: GenerationRequest): AsyncGenerator<FinishedSequence, void, undefined> {
    const generator = await this.#borrow(capacityFor(request));
    try {
      yield* generator.stream(request);
    } finally {
      this.#giveBack(generator);
    }
  }

  async #borrow(needed: GeneratorCapacity): Promise<Generator> {
    if (this.#lent) return await this.#make(needed);
    this.#lent = true;
    try {
      return await this.#atLeast(needed);
    } catch (error) {
      this.#lent = false;
      throw error;
    }
  }

  #giveBack(generator: Generator): void {
    if (generator === this.#shared) this.#lent = false;
    else this.#release(generator);
  }

  async #atLeast(needed: GeneratorCapacity): Promise<Generator> {
    const shared = this.#shared;
    const now = shared?.capacity;
    if (
      shared && now && now.promptTokens >= needed.promptTokens &&
      now.sequences >= needed.sequences && now.completionLength >= needed.completionLength &&
      (now.truncates || !needed.truncates)
    ) return shared;
    this.#shared = undefined;
    if (shared) this.#release(shared);
    return this.#shared = await this.#make({
      promptTokens: Math.max(needed.promptTokens, now?.promptTokens ?? 0),
      sequences: Math.max(needed.sequences, now?.sequences ?? 0),
      completionLength: Math.max(needed.completionLength, now?.completionLength ?? 0),
      truncates: Boolean(needed.truncates || now?.truncates),
    });
  }

  async #make(capacity: GeneratorCapacity): Promise<Generator> {
    const epoch = this.#epoch;
    const generator = await Generator.create(this.#gpu, this.#parameters, capacity);
    if (epoch !== this.#epoch) {
      generator.destroy();
      throw new Error("The generator was released: the policy was destroyed or adapted meanwhile");
    }
    this.#all.add(generator);
    return generator;
  }

  #release(generator: Generator): void {
    this.#all.delete(generator);
    if (!generator.isDestroyed) generator.destroy();
  }

  /** Releases the memory of all. */
  destroy(): void {
    this.#epoch++;
    for (const generator of [...this.#all]) this.#release(generator);
    this.#shared = undefined;
    this.#lent = false;
    this.#held.clear();
  }
}
