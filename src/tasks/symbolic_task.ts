/**
 * What the tasks over symbols of their own share: ids of padding and end, splits, demonstrations, verdicts.
 *
 * @module
 */

import type { Random } from "../random/random.ts";
import { drawFrom, streamOf } from "../task/split.ts";
import type { SymbolicTask } from "../task/task.ts";

/** The ids of padding and of end of sequence in every task. */
const [PAD, EOS] = [0, 1];

/** The vocabulary of a task: padding, end of sequence, then its own symbols. */
export function vocabularyOf(symbols: Iterable<string>): readonly string[] {
  return Object.freeze(["<pad>", "<eos>", ...symbols]);
}

/** What makes a task over symbols. */
export interface SymbolicTaskParts<M> extends
  Pick<
    SymbolicTask<M>,
    "name" | "vocabulary" | "maxPromptLength" | "maxCompletionLength" | "defaults"
  > {
  /** What stands between two symbols that people read. */
  readonly separator: string;
  /** The facts of a problem at random. */
  readonly draw: (random: Random) => M;
  /** What identifies a problem; equal for problems that are the same in disguise. */
  readonly keyOf: (problem: M) => readonly number[];
  /** Its prompt. */
  readonly promptOf: (problem: M) => number[];
  /** A completion to imitate, without its end of sequence. */
  readonly demonstrate: (random: Random, problem: M) => readonly number[];
  /** Whether a completion, up to its end of sequence, is right. */
  readonly isRight: (problem: M, ids: readonly number[]) => boolean;
}

/** The task. */
export function symbolicTask<M>(parts: SymbolicTaskParts<M>): SymbolicTask<M> {
  const { separator, draw, keyOf, promptOf, demonstrate, isRight, ...rest } = parts;
  return {
    ...rest,
    padTokenId: PAD,
    eosTokenId: EOS,
    heldOut: true,
    problem(split, seed, index) {
      const metadata = drawFrom(split, streamOf(split, seed, index), draw, keyOf);
      return { promptIds: promptOf(metadata), metadata };
    },
    demonstration(seed, index) {
      const random = streamOf("demonstration", seed, index);
      const problem = drawFrom("train", random, draw, keyOf);
      return {
        promptIds: promptOf(problem),
        completionIds: [...demonstrate(random, problem), EOS],
      };
    },
    verify(metadata, completionIds) {
      const end = completionIds.indexOf(EOS);
      return end >= 0 && isRight(metadata, completionIds.slice(0, end)) ? 1 : 0;
    },
    describe(ids) {
      return ids.map((id) => parts.vocabulary[id] ?? `<${id}>`).join(separator);
    },
  };
}
