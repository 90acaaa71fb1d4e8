/**
 * Batched generation with a KV cache, entirely on the GPU.
 *
 * A prompt is prefilled once and its keys and values are shared by all its samples. Decoding runs several tokens per
 * submit; between submits finished sequences leave the batch, so that they cost nothing. The sampler writes token ids and
 * their log-probabilities; the host reads ids and lengths at the end.
 *
 * @module
 */

import { Arena } from "../gpu/arena.ts";
import { Plan } from "../gpu/plan.ts";
import type { Gpu } from "../gpu/device.ts";
import { Readback } from "../gpu/readback.ts";
import { submit, type Work } from "../gpu/submit.ts";
import { Dim, type Size, type Tensor } from "../gpu/tensor.ts";
import { attentionDecode } from "../ops/attention_decode.ts";
import { embedding } from "../ops/embedding.ts";
import { headSample } from "../ops/head_sample.ts";
import { PROGRESS, type SampleState } from "../ops/sample.ts";
import { sideBySide } from "../ops/side_by_side.ts";
import { columnsToHalf } from "../ops/to_half.ts";
import { PackedInputs } from "./packed_inputs.ts";
import type { Parameters } from "./parameters.ts";
import { decoder, encode, headsOf } from "./transformer.ts";

/** What a {@linkcode Generator} is built for. */
export interface GeneratorCapacity {
  /** The most prompt tokens of one call, over all prompts. */
  readonly promptTokens: number;
  /** B, the most sequences of one call. */
  readonly sequences: number;
  /** M, the most tokens of one completion. */
  readonly completionLength: number;
  /**
   * Tokens of each sequence decoded per submit; finished sequences leave the batch only in between. Default: 4 on a
   * software adapter, which gains more from dropping them early than from few submits, and 16 on others.
   */
  readonly stepsPerSubmit?: number;
}

/** One call of {@linkcode Generator.run}. */
export interface GenerationRequest {
  /** Token ids of each prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** Samples per prompt. */
  readonly numGenerations: number;
  /** The most tokens of one completion, at most the capacity's. */
  readonly maxCompletionLength: number;
  /** Softmax temperature; 0 takes the most likely token. */
  readonly temperature: number;
  /** Key of the random numbers. */
  readonly seed: number;
  /** Second key, the training step. */
  readonly step: number;
  /** Sample id of the first sequence; a sequence's tokens depend on (seed, step, id) and not on its neighbours. */
  readonly firstSampleId: number;
  /** Ids that end a completion; at most {@linkcode MAX_EOS}. */
  readonly eosTokenIds: readonly number[];
  /** Stops between two chunks of tokens. */
  readonly signal?: AbortSignal | undefined;
}

/** One finished sequence. */
export interface FinishedSequence {
  /** Which one, b; it belongs to prompt floor(b / numGenerations). */
  readonly index: number;
  /** Token ids, with the end-of-sequence token if it was reached. */
  readonly completion: number[];
  /** Log-probability of each token under the distribution it was sampled from (at temperature 1 when greedy). */
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
  /** Sum over a completion's tokens of the entropy of the distribution each was drawn from, nats. */
  readonly entropySums: Float32Array<ArrayBuffer>;
}

/** The most end-of-sequence ids. */
export const MAX_EOS = 16;

/** Plans and memory for generating with one policy, for batches up to a capacity. */
export class Generator {
  /** What it was built for. */
  readonly capacity: GeneratorCapacity;
  /** Sequences of the last run, B now. */
  readonly sequences: Dim;
  /** Log-probabilities of the sampled tokens (B, M) under the sampling distribution; stays on the device. */
  readonly logProbs: Tensor;

  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #prefill: Plan;
  readonly #decode: Plan;
  readonly #inputs: PackedInputs;
  /** Rows of the decode batch now. */
  readonly #active: Dim;
  /** Sequence b of each row (A). */
  readonly #slots: Tensor;
  /** Row of the logits for each active row while decoding: itself (A). */
  readonly #rows: Tensor;
  /** Prompt of each row of the first sampling (A). */
  readonly #promptOf: Tensor;
  /** First and past-the-last prefill row of each sequence's prompt (B, 2). */
  readonly #promptRanges: Tensor;
  readonly #eos: Tensor;
  readonly #state: SampleState;
  readonly #finished: Readback;
  readonly #results: Readback;
  readonly #stepsPerSubmit: number;
  readonly #shared: Tensor[] = [];
  /** Keys that the active rows attend to in a step of the chunk being decoded, on average. */
  #attended = 0;
  #request: GenerationRequest | undefined;
  #samples: Readback | undefined;
  #busy = false;
  #destroyed = false;

