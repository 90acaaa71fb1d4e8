/**
 * What a task is: problems, demonstrations and a verifier, all over token ids.
 *
 * @module
 */

/** Which part of the problems to draw from; no problem is in both. */
export type Split = "train" | "eval";

/** A prompt and what its verifier needs to know. */
export interface Problem<M = unknown> {
  /** The prompt, at most `maxPromptLength` ids. */
  readonly promptIds: number[];
  /** The facts `verify` judges by; plain data that survives JSON. */
  readonly metadata: M;
}

/** A prompt with a completion to imitate. */
export interface Demonstration {
  /** The prompt, at most `maxPromptLength` ids. */
  readonly promptIds: number[];
  /** The completion, at most `maxCompletionLength` ids, the last one end of sequence. */
  readonly completionIds: number[];
}

/** Recommended settings with which a task is known to be learnt. */
export interface TaskDefaults {
  /** Sizes of a policy that is large enough, in the names of a Hugging Face `config.json`. */
  readonly policy: {
    /** Width of the residual stream. */
    readonly hiddenSize: number;
    /** Transformer layers. */
    readonly numHiddenLayers: number;
    /** Query heads per layer. */
    readonly numAttentionHeads: number;
    /** Key and value heads per layer; divides `numAttentionHeads`. */
    readonly numKeyValueHeads: number;
    /** Width of the gated feed-forward layer. */
    readonly intermediateSize: number;
    /** Whether the embedding is the output head too. Default true. */
    readonly tieWordEmbeddings?: boolean;
    /** Whether every query and key head is RMS-normalised, as in Qwen3, and has no bias. Default false. */
    readonly normedHeads?: boolean;
    /**
     * Base of the rotary frequencies. Default 10000, which is made for thousands of positions: with about three times
     * as many as a sequence has tokens, most pairs of a head tell neighbours apart.
     */
    readonly ropeTheta?: number;
  };
  /** The supervised warm start. */
  readonly warmStart: {
    /** Optimizer steps. */
    readonly steps: number;
    /** Demonstrations per step. */
    readonly batchSize: number;
    /** Peak learning rate of AdamW. */
    readonly learningRate: number;
    /**
     * Standard deviation of the first embeddings. Default: that of the other matrices. With a head of its own
     * (`tieWordEmbeddings` false), 1 suits a vocabulary of a few symbols, as parity has.
     */
    readonly embeddingStd?: number;
  };
  /** The reinforcement learning that follows. */
  readonly rl: {
    /** Optimizer steps. */
    readonly maxSteps: number;
    /** Different prompts per step. */
    readonly promptsPerStep: number;
    /** Completions sampled for every prompt. */
    readonly numGenerations: number;
    /** Learning rate of AdamW. */
    readonly learningRate: number;
  };
}

/** A policy that learns a task of a few symbols in minutes. */
export const SMALL_POLICY: TaskDefaults["policy"] = {
  hiddenSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 4,
  intermediateSize: 176,
};

/** The rewards of one completion where several functions judge it. */
export interface Judgement {
  /** The reward that training maximises; `null` where the completion could not be judged. */
  readonly reward: number | null;
  /** What each function said, by its name; `null` where it does not apply. */
  readonly rewards: Readonly<Record<string, number | null>>;
}

/**
 * What a verifier returns: a reward, or one with the parts it is made of, or `null` where it could not judge the
 * completion, for instance because a service did not answer.
 */
export type Verdict = number | null | Judgement;

/**
 * A task with a verifiable reward.
 *
 * A task is stateless: every method is a pure function of its arguments, so a run can be resumed,
 * repeated or split over machines without storing data.
 *
 * @typeParam M the facts a verifier judges by
 */
export interface Task<M = unknown> {
  /** The name under which the task is registered, in kebab-case. */
  readonly name: string;
  /** The symbol of every id. */
  readonly vocabulary: readonly string[];
  /** The id that fills unused places. */
  readonly padTokenId: number;
  /** The id that ends a completion; of several, the first. */
  readonly eosTokenId: number;
  /** All ids that end a completion. Default: `eosTokenId` alone. */
  readonly eosTokenIds?: readonly number[];
  /** The most ids a prompt has. */
  readonly maxPromptLength: number;
  /** The most ids a completion may have, end of sequence included. */
  readonly maxCompletionLength: number;
  /** Different problems of each split, where they are finite. */
  readonly promptCounts?: Readonly<Record<Split, number>>;
  /** Prompts that were left out because they are longer than `maxPromptLength`. */
  readonly overlongPrompts?: number;
  /**
   * Whether no problem of the eval split is one of the train split. Where the task does not say, commands compare the
   * problems that were asked.
   */
  readonly heldOut?: boolean;
  /** The reward that counts as solved, in pass@k and whatever else speaks of right answers. Default 1. */
  readonly maxReward?: number;
  /** Recommended settings. */
  readonly defaults: TaskDefaults;

  /**
   * Problem number `index` of a split.
   *
   * Train and eval are disjoint whatever the seeds, because a problem's split is a hash of the
   * problem itself.
   *
   * @throws {RangeError} if seed or index is not an integer from 0 to 2^53 - 1
   */
  problem(split: Split, seed: number, index: number): Problem<M>;

  /**
   * Demonstration number `index` for the warm start, on a problem of the train split; tasks that
   * have none begin with a policy that can already do something.
   *
   * Demonstrations are meant to be imperfect: they show what an answer looks like and contain, now
   * and then, the behaviour that reinforcement learning should strengthen.
   *
   * @throws {RangeError} if seed or index is not an integer from 0 to 2^53 - 1
   */
  demonstration?(seed: number, index: number): Demonstration;

  /**
   * The reward of a completion; at once, or later.
   *
   * @param metadata of the problem that was asked
   * @param completionIds as sampled, without the prompt, the end of sequence included if reached
   */
  verify(metadata: M, completionIds: readonly number[]): Verdict | Promise<Verdict>;

  /** The ids as text for people, for instance in logs. */
  describe(ids: readonly number[]): string;
}

/**
 * A task over symbols of its own, with demonstrations to start a fresh policy from; id 0 is padding
 * and 1 is end of sequence.
 *
 * @typeParam M the facts a verifier judges by
 */
export interface SymbolicTask<M = unknown> extends Task<M> {
  /**
   * Demonstration number `index` for the warm start, on a problem of the train split.
   *
   * @throws {RangeError} if seed or index is not an integer from 0 to 2^53 - 1
   */
  demonstration(seed: number, index: number): Demonstration;

  /**
   * The reward of a completion, from 0 to 1.
   *
   * A completion ends at its first end of sequence; ids behind it are ignored. One without end of
   * sequence was cut off at `maxCompletionLength` and has reward 0, even if it had got as far as
   * the right answer: what a policy would have written next is unknown, and ending is part of the
   * task. Any ids are judged, also ones outside the vocabulary; nothing throws.
   *
   * @param metadata of the problem that was asked
   * @param completionIds as sampled, without the prompt
   */
  verify(metadata: M, completionIds: readonly number[]): number;
}

/** The ids that end a completion of a task. */
export function eosTokenIdsOf(task: Task): readonly number[] {
  return task.eosTokenIds ?? [task.eosTokenId];
}
