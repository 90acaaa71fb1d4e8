/**
 * A policy's parameters: one flat buffer of values and one of gradients, with Hugging Face names as ranges in them.
 *
 * Matrices that are multiplied with the same input lie next to each other, so that q, k and v are one product, and gate
 * and up another. Their Hugging Face tensors are plain sub-ranges.
 *
 * With f16 there is a rounded copy beside the values, laid out like them, and the matrices are views of that: what
 * multiplies reads half the bytes, while the optimizer adds small steps to the float32 values.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import type { Gpu } from "../gpu/device.ts";
import { Random } from "../random/random.ts";
import { readTensor, type Work } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { Adapters } from "./adapters.ts";
import { bindableBytes } from "../ops/row_ranges.ts";
import { cutsOf, layoutParameters } from "./parameter_layout.ts";
import { type PolicyStorageOptions, STORAGE_OPTIONS } from "./policy_storage.ts";
import { type ParameterRange, readRange } from "./parameter_range.ts";
import {
  type LayerParameters,
  type PolicyWeights,
  STORED_DTYPES,
  type StoredDType,
} from "./policy_weights.ts";
import { parameterShapes, type PolicyConfig } from "./config.ts";

const EMBEDDING = "model.embed_tokens.weight";
/** Stream number of parameter initialisation among the uses of a seed. */
const INITIALISATION = 1;

/** The parameters of a policy on a device. */
export class Parameters implements PolicyWeights {
  /** What they belong to. */
  readonly config: PolicyConfig;
  /** How the matrices are stored. */
  readonly dtype: StoredDType;
  /** How keys and values are cached. */
  readonly cacheDtype: StoredDType;
  /** Whether all values are there in f32, which training needs. */
  readonly trainable: boolean;
  /** All values, flat (n) f32; only norms and biases where matrices are in 16 bits and nothing is trainable. */
  readonly values: Tensor;
  /** The values rounded to 16 bits, flat (n), where matrices are stored so. */
  readonly halves: Tensor | undefined;
  /** (V, C). */
  readonly embedding: Tensor;
  /** Per layer. */
  readonly layers: readonly LayerParameters[];
  /** (C). */
  readonly finalNorm: Tensor;
  /** (V, C); the embedding itself when tied. */
  readonly head: Tensor;
  /** Low-rank adapters, which are trained in place of these parameters. */
  adapters: Adapters | undefined;

  readonly #gpu: Gpu;
  readonly #ranges: ReadonlyMap<string, ParameterRange>;
  readonly #blocks: { readonly tensor: Tensor; readonly offset: number }[] = [];
  #gradients: Tensor | undefined;

  /**
   * Reserves memory for all parameters, zeroed.
   *
   * @param config A complete configuration.
   * @param storage How matrices and the cache are stored, and whether all values are kept in f32 too.
   */
  constructor(gpu: Gpu, config: PolicyConfig, storage: PolicyStorageOptions = {}) {
    checkNames("Parameters", storage, STORAGE_OPTIONS);
    const { dtype = "f32", cacheDtype = dtype, trainable = true } = storage;
    for (const [name, value] of Object.entries({ dtype, cacheDtype })) {
      if (STORED_DTYPES.includes(value)) continue;
      throw new RangeError(
        `${name} must be one of ${STORED_DTYPES.join(", ")}: current value is ${value}`,
      );
    }
    this.#gpu = gpu;
    this.config = config;
    this.dtype = dtype;
    this.cacheDtype = cacheDtype;
    this.trainable = trainable;
    const layout = layoutParameters(config, dtype);
    const { ranges, blocks, vectors, length } = layout;
    this.#ranges = ranges;
    const cuts = cutsOf(layout, {
      buffer: gpu.device.limits.maxBufferSize,
      bound: bindableBytes(gpu),
    });
    this.values = dtype === "f32" || trainable
      ? gpu.tensor([length], { name: "parameters", cuts })
      : gpu.tensor([vectors], { name: "parameters" });
    this.halves = dtype === "f32"
      ? undefined
      : gpu.tensor([length], { dtype, name: `parameters in ${dtype}`, cuts });
    const block = (name: string): Tensor => {
      const { offset, shape } = blocks.get(name)!;
      const stored = shape.length === 2 && this.halves ? this.halves : this.values;
      const tensor = stored.view(shape, { elementOffset: offset, name });
      this.#blocks.push({ tensor, offset });
      return tensor;
    };
    this.embedding = block(EMBEDDING);
    this.layers = Array.from({ length: config.numHiddenLayers }, (_, i) => {
      const path = `model.layers.${i}.`;
      return {
        inputNorm: block(`${path}input_layernorm.weight`),
        qkvWeight: block(`${path}self_attn.q_proj.weight`),
        qkvBias: config.attentionBias ? block(`${path}self_attn.q_proj.bias`) : undefined,
        headNorms: config.normedHeads ? block(`${path}self_attn.q_norm.weight`) : undefined,
        outputWeight: block(`${path}self_attn.o_proj.weight`),
        postAttentionNorm: block(`${path}post_attention_layernorm.weight`),
        gateUpWeight: block(`${path}mlp.gate_proj.weight`),
        downWeight: block(`${path}mlp.down_proj.weight`),
      };
    });
    this.finalNorm = block("model.norm.weight");
    this.head = config.tieWordEmbeddings ? this.embedding : block("lm_head.weight");
  }

  /** Hugging Face names in the order of a state dict. */
  get names(): string[] {
    return parameterShapes(this.config).map(({ name }) => name);
  }

  /**
   * All gradients, flat (n) like {@linkcode values}; the first use takes memory, as {@linkcode requireGradients} does. A
   * `Trainer` keeps caches there while it samples: read them before its next step or evaluation.
   */
  get gradients(): Tensor {
    return this.requireGradients();
  }