  private constructor(gpu: Gpu, parameters: Parameters, capacity: GeneratorCapacity) {
    const { sequences: B, completionLength: M, promptTokens } = capacity;
    this.#gpu = gpu;
    this.capacity = capacity;
    this.#arena = new Arena(gpu, "generate");
    this.#prefill = new Plan(gpu, "prefill", { arena: this.#arena });
    this.#decode = new Plan(gpu, "decode", { arena: this.#arena });
    this.#stepsPerSubmit = capacity.stepsPerSubmit ?? gpu.traits.stepsPerSubmit;

    this.sequences = new Dim("sequences", B);
    this.#active = new Dim("active", B);
    const ids = (shape: readonly Size[], name: string) => this.#own(shape, name, "u32");
    this.#state = {
      tokens: ids([this.sequences, M], "state.tokens"),
      logProbs: this.#own([this.sequences, M], "state.log_probs", "f32"),
      entropySums: this.#own([this.sequences], "state.entropy_sums", "f32"),
      ...sideBySide(PROGRESS, this.sequences, (shape) => ids(shape, "state.progress")),
    };
    this.logProbs = this.#state.logProbs;
    this.#slots = ids([this.#active], "slots");
    this.#rows = ids([this.#active], "rows");
    this.#promptRanges = ids([B, 2], "prompt_ranges");
    this.#eos = ids([MAX_EOS], "eos");
    this.#promptOf = ids([this.#active], "prompt_of");
    this.#inputs = new PackedInputs(this.#prefill, promptTokens, {
      maxPrompts: Math.min(B, promptTokens),
    });

    this.#recordDecode(parameters, this.#recordPrefill(parameters));
    this.#finished = new Readback(gpu, [this.#state.finished]);
    this.#results = new Readback(gpu, [
      this.#state.lengths,
      this.#state.tokens,
      this.#state.entropySums,
    ]);
  }

  /**
   * Builds the plans and takes the memory.
   *
   * @param gpu The device.
   * @param parameters The policy.
   * @param capacity The largest batch to come.
   */
  static async create(
    gpu: Gpu,
    parameters: Parameters,
    capacity: GeneratorCapacity,
  ): Promise<Generator> {
    const generator = new Generator(gpu, parameters, capacity);
    // The decode plan reads keys and values that belong to the prefill plan.
    await generator.#prefill.compile();
    await generator.#decode.compile();
    return generator;
  }

  /** A tensor that both plans use. */
  #own(shape: readonly Size[], name: string, dtype: "u32" | "f32"): Tensor {
    const tensor = this.#gpu.tensor(shape, { name, dtype });
    this.#shared.push(tensor);
    return tensor;
  }

  /**
   * Prompts in one packed pass, then the first token of every sample. Returns each layer's keys and values, among the
   * queries in f32, where they are used as they are.
   */
  #recordPrefill(parameters: Parameters): Tensor[] {
    const plan = this.#prefill;
    const { numAttentionHeads, numKeyValueHeads, headDim } = parameters.config;
    const [first, width] = [numAttentionHeads * headDim, 2 * numKeyValueHeads * headDim];
    const keptByLayer: Tensor[] = [];
    const hidden = encode(plan, parameters, this.#inputs, (qkv) => {
      const kept = parameters.dtype === "f16"
        ? columnsToHalf(plan, qkv, { first, width }, { name: "prompt" })
        : qkv;
      keptByLayer.push(plan.keep(kept));
    });
    const { lastPromptRows } = this.#inputs;
    const last = embedding(plan, hidden, lastPromptRows, undefined, { name: "last_prompt_rows" });
    this.#recordSampling(plan, last, parameters, this.#promptOf);
    return keptByLayer;
  }

  /** One more token of every active sequence. */
  #recordDecode(parameters: Parameters, prompts: readonly Tensor[]): void {
    const plan = this.#decode;
    const { sequences: B, completionLength: M } = this.capacity;
    const { numKeyValueHeads, headDim } = parameters.config;
    const { lastTokens, lengths, finished } = this.#state;
    const embedded = embedding(plan, parameters.embedding, lastTokens, undefined, {
      rows: this.#slots,
    });
    const hidden = decoder(plan, parameters, embedded, (qkv, layer) =>
      attentionDecode(plan, {
        qkv,
        slots: this.#slots,
        prompts: prompts[layer]!,
        promptRanges: this.#promptRanges,
        cache: plan.input([B, numKeyValueHeads, M, 2, headDim], "cache", parameters.dtype),
        lengths,
        finished,
      }, { ...headsOf(parameters.config, layer), attended: () => this.#attended }));
    this.#recordSampling(plan, hidden, parameters, this.#rows);
  }

  #recordSampling(plan: Plan, hidden: Tensor, { head, config }: Parameters, rows: Tensor): void {
    const request = () => this.#request!;
    headSample(plan, hidden, head, { rows, slots: this.#slots }, this.#state, {
      temperature: () => request().temperature,
      seed: () => request().seed,
      step: () => request().step,
      firstSampleId: () => request().firstSampleId,
      limit: () => request().maxCompletionLength,
      eosTokenIds: this.#eos,
      eosCount: () => request().eosTokenIds.length,
      excludedToken: config.suppressedTokenId,
    });
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
    const { lengths, tokens, logProbs } = this.#state;
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
    } finally {
      this.#busy = false;
    }
  }

  async *#advance(request: GenerationRequest): AsyncGenerator<Uint32Array, void, undefined> {
    request.signal?.throwIfAborted();
    const { prompts, numGenerations, maxCompletionLength } = request;
    const gpu = this.#gpu;
    const B = prompts.length * numGenerations;
    this.#request = request;
    this.sequences.value = B;
    this.#active.value = B;
    const packed = this.#inputs.upload(prompts.map((prompt) => ({ prompt, responses: [] })));
    const all = Uint32Array.from({ length: B }, (_, b) => b);
    const promptOf = all.map((b) => Math.floor(b / numGenerations));
    gpu.write(this.#slots, all);
    gpu.write(this.#rows, all);
    gpu.write(this.#promptOf, promptOf);
    gpu.write(this.#eos, Uint32Array.from(request.eosTokenIds));
    const ranges = new Uint32Array(2 * B);
    for (let b = 0; b < B; b++) {
      ranges.set(packed.promptRanges.subarray(2 * promptOf[b]!, 2 * promptOf[b]! + 2), 2 * b);
    }
    gpu.write(this.#promptRanges, ranges);

    const { lengths, finished } = this.#state;
    let work: Work[] = [{ clear: lengths }, { clear: finished }, this.#prefill];
    let active = all;
    for (let done = 1;;) {
      const times = Math.min(this.#stepsPerSubmit, maxCompletionLength - done);
      if (times > 0) work.push({ plan: this.#decode, times });
      this.#attended = active.reduce(
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
      yield active.filter((b) => flags![b] !== 0);
      request.signal?.throwIfAborted();
      active = active.filter((b) => flags![b] === 0);
      if (active.length === 0) return;
      if (active.length < this.#active.value) {
        this.#active.value = active.length;
        gpu.write(this.#slots, active);
      }
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
    this.#prefill.destroy();
    this.#decode.destroy();
    this.#arena.destroy();
    for (const tensor of this.#shared) this.#gpu.destroyTensor(tensor);
  }
}
