/**
 * The generators of a policy: those that callers hold, and one that grows with what is asked of it.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Generator } from "./generate.ts";
import type { GeneratorCapacity } from "./generation_plans.ts";
import type { Parameters } from "./parameters.ts";

/** Generators of one policy. */
export class GeneratorCache {
  readonly #gpu: Gpu;
  readonly #parameters: Parameters;
  readonly #held = new Map<string, Generator>();
  #shared: Generator | undefined;

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
    if (held && !held.isDestroyed) return held;
    const generator = await Generator.create(this.#gpu, this.#parameters, capacity);
    this.#held.set(key, generator);
    return generator;
  }

  /**
   * The shared generator, built again when a larger capacity than ever before is asked for. Use it for one request, and
   * do not keep it.
   *
   * @throws {Error} If it has to be built again and is running.
   */
  async atLeast(needed: GeneratorCapacity): Promise<Generator> {
    const shared = this.#shared;
    const now = shared?.capacity;
    if (
      shared && now && now.promptTokens >= needed.promptTokens &&
      now.sequences >= needed.sequences && now.completionLength >= needed.completionLength &&
      (now.truncates || !needed.truncates)
    ) return shared;
    if (shared?.isBusy) {
      throw new Error(
        "This policy is still generating for another request: wait for it, or end it",
      );
    }
    shared?.destroy();
    this.#shared = undefined;
    this.#shared = await Generator.create(this.#gpu, this.#parameters, {
      promptTokens: Math.max(needed.promptTokens, now?.promptTokens ?? 0),
      sequences: Math.max(needed.sequences, now?.sequences ?? 0),
      completionLength: Math.max(needed.completionLength, now?.completionLength ?? 0),
      truncates: Boolean(needed.truncates || now?.truncates),
    });
    return this.#shared;
  }

  /** Releases the memory of all. */
  destroy(): void {
    for (const generator of [this.#shared, ...this.#held.values()]) {
      if (generator && !generator.isDestroyed) generator.destroy();
    }
    this.#shared = undefined;
    this.#held.clear();
  }
}
