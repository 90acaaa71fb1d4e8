/**
 * Requests for generation, their defaults and checks, and what comes back.
 *
 * @module
 */

import { checkNames, namesOf, shownWithType } from "../input/names.ts";
import type { PolicyConfig } from "./config.ts";
import type { GeneratorCapacity } from "./generator_capacity.ts";
import { checkTokenIds, NEVER_WRITTEN, neverEnds } from "./token_ids.ts";
import { truncates, truncationOf, type TruncationOptions } from "./truncation.ts";

/** The most end-of-sequence ids. */
export const MAX_EOS = 16;

/** One call of `Generator.run`. */
export interface GenerationRequest extends TruncationOptions {
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
  /** Is told after each chunk how many tokens the sequences have that are not finished; at the end, the most there may be. */
  readonly onTokens?: ((tokens: number) => void) | undefined;
}

/** Every field of {@linkcode GenerationRequest}. */
export const REQUEST: readonly string[] = namesOf<GenerationRequest>({
  prompts: true,
  numGenerations: true,
  maxCompletionLength: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  seed: true,
  step: true,
  firstSampleId: true,
  eosTokenIds: true,
  signal: true,
  onTokens: true,
});

/**
 * Options of `Policy.generate`. Default: one sample per prompt at temperature 1, among all tokens, with `seed`, `step` and
 * `firstSampleId` 0, ended by the configuration's `eosTokenId`.
 */
export type GenerateOptions =
  & Pick<GenerationRequest, "maxCompletionLength">
  & Partial<Omit<GenerationRequest, "prompts" | "maxCompletionLength">>;

const NAMES = REQUEST.filter((name) => name !== "prompts");

/** What `Policy.generate` returns; entry b belongs to prompt floor(b / numGenerations). */
export interface Generation {
  /** Token ids of each completion, the end-of-sequence token included if it was reached. */
  completions: number[][];
  /** Log-probability of each token at the temperature (at 1 when greedy), among all tokens even where sampling truncates. */
  logProbs: Float32Array[];
  /** Whether the length limit cut the completion off. */
  truncated: boolean[];
}

/** Largest values of the numbers that key the random ones. */
const KEYS = { seed: Number.MAX_SAFE_INTEGER, step: 2 ** 32 - 1, firstSampleId: 2 ** 32 - 1 };

/** The ids that end a completion by a configuration; may be empty. */
export function eosTokenIdsIn({ eosTokenId }: PolicyConfig): readonly number[] {
  return eosTokenId === undefined ? [] : typeof eosTokenId === "number" ? [eosTokenId] : eosTokenId;
}

/**
 * Fills in the defaults of a request and checks it.
 *
 * @param prompts Token ids of each prompt.
 * @param options What to generate.
 * @throws {RangeError} Naming the value that is out of range.
 * @throws {TypeError} If there is no such option.
 */
export function generationRequest(
  config: PolicyConfig,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): GenerationRequest {
  checkNames("generate", options, NAMES);
  const {
    numGenerations = 1,
    maxCompletionLength,
    temperature = 1,
    seed = 0,
    step = 0,
    firstSampleId = 0,
    eosTokenIds = eosTokenIdsIn(config),
    signal,
    onTokens,
  } = options;
  const { maxPositionEmbeddings, vocabSize } = config;
  for (const [name, value] of Object.entries({ numGenerations, maxCompletionLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be an integer >= 1: current value is ${value}`);
    }
  }
  if (!(temperature >= 0) || !Number.isFinite(temperature)) {
    throw new RangeError(
      `temperature must be a finite number >= 0: current value is ${temperature}`,
    );
  }
  for (const [name, value] of Object.entries({ seed, step, firstSampleId })) {
    const most = KEYS[name as keyof typeof KEYS];
    if (!Number.isInteger(value) || value < 0 || value > most) {
      throw new RangeError(
        `${name} must be an integer from 0 to ${most}: current value is ${value}`,
      );
    }
  }
  if (eosTokenIds.length > MAX_EOS) {
    throw new RangeError(
      `At most ${MAX_EOS} end-of-sequence ids are possible: got ${eosTokenIds.length}`,
    );
  }
  if (eosTokenIds.length > 0) checkTokenIds(eosTokenIds, vocabSize, "eosTokenIds");
  if (neverEnds(config, eosTokenIds)) {
    throw new RangeError(
      `eosTokenIds are ${eosTokenIds.join(", ")}, ${NEVER_WRITTEN}: no completion would end`,
    );
  }
  if (!Array.isArray(prompts)) {
    throw new TypeError(`prompts is ${shownWithType(prompts)}: a list of prompts is needed`);
  }
  for (const [p, prompt] of prompts.entries()) {
    checkTokenIds(prompt, vocabSize, `prompts[${p}]`);
    if (prompt.length + maxCompletionLength > maxPositionEmbeddings) {
      throw new RangeError(
        `prompts[${p}] has ${prompt.length} ids, and with maxCompletionLength = ${maxCompletionLength} exceeds ` +
          `the policy's maxPositionEmbeddings of ${maxPositionEmbeddings}`,
      );
    }
  }
  return {
    ...truncationOf(options),
    // The request may have to wait, and whoever asks may use his lists again.
    prompts: prompts.map((prompt) => Array.from(prompt)),
    numGenerations,
    maxCompletionLength,
    temperature,
    seed,
    step,
    firstSampleId,
    eosTokenIds: Array.from(eosTokenIds),
    signal,
    onTokens,
  };
}

/** The capacity that a request needs. */
export function capacityFor(request: GenerationRequest): GeneratorCapacity {
  const { prompts, numGenerations, maxCompletionLength } = request;
  return {
    promptTokens: prompts.reduce((n, prompt) => n + prompt.length, 0),
    sequences: prompts.length * numGenerations,
    completionLength: maxCompletionLength,
    truncates: truncates(truncationOf(request)),
  };
}
