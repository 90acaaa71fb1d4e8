/** Rules of one's own: functions that give the advantages or the weights of a batch. */

import type { IndexRange } from "./groups.ts";

/** What {@linkcode OwnObjective.advantages} reads; one entry per response, the responses to a prompt side by side. */
export interface OwnAdvantageBatch {
  /** Rewards [B], as punishment and divergence leave them; `null` where a response could not be judged. */
  readonly rewards: readonly (number | null)[];
  /** Tokens of each response [B]. */
  readonly lengths: readonly number[];
  /** Responses per prompt. */
  readonly numGenerations: number;
}

/** What {@linkcode OwnObjective.weights} reads. */
export interface OwnWeightBatch {
  /** Scored tokens of every response of the rollout [B]; 0 for those that are left out. */
  readonly lengths: readonly number[];
  /** Responses per prompt. */
  readonly numGenerations: number;
  /** The responses of the optimizer step. */
  readonly miniBatch: IndexRange;
  /** The constant M. */
  readonly lossScaleFactor: number;
}

/**
 * A surrogate of one's own, token by token: WGSL expressions of f32 in `log_prob`, `old_log_prob`, `log_ratio`, `ratio`
 * (e^log_ratio, bounded at e^±20) and `advantage`.
 */
export interface OwnSurrogate {
  /** ℓ, such as `"-advantage * ratio"`. */
  readonly loss: string;
  /** dℓ / d log_prob; compared with differences of `loss` before anything is trained. */
  readonly dLogProb: string;
  /** Whether something in `loss` is held constant in its derivative, which is then not compared. */
  readonly stopGradient?: boolean;
}

/**
 * Rules of one's own, in place of `advantageEstimator`, `lossAggregation`, `policyLoss` or several. Functions run on the host, once per rollout
 * and once per optimizer step, on numbers that are there already; B float32 numbers go to the GPU each time.
 *
 * They must be functions of what they are given: a run that is resumed computes them again.
 */
export interface OwnObjective {
  /** What records of a run call it. */
  readonly name: string;
  /** Where it came from, for the records of a run. */
  readonly source?: { readonly path: string; readonly sha256: string };
  /** Which of the following there are: functions leave nothing in the records. Filled in when settings are resolved. */
  readonly replaces?: readonly ("advantages" | "surrogate" | "weights")[];
  /** The advantage of every response [B]. */
  readonly advantages?: (batch: OwnAdvantageBatch) => ArrayLike<number>;
  /** The surrogate. */
  readonly surrogate?: OwnSurrogate;
  /** The weight x_i of every response of the mini-batch, in order, for loss = Σ_i x_i Σ_t ℓ_it. */
  readonly weights?: (batch: OwnWeightBatch) => ArrayLike<number>;
}

/** With {@linkcode OwnObjective.replaces} filled in. */
export function recordable(objective: OwnObjective): OwnObjective {
  const parts = ["advantages", "surrogate", "weights"] as const;
  return { ...objective, replaces: parts.filter((part) => objective[part] !== undefined) };
}

/** Whether something is an {@linkcode OwnObjective} that can be computed. */
export function isOwnObjective(value: unknown): value is OwnObjective {
  if (typeof value !== "object" || value === null) return false;
  const { name, advantages, weights, surrogate } = value as Record<string, unknown>;
  const functions = [advantages, weights].filter((part) => part !== undefined);
  return typeof name === "string" && name !== "" &&
    (functions.length > 0 || surrogate !== undefined) &&
    functions.every((part) => typeof part === "function") &&
    (surrogate === undefined || isOwnSurrogate(surrogate));
}

function isOwnSurrogate(value: unknown): boolean {
  const { loss, dLogProb } = (value ?? {}) as Record<string, unknown>;
  return [loss, dLogProb].every((text) =>
    typeof text === "string" && text.trim() !== "" && !/[;{}]/.test(text)
  );
}

/**
 * Advantages by a rule of one's own; 0 where a response could not be judged.
 *
 * @throws {RangeError} If it does not give a finite number for each response.
 */
export function ownAdvantages(objective: OwnObjective, batch: OwnAdvantageBatch): Float64Array {
  const { rewards, lengths } = batch;
  // Copies: a rule that sorts a list must not change what is trained on.
  const values = objective.advantages!({ ...batch, rewards: [...rewards], lengths: [...lengths] });
  checkColumn(`advantages of ${objective.name}`, values, rewards.length);
  return Float64Array.from(rewards, (reward, b) => reward === null ? 0 : values[b]!);
}

/**
 * Weights of a mini-batch by a rule of one's own, 0 for empty responses.
 *
 * @throws {RangeError} If it does not give a finite number for each response.
 */
export function ownWeights(objective: OwnObjective, batch: OwnWeightBatch): Float64Array {
  const { miniBatch: { start, end }, lengths } = batch;
  const values = objective.weights!({ ...batch, lengths: [...lengths] });
  checkColumn(`weights of ${objective.name}`, values, end - start);
  return Float64Array.from(
    { length: end - start },
    (_, k) => lengths[start + k] === 0 ? 0 : values[k]!,
  );
}

function checkColumn(what: string, values: ArrayLike<number>, responses: number): void {
  if (values?.length !== responses) {
    throw new RangeError(`${what}: ${values?.length} numbers for ${responses} responses`);
  }
  for (let b = 0; b < responses; b++) {
    if (!Number.isFinite(values[b])) {
      throw new RangeError(`${what}: number ${b} is ${values[b]}, give finite numbers`);
    }
  }
}
