/**
 * Batched generation with a KV cache, entirely on the GPU.
 *
 * A prompt is prefilled once and its keys and values are shared by all its samples. Decoding runs several tokens per
 * submit; between submits finished sequences leave the batch, so that they cost nothing. The sampler writes token ids and
 * their log-probabilities; the host reads ids and lengths at the end.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import type { Gpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { readied } from "../gpu/readied.ts";
import { submit, type Work } from "../gpu/submit.ts";
import type { Dim, Tensor } from "../gpu/tensor.ts";
import { type GenerationRequest, REQUEST } from "./generate_request.ts";
import { GenerationPlans } from "./generation_plans.ts";
import { type BorrowedMemory, CAPACITY, type GeneratorCapacity } from "./generator_capacity.ts";
import type { Parameters } from "./parameters.ts";
import { truncates, truncationOf } from "./truncation.ts";

/** One finished sequence. */
export interface FinishedSequence {
  /** Which one, b; it belongs to prompt floor(b / numGenerations). */
  readonly index: number;
  /** Token ids, with the end-of-sequence token if it was reached. */
  readonly completion: number[];
  /** Log-probability of each token at the temperature (at 1 when greedy), among all tokens even where sampling truncates. */
  readonly logProbs: Float32Array<ArrayBuffer>;
  /** Whether the limit cut it off. */
  readonly truncated: boolean;
}

/** What came out: sequence b belongs to prompt floor(b / numGenerations). */
export interface Generated {
  /** Token ids of each completion, with the end-of-sequence token if it was reached. */
  readonly completions: number[][];
  /** Whether the limit cut the completion off. */
  readonly truncated: boolean[];
  /** Sum over a completion's tokens of the entropy of the distribution each was drawn from, before truncation, nats. */
  readonly entropySums: Float32Array<ArrayBuffer>;
}

/** Plans and memory for generating with one policy, for batches up to a capacity. */
export class Generator {
  /** What it was built for. */
  readonly capacity: GeneratorCapacity;
  /** Sequences of the last run, B now. */
  readonly sequences: Dim;
  /** Log-probabilities of the sampled tokens (B, M) at the request's temperature; stays on the device. */
  readonly logProbs: Tensor;

  readonly #gpu: Gpu;
  readonly #plans: GenerationPlans;
  readonly #finished: Readback;
  readonly #results: Readback;
  readonly #stepsPerSubmit: number;
  #samples: Readback | undefined;
  #busy = false;
  #destroyed = false;

  private constructor(
    gpu: Gpu,
    parameters: Parameters,
    capacity: GeneratorCapacity,
    borrowed?: BorrowedMemory,
  ) {
    this.#gpu = gpu;
    this.capacity = capacity;
    this.#stepsPerSubmit = capacity.stepsPerSubmit ?? gpu.traits.stepsPerSubmit;
    this.#plans = new GenerationPlans(gpu, parameters, capacity, borrowed);
    const { state, sequences } = this.#plans;
    this.sequences = sequences;
    this.logProbs = state.logProbs;
    this.#finished = new Readback(gpu, [state.finished]);
    this.#results = new Readback(gpu, [state.lengths, state.tokens, state.entropySums]);
  }

  /**
   * Builds the plans and takes the memory.
   *
   * @param capacity The largest batch to come.
   * @param borrowed Memory that is of no use to others while a request runs. Default: none.
   */
  static async create(
    gpu: Gpu,
    parameters: Parameters,
    capacity: GeneratorCapacity,
    borrowed: BorrowedMemory = {},
  ): Promise<Generator> {
    checkNames("Generator", capacity, CAPACITY);
    checkNames("Generator's borrowed memory", borrowed, ["arena", "scratch"]);
    return await readied(
      gpu,
      () => new Generator(gpu, parameters, capacity, borrowed),
      (generator) => generator.#plans.compile(),
    );
  }

  /** Whether its memory was released. */
  get isDestroyed(): boolean {
    return this.#destroyed;
  }

