/**
 * The plans of generation: prompts in one packed pass with the first token of every sample, then a token at a time.
 *
 * @module
 */

import { Arena } from "../gpu/arena.ts";
import type { Gpu } from "../gpu/device.ts";
import { OFFSET_ALIGNMENT } from "../gpu/command.ts";
import { Plan } from "../gpu/plan.ts";
import { Dim, type Size, type Tensor } from "../gpu/tensor.ts";
import { attentionDecode } from "../ops/attention_decode.ts";
import { embedding } from "../ops/embedding.ts";
import { headSample } from "../ops/head_sample.ts";
import { PROGRESS, type SampleState } from "../ops/sample.ts";
import { sideBySide } from "../ops/side_by_side.ts";
import { columnsToHalf } from "../ops/to_half.ts";
import { type GenerationRequest, MAX_EOS } from "./generate_request.ts";
import type { BorrowedMemory, GeneratorCapacity } from "./generator_capacity.ts";
import { PackedInputs } from "./packed_inputs.ts";
import type { Parameters } from "./parameters.ts";
import type { StoredDType } from "./policy_weights.ts";
import { decoder, encode, headsOf } from "./transformer.ts";

/** Plans and the memory they share, for batches up to a capacity. */
export class GenerationPlans {
  /** Prompts, and the first token of every sample. */
  readonly prefill: Plan;
  /** One more token of every active sequence. */
  readonly decode: Plan;
  /** Sequences of the last run, B now. */
  readonly sequences: Dim;
  /** What was sampled. */
  readonly state: SampleState;
  /** Keys that the active rows attend to in a step of the chunk being decoded, on average. */
  attended = 0;

  readonly #gpu: Gpu;
  readonly #capacity: GeneratorCapacity;
  readonly #arena: Arena;
  readonly #scratch: Tensor | undefined;
  /** Bytes from which on they may be used, of the scratch's pieces. */
  readonly #scratchFrom: number[];
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
  readonly #shared: Tensor[] = [];
  #request: GenerationRequest | undefined;

  constructor(
    gpu: Gpu,
    parameters: Parameters,
    capacity: GeneratorCapacity,
    borrowed: BorrowedMemory = {},
  ) {
    const { sequences: B, completionLength: M, promptTokens } = capacity;
    this.#gpu = gpu;
    this.#capacity = capacity;
    this.#arena = new Arena(gpu, "generate", borrowed.arena);
    this.#scratch = borrowed.scratch;
    this.#scratchFrom = this.#scratch?.pieces.map(() => 0) ?? [];
    this.prefill = new Plan(gpu, "prefill", { arena: this.#arena });
    this.decode = new Plan(gpu, "decode", { arena: this.#arena });

    this.sequences = new Dim("sequences", B);
    this.#active = new Dim("active", B);
    const ids = (shape: readonly Size[], name: string) => this.#own(shape, name, "u32");
    this.state = {
      tokens: ids([this.sequences, M], "state.tokens"),
      logProbs: this.#own([this.sequences, M], "state.log_probs", "f32"),
      entropySums: this.#own([this.sequences], "state.entropy_sums", "f32"),
      ...sideBySide(PROGRESS, this.sequences, (shape) => ids(shape, "state.progress")),
    };
    this.#slots = ids([this.#active], "slots");
    this.#rows = ids([this.#active], "rows");
    this.#promptRanges = ids([B, 2], "prompt_ranges");
    this.#eos = ids([MAX_EOS], "eos");
    this.#promptOf = ids([this.#active], "prompt_of");
    this.#inputs = new PackedInputs(this.prefill, promptTokens, {
      maxPrompts: Math.min(B, promptTokens),
    });

    this.#recordDecode(parameters, this.#recordPrefill(parameters));
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
    const plan = this.prefill;
    const { numAttentionHeads, numKeyValueHeads, headDim } = parameters.config;
    const [first, width] = [numAttentionHeads * headDim, 2 * numKeyValueHeads * headDim];
    const storedByLayer: Tensor[] = [];
    const hidden = encode(plan, parameters, this.#inputs, (qkv) => {
      const { cacheDtype: dtype } = parameters;
      const stored = dtype === "f32"
        ? qkv
        : columnsToHalf(plan, qkv, { first, width }, { name: "prompt", dtype });
      storedByLayer.push(plan.leave(stored));
    });
    const { lastPromptRows } = this.#inputs;
    const last = embedding(plan, hidden, lastPromptRows, undefined, { name: "last_prompt_rows" });
    this.#recordSampling(plan, last, parameters, this.#promptOf);
    return storedByLayer;
  }

  /** One more token of every active sequence. */
  #recordDecode(parameters: Parameters, prompts: readonly Tensor[]): void {
    const plan = this.decode;
    const { sequences: B, completionLength: M } = this.#capacity;
    const { numKeyValueHeads, headDim } = parameters.config;
    const { lastTokens, lengths, finished } = this.state;
    const embedded = embedding(plan, parameters.embedding, lastTokens, undefined, {
      rows: this.#slots,
    });
    const hidden = decoder(plan, parameters, embedded, (qkv, layer) =>
      attentionDecode(plan, {
        qkv,
        slots: this.#slots,
        prompts: prompts[layer]!,
        promptRanges: this.#promptRanges,
        cache: this.#cache([B, numKeyValueHeads, M, 2, headDim], parameters.cacheDtype),
        lengths,
        finished,
      }, { ...headsOf(parameters.config, layer), attended: () => this.attended }));
    this.#recordSampling(plan, hidden, parameters, this.#rows);
  }

