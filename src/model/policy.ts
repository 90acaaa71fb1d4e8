/**
 * The policy: parameters on a device, and what can be asked of them.
 *
 * @module
 */

import { checkNames } from "../input/names.ts";
import { resolve as resolvePath } from "../host/paths.ts";
import type { Gpu } from "../gpu/device.ts";
import type { PolicyConfig, PolicyConfigOptions } from "./config.ts";
import { freshConfig, resolveConfig } from "./config.ts";
import type { FinishedSequence, Generator } from "./generate.ts";
import { CAPACITY, type GeneratorCapacity } from "./generator_capacity.ts";
import {
  eosTokenIdsIn,
  type GenerateOptions,
  type Generation,
  type GenerationRequest,
  generationRequest,
} from "./generate_request.ts";
import { GeneratorCache } from "./generator_cache.ts";
import { withCheckpoint } from "./hf_checkpoint.ts";
import { Adapters } from "./adapters.ts";
import { LORA_OPTIONS, type LoraOptions } from "./lora_options.ts";
import { loadLoraWeights, readLoraFolder } from "./lora_folder.ts";
import { loadWeights } from "./load_weights.ts";
import { type PolicyStorageOptions, STORAGE_OPTIONS } from "./policy_storage.ts";
import { SAVE_OPTIONS, type SavePolicyOptions, saveWeights } from "./save_weights.ts";
import { checkDeviceLimits } from "./limits.ts";
import { Parameters } from "./parameters.ts";
import type { StoredDType } from "./policy_weights.ts";
import { completionScores, sequenceLogits } from "./score.ts";
import { checkTokenIds } from "./token_ids.ts";
import { readTokenizerFiles, type TokenizerFiles, writeTokenizerFiles } from "./tokenizer_files.ts";

const FRESH = [...STORAGE_OPTIONS, "seed", "embeddingStd"];

/** A decoder-only transformer of the Llama/Qwen2 family on a GPU. */
export class Policy {
  /** The device. */
  readonly gpu: Gpu;
  /** Its shape. */
  readonly config: PolicyConfig;
  /** Its weights. */
  readonly parameters: Parameters;
  /** Its tokenizer's files, which {@linkcode Policy.save} writes beside the weights; none for a policy from nothing. */
  readonly tokenizerFiles: TokenizerFiles;
  /** The folder it was loaded from; adapters name it as their base. */
  readonly folder: string | undefined;
  readonly #generators: GeneratorCache;

  private constructor(
    gpu: Gpu,
    config: PolicyConfig,
    storage: PolicyStorageOptions,
    tokenizerFiles: TokenizerFiles = new Map(),
    folder?: string,
  ) {
    const { dtype = "f32", trainable } = storage;
    checkDeviceLimits(gpu, config, trainable === false ? dtype : "f32");
    this.gpu = gpu;
    this.tokenizerFiles = tokenizerFiles;
    this.folder = folder;
    this.config = config;
    this.parameters = gpu.memory.allOrNone(() => new Parameters(gpu, config, storage));
    this.#generators = new GeneratorCache(gpu, this.parameters);
  }

  /**
   * Makes a policy with random weights.
   *
   * @param config The vocabulary size, and what departs from the defaults.
   * @param options `seed` of the weights; the same seed gives the same bytes. Default 0. `embeddingStd`: standard
   * deviation of the embedding. Default: 0.5 / sqrt(hiddenSize), like the other matrices. How they are stored.
   * @throws {RangeError} If the configuration is not possible, or beyond the device's limits.
   */
  static create(
    gpu: Gpu,
    config: PolicyConfigOptions,
    options: PolicyStorageOptions & { seed?: number; embeddingStd?: number | undefined } = {},
  ): Policy {
    checkNames("Policy.create", options, FRESH);
    const { seed = 0, embeddingStd, ...storage } = options;
    if (embeddingStd !== undefined && !(embeddingStd > 0 && embeddingStd < Infinity)) {
      throw new RangeError(`embeddingStd is ${embeddingStd}: give a number > 0`);
    }
    const policy = new Policy(gpu, freshConfig(config), storage);
    policy.parameters.initialise(seed, embeddingStd);
    return policy;
  }