  /** Whether a request is running; another one has to wait. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /**
   * Generates completions for a batch of prompts.
   *
   * @throws {RangeError} If the request is beyond the capacity, or a prompt is empty or has ids out of vocabulary.
   * @throws {Error} If another request is running.
   */
  async run(request: GenerationRequest): Promise<Generated> {
    checkNames("Generator.run", request, REQUEST);
    for await (const _ of this.#finishing(request));
    return await this.#collect(request);
  }

  /**
   * Generates completions and yields each soon after it ends, the short ones first.
   *
   * @throws {RangeError} If the request is beyond the capacity, or a prompt is empty or has ids out of vocabulary.
   * @throws {Error} If another request is running.
   */
  async *stream(request: GenerationRequest): AsyncGenerator<FinishedSequence, void, undefined> {
    checkNames("Generator.stream", request, REQUEST);
    const { lengths, tokens, logProbs } = this.#plans.state;
    this.#samples ??= new Readback(this.#gpu, [lengths, tokens, logProbs]);
    const M = this.capacity.completionLength;
    for await (const finished of this.#finishing(request)) {
      if (finished.length === 0) continue;
      submit(this.#gpu, [], this.#samples);
      const [counts, ids, values] = await this.#samples.take();
      this.#gpu.check();
      for (const index of finished) {
        const [start, end] = [index * M, index * M + counts![index]!];
        const completion = Array.from(ids!.subarray(start, end));
        yield {
          index,
          completion,
          logProbs: (values as Float32Array<ArrayBuffer>).slice(start, end),
          truncated: !request.eosTokenIds.includes(completion.at(-1)!),
        };
      }
    }
  }

  /** Runs a request; yields, after every chunk of tokens, the sequences that ended in it. */
  async *#finishing(request: GenerationRequest): AsyncGenerator<Uint32Array, void, undefined> {
    if (this.#busy) {
      throw new Error("This generator is still running another request: wait for it, or end it");
    }
    this.#busy = true;
    try {
      yield* this.#advance(request);
      request.onTokens?.(request.maxCompletionLength);
    } finally {
      this.#busy = false;
    }
  }

  async *#advance(request: GenerationRequest): AsyncGenerator<Uint32Array, void, undefined> {
    request.signal?.throwIfAborted();
    if (!this.capacity.truncates && truncates(truncationOf(request))) {
      throw new RangeError(
        "This generator samples among all tokens: build it with `truncates: true` in its capacity for topK, topP or minP",
      );
    }
    const { prompts, maxCompletionLength } = request;
    const gpu = this.#gpu;
    const plans = this.#plans;
    const { lengths, finished } = plans.state;
    const promptOf = plans.upload(request);
    const all = Uint32Array.from(promptOf, (_, b) => b);
    let work: Work[] = [{ clear: lengths }, { clear: finished }, plans.prefill];
    let active = all;
    for (let done = 1;;) {
      const times = Math.min(this.#stepsPerSubmit, maxCompletionLength - done);
      if (times > 0) work.push({ plan: plans.decode, times });
      plans.attended = active.reduce(
        (keys, b) => keys + prompts[promptOf[b]!]!.length + done + (times - 1) / 2,
        0,
      );
      const last = done + times >= maxCompletionLength;
      submit(gpu, work, last ? undefined : this.#finished);
      done += times;
      if (last) {
        yield active;
        return;
      }
      const [flags] = await this.#finished.take();
      gpu.check();
      request.onTokens?.(done);
      yield active.filter((b) => flags![b] !== 0);
      request.signal?.throwIfAborted();
      active = active.filter((b) => flags![b] === 0);
      if (active.length === 0) return;
      plans.keepOnly(active);
      work = [];
    }
  }

  async #collect(request: GenerationRequest): Promise<Generated> {
    submit(this.#gpu, [], this.#results);
    const [lengths, tokens, entropySums] = await this.#results.take();
    this.#gpu.check();
    const M = this.capacity.completionLength;
    const B = request.prompts.length * request.numGenerations;
    const completions: number[][] = [];
    const truncated: boolean[] = [];
    for (let b = 0; b < B; b++) {
      const ids = Array.from(tokens!.subarray(b * M, b * M + lengths![b]!));
      completions.push(ids);
      truncated.push(!request.eosTokenIds.includes(ids.at(-1)!));
    }
    return { completions, truncated, entropySums: entropySums as Float32Array<ArrayBuffer> };
  }

  /** Releases the memory. */
  destroy(): void {
    this.#destroyed = true;
    this.#finished.destroy();
    this.#results.destroy();
    this.#samples?.destroy();
    this.#plans.destroy();
  }
}