  /** Keys and values of a layer, among what was borrowed if there is room. */
  #cache(shape: readonly number[], dtype: StoredDType): Tensor {
    const cache = this.decode.leave(this.decode.empty(shape, "cache", dtype));
    for (const [i, piece] of this.#scratch?.pieces.entries() ?? []) {
      const from = this.#scratchFrom[i]!;
      const end = from + cache.byteLength;
      if (end > piece.byteLength) continue;
      cache.moveInto(piece, from);
      this.#scratchFrom[i] = Math.ceil(end / OFFSET_ALIGNMENT) * OFFSET_ALIGNMENT;
      break;
    }
    return cache;
  }

  #recordSampling(plan: Plan, hidden: Tensor, { head, config }: Parameters, rows: Tensor): void {
    const request = () => this.#request!;
    const truncation = this.#capacity.truncates
      ? {
        topK: () => request().topK ?? 0,
        topP: () => request().topP ?? 1,
        minP: () => request().minP ?? 0,
      }
      : undefined;
    headSample(plan, hidden, head, { rows, slots: this.#slots }, this.state, {
      temperature: () => request().temperature,
      truncation,
      seed: () => request().seed,
      step: () => request().step,
      firstSampleId: () => request().firstSampleId,
      limit: () => request().maxCompletionLength,
      eosTokenIds: this.#eos,
      eosCount: () => request().eosTokenIds.length,
      excludedToken: config.suppressedTokenId,
    });
  }

  /** Readies both plans; that of decoding reads keys and values that belong to that of prompts. */
  async compile(): Promise<void> {
    await this.prefill.compile();
    await this.decode.compile();
  }

  /** Uploads what a request begins with. Returns the prompt of each sequence (B). */
  upload(request: GenerationRequest): Uint32Array<ArrayBuffer> {
    const { prompts, numGenerations } = request;
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
    return promptOf;
  }

  /** Leaves these sequences in the batch, by number. */
  keepOnly(sequences: Uint32Array<ArrayBuffer>): void {
    if (sequences.length === this.#active.value) return;
    this.#active.value = sequences.length;
    this.#gpu.write(this.#slots, sequences);
  }

  /** Releases the memory. */
  destroy(): void {
    this.prefill.destroy();
    this.decode.destroy();
    this.#arena.destroy();
    for (const tensor of this.#shared) this.#gpu.destroyTensor(tensor);
  }
}