  /**
   * Makes a policy whose weights are all zero, to be written by the caller.
   *
   * @param config The vocabulary size, and what departs from the defaults.
   * @param options How the weights are stored.
   * @throws {RangeError} If the configuration is not possible, or beyond the device's limits.
   */
  static zeros(gpu: Gpu, config: PolicyConfigOptions, options: PolicyStorageOptions = {}): Policy {
    checkNames("Policy.zeros", options, STORAGE_OPTIONS);
    return new Policy(gpu, resolveConfig(config), options);
  }

  /**
   * Loads a Hugging Face checkpoint folder: `config.json`, safetensors, and the tokenizer's files unread; or a folder of
   * PEFT's with LoRA adapters, and the model that its `base_model_name_or_path` names.
   *
   * @param options How the weights are stored on the device, whatever the folder has.
   * @throws {Error} If a file is missing, damaged or of a model family that is not supported.
   * @throws {RangeError} If the parameters are beyond the device's limits; no memory has been taken then. If a weight is
   * beyond what 16 bits hold.
   */
  static async load(gpu: Gpu, dir: string, options: PolicyStorageOptions = {}): Promise<Policy> {
    checkNames("Policy.load", options, STORAGE_OPTIONS);
    const lora = await readLoraFolder(dir);
    const base = lora?.base ?? dir;
    const tokenizerFiles = await readTokenizerFiles(base);
    return await withCheckpoint(base, async (checkpoint) => {
      const policy = new Policy(gpu, checkpoint.config, options, tokenizerFiles, resolvePath(base));
      try {
        await loadWeights(gpu, policy.parameters, checkpoint);
        if (lora) await loadLoraWeights(dir, policy.addAdapters(lora.options));
      } catch (error) {
        policy.destroy();
        throw error;
      }
      return policy;
    });
  }

  /**
   * Adapts the policy's linear layers (LoRA): from now on training changes the adapters alone. They change nothing yet.
   *
   * Call it before anything is generated or trained: what was recorded before does not know of them.
   *
   * @param options Rank, alpha, targets and seed.
   * @throws {RangeError} If one is out of range.
   * @throws {Error} If there are adapters already.
   */
  addAdapters(options: LoraOptions): Adapters {
    checkNames("addAdapters", options, LORA_OPTIONS);
    if (this.parameters.adapters) throw new Error("This policy has adapters already");
    this.#generators.destroy();
    return this.parameters.adapters = this.gpu.memory.allOrNone(() =>
      new Adapters(this.gpu, this.config, options)
    );
  }

  /** Takes the adapters away: the policy is again what it was without them. */
  removeAdapters(): void {
    this.#generators.destroy();
    this.parameters.adapters?.destroy();
    this.parameters.adapters = undefined;
  }

  /** What training changes: the adapters where there are some, else the parameters. */
  get trained(): Parameters | Adapters {
    return this.parameters.adapters ?? this.parameters;
  }

  /**
   * Saves a Hugging Face checkpoint folder, or PEFT's folder of the adapters if there are some.
   *
   * @param dir The folder; files of the same names are replaced, each at once.
   * @param options `dtype` of the stored weights, by default `"f32"`, or what a policy that is not trainable holds; `merge` writes a whole model with the adapters added
   * to its weights, by default `false`.
   */
  async save(dir: string, options: SavePolicyOptions = {}): Promise<void> {
    checkNames("Policy.save", options, SAVE_OPTIONS);
    await saveWeights(dir, this.parameters, { ...options, base: this.folder });
    await writeTokenizerFiles(dir, this.tokenizerFiles);
  }

  /** How matrices are stored. */
  get dtype(): StoredDType {
    return this.parameters.dtype;
  }

  /** The ids that end a completion by the configuration; may be empty. */
  get eosTokenIds(): readonly number[] {
    return eosTokenIdsIn(this.config);
  }