  /**
   * Takes memory for the gradients, unless it has been, and tells every parameter where its own goes. A plan recorded
   * before has no gradients of the parameters.
   *
   * @returns {@linkcode gradients}.
   * @throws {Error} If nothing is trainable.
   */
  requireGradients(): Tensor {
    if (!this.#gradients) {
      this.#requireTrainable();
      const { capacity, cuts } = this.values;
      this.#gradients = this.#gpu.tensor([capacity], { name: "gradients", cuts });
      for (const { tensor, offset } of this.#blocks) {
        tensor.grad = this.#gradients.view(tensor.shape, {
          elementOffset: offset,
          name: `${tensor.name}.grad`,
        });
      }
    }
    return this.#gradients;
  }

  /**
   * Fills in random values: matrices normal, norms 1, biases 0. The same seed gives the same bytes.
   *
   * The standard deviation is 0.5 / sqrt(C) (0.018 for C = 768, what GPT-2 uses, and larger for narrow policies); the
   * two projections that feed the residual stream are divided by sqrt(2 layers) (Radford et al. 2019, section 2.3).
   *
   * @param seed The run's seed.
   * @param embeddingStd Another standard deviation for the embedding.
   */
  initialise(seed: number, embeddingStd?: number): void {
    const { hiddenSize, numHiddenLayers } = this.config;
    const std = 0.5 / Math.sqrt(hiddenSize);
    for (const [index, name] of this.names.entries()) {
      const { length } = this.#ranges.get(name)!;
      if (name.endsWith("norm.weight")) {
        this.write(name, new Float32Array(length).fill(1));
      } else if (name.endsWith(".bias")) {
        this.write(name, new Float32Array(length));
      } else {
        const random = new Random(seed, INITIALISATION, index);
        const residual = /(o_proj|down_proj)\.weight$/.test(name);
        const general = residual ? std / Math.sqrt(2 * numHiddenLayers) : std;
        const scale = name === EMBEDDING ? embeddingStd ?? general : general;
        this.write(name, Float32Array.from({ length }, () => scale * random.normal()));
      }
    }
  }

  /**
   * Writes one parameter.
   *
   * @throws {RangeError} If there is no parameter of that name, the number of values differs, or one is beyond what 16 bits
   * hold where the matrices are stored so.
   */
  write(name: string, values: Float32Array): void {
    const range = this.range(name);
    if (values.length !== range.length) {
      throw new RangeError(
        `Parameter ${name} has ${range.length} values [${range.shape}]: got ${values.length}`,
      );
    }
    if (this.halves && range.shape.length === 2) {
      const { shape, offset: elementOffset } = range;
      this.#gpu.write(this.halves.view(shape, { elementOffset, name }), values);
      if (!this.trainable) return;
    }
    this.#gpu.write(this.values, values, range.offset);
  }

  /** Refuses what needs all values in f32, and memory for as many gradients. */
  #requireTrainable(): void {
    if (this.trainable) return;
    throw new Error(
      "This policy was made with trainable: false, to be asked only: load it without, to train it",
    );
  }

  /** What makes these values those of another policy of the same shape and dtype. */
  copyFrom(other: Parameters): Work[] {
    const copies: Work[] = [{ copy: other.values, to: this.values }];
    if (other.halves && this.halves) copies.push({ copy: other.halves, to: this.halves });
    return copies;
  }

  /**
   * Reads parameters, or anything laid out like them, by Hugging Face name.
   *
   * @param flat What to read: {@linkcode values} by default, or gradients or an optimizer's moments.
   * @throws {Error} If nothing is trainable.
   */
  async read(flat: Tensor = this.values): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    this.#requireTrainable();
    const all = await readTensor(this.#gpu, flat) as Float32Array<ArrayBuffer>;
    return new Map(this.names.map((name) => {
      const { offset, length } = this.range(name);
      return [name, all.slice(offset, offset + length)];
    }));
  }

  /**
   * Reads one parameter, or what is laid out like it.
   *
   * @param flat As of {@linkcode read}.
   * @throws {Error} If nothing is trainable.
   */
  async readOne(name: string, flat: Tensor = this.values): Promise<Float32Array<ArrayBuffer>> {
    this.#requireTrainable();
    return await readRange(this.#gpu, flat, this.range(name));
  }

  /** Writes values by Hugging Face name into something laid out like the parameters. */
  writeInto(flat: Tensor, name: string, values: Float32Array): void {
    this.#gpu.write(flat, values, this.range(name).offset);
  }

  /**
   * Where a parameter lies in {@linkcode values} and whatever is laid out like them.
   *
   * @throws {RangeError} If there is no parameter of that name.
   */
  range(name: string): ParameterRange {
    const range = this.#ranges.get(name);
    if (!range) throw new RangeError(`There is no parameter ${name} in this policy`);
    return range;
  }

  /** The weights without their adapters. */
  get base(): PolicyWeights {
    const { config, dtype, cacheDtype, embedding, layers, finalNorm, head } = this;
    return { config, dtype, cacheDtype, embedding, layers, finalNorm, head };
  }

  /**
   * The values as they are stored, rounded where they are in 16 bits, by Hugging Face name.
   */
  async readStored(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { shape, offset: elementOffset } = this.range(name);
    const stored = this.halves && shape.length === 2 ? this.halves : this.values;
    return await readTensor(this.#gpu, stored.view(shape, { elementOffset, name })) as Float32Array<
      ArrayBuffer
    >;
  }

  /** Releases the memory. */
  destroy(): void {
    this.adapters?.destroy();
    this.#gpu.destroyTensor(this.values);
    if (this.halves) this.#gpu.destroyTensor(this.halves);
    if (this.#gradients) this.#gpu.destroyTensor(this.#gradients);
  }
}