  /**
   * Logits of every position of a batch of sequences of one length.
   *
   * @param tokens B sequences of S ids.
   * @returns (B, S, V), row-major.
   * @throws {RangeError} If the lengths differ, an id is out of vocabulary, or there are more ids than positions.
   */
  async logits(tokens: readonly (readonly number[])[]): Promise<Float32Array<ArrayBuffer>> {
    return await sequenceLogits(this.gpu, this.parameters, tokens);
  }

  /**
   * Log-probabilities of given completions.
   *
   * @param prompts One prompt per completion.
   * @param completions Token ids to score.
   * @param options `temperature` of the distribution. Default 1.
   * @returns One array per completion.
   * @throws {RangeError} If an id is out of vocabulary or never written, such as padding, there are more ids than
   * positions, or the temperature is not > 0.
   */
  async score(
    prompts: readonly (readonly number[])[],
    completions: readonly (readonly number[])[],
    options: { temperature?: number } = {},
  ): Promise<Float32Array[]> {
    checkNames("Policy.score", options, ["temperature"]);
    const { temperature = 1 } = options;
    return await completionScores(this.gpu, this.parameters, prompts, completions, temperature);
  }

  /**
   * Samples completions with a KV cache. Calls that are made at the same time take their turns: for more sequences at a
   * time give one call more prompts.
   *
   * @param prompts Token ids of each prompt.
   * @param options Length limit, temperature, samples per prompt and seed.
   * @throws {RangeError} If a prompt is empty, an id is out of vocabulary, or prompt and completion together exceed the
   * policy's positions.
   */
  async generate(
    prompts: readonly (readonly number[])[],
    options: GenerateOptions,
  ): Promise<Generation> {
    const request = this.request(prompts, options);
    if (prompts.length === 0) return { completions: [], logProbs: [], truncated: [] };
    return await this.#generators.generate(request);
  }

  /**
   * Samples completions and yields each soon after it ends: the short ones first. Takes the same options as
   * {@linkcode Policy.generate} and samples the same tokens.
   *
   * @param prompts Token ids of each prompt.
   * @param options Length limit, temperature, samples per prompt and seed.
   * @throws {RangeError} As {@linkcode Policy.generate} does.
   */
  async *stream(
    prompts: readonly (readonly number[])[],
    options: GenerateOptions,
  ): AsyncGenerator<FinishedSequence, void, undefined> {
    const request = this.request(prompts, options);
    if (prompts.length === 0) return;
    yield* this.#generators.stream(request);
  }

  /**
   * Fills in the defaults of a request for generation and checks it.
   *
   * @param prompts Token ids of each prompt.
   * @param options What to generate.
   * @throws {RangeError} Naming the value that is out of range.
   */
  request(prompts: readonly (readonly number[])[], options: GenerateOptions): GenerationRequest {
    return generationRequest(this.config, prompts, options);
  }

  /**
   * A generator for a loop of one's own. The same capacity gives the same generator, and nothing else that the policy is
   * asked for changes it. It goes with the policy, or before by its own `destroy()`.
   *
   * @param capacity The largest batch to come; `logProbs` has exactly this shape.
   */
  generator(capacity: GeneratorCapacity): Promise<Generator> {
    checkNames("Policy.generator", capacity, CAPACITY);
    return this.#generators.exactly(capacity);
  }

  /**
   * Uses the generator that {@linkcode generate}, {@linkcode stream} and evaluations share, of at least a capacity. It is
   * nobody else's meanwhile, and may be replaced afterwards; while it is in use there is another, for this once.
   *
   * @param needed The smallest capacity that will do.
   */
  withGenerator<R>(
    needed: GeneratorCapacity,
    use: (generator: Generator) => Promise<R>,
  ): Promise<R> {
    checkNames("Policy.withGenerator", needed, CAPACITY);
    return this.#generators.use(needed, use);
  }

  /**
   * Checks token ids.
   *
   * @throws {RangeError} If there are none, or one is out of vocabulary.
   */
  checkTokens(ids: readonly number[], what: string): void {
    checkTokenIds(ids, this.config.vocabSize, what);
  }

  /** Releases all memory. */
  destroy(): void {
    this.#generators.destroy();
    this.parameters.destroy();
  }
}
