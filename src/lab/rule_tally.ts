/**
 * What the aggregation rules make of one pool of gradients, added up over many batches.
 *
 * @module
 */

import { Random } from "../random/random.ts";
import { type AggregationRule, aggregationRules, type BatchSums } from "./aggregation_rules.ts";
import type { Gram } from "./gradient_pool.ts";
import { type PromptProducts, promptProducts } from "./prompt_products.ts";

/** Responses of a pool and the rules to weigh them by. */
export interface RulePool {
  /** Responses per prompt. */
  readonly numGenerations: number;
  /** Length of each response (N). */
  readonly lengths: readonly number[];
  /** Divisor of each prompt's advantages (P). */
  readonly deviations: ArrayLike<number>;
  /** The constant M. */
  readonly lossScaleFactor: number;
  /** Exponents of ΔL; they include 1. */
  readonly alphas: readonly number[];
}

/** Products of a rule's weighted sums with themselves, with the plain mean, and of that with itself. */
export interface RuleProducts {
  readonly rule: AggregationRule;
  readonly own: PromptProducts;
  readonly withMean: PromptProducts;
  readonly mean: PromptProducts;
  /** Σ f by prompt. */
  readonly powers: Float64Array;
  /** Σ f² L by prompt. */
  readonly squares: Float64Array;
  /** Σ f² by prompt. */
  readonly weights: Float64Array;
  /** Σ f² |g_i|² by prompt. */
  readonly energies: Float64Array;
}

/** What is summed over batches and pairs of batches. */
const TALLIED = [
  ...["energy", "cross", "shared", "signal", "factor", "factorSquared"] as const,
  ...["squares", "weights", "energies", "batches", "pairs"] as const,
];

/** Sums over batches and pairs of batches. */
export type Tally = Record<typeof TALLIED[number], number>;

/** Stream number of this laboratory's batches. */
const BATCHES = 72;

/** What all batches of a pool need of each rule, made once. */
export function ruleProducts(gram: Gram, options: RulePool): RuleProducts[] {
  const { numGenerations, lengths, deviations, alphas } = options;
  const prompts = gram.size / numGenerations;
  const promptOf = (i: number) => Math.floor(i / numGenerations);
  const byPrompt = (of: (i: number) => number) => {
    const sums = new Float64Array(prompts);
    for (let i = 0; i < lengths.length; i++) sums[promptOf(i)]! += of(i);
    return sums;
  };
  const known = new Map<string, Omit<RuleProducts, "rule">>();
  const means = new Map<boolean, PromptProducts>();
  return aggregationRules(alphas).map((rule) => {
    const key = `${rule.alpha} ${rule.std}`;
    let made = known.get(key);
    if (!made) {
      const advantage = (i: number) => rule.std ? 1 : deviations[promptOf(i)]!;
      const power = (i: number) => lengths[i]! ** -rule.alpha;
      const plain = Float64Array.from(lengths, (_, i) => advantage(i));
      const weighted = Float64Array.from(lengths, (_, i) => advantage(i) * power(i));
      const mean = means.get(rule.std) ?? promptProducts(gram, numGenerations, plain, plain);
      means.set(rule.std, mean);
      made = {
        own: promptProducts(gram, numGenerations, weighted, weighted),
        withMean: promptProducts(gram, numGenerations, weighted, plain),
        mean,
        powers: byPrompt(power),
        squares: byPrompt((i) => power(i) ** 2 * lengths[i]!),
        weights: byPrompt((i) => (advantage(i) * power(i)) ** 2),
        energies: byPrompt((i) =>
          (advantage(i) * power(i)) ** 2 * gram.products[i * gram.size + i]!
        ),
      };
      known.set(key, made);
    }
    return { rule, ...made };
  });
}

/** Random divisions of prompts into batches; what does not fill a batch is left out. */
export function divisions(
  set: Uint32Array,
  batchPrompts: number,
  times: number,
  seed: number,
  stream: number,
): number[][][] {
  const batches = Math.floor(set.length / batchPrompts);
  return Array.from({ length: times }, (_, k) => {
    const order = new Random(seed, BATCHES, stream * 4096 + k).shuffle(Array.from(set));
    return Array.from(
      { length: batches },
      (_, b) => order.slice(b * batchPrompts, (b + 1) * batchPrompts),
    );
  });
}

/** Adds up all batches and pairs of batches of the divisions, by rule. */
export function tallyRules(
  products: readonly RuleProducts[],
  { numGenerations, lengths, lossScaleFactor }: RulePool,
  division: readonly number[][][],
): Tally[] {
  const tokens = new Float64Array(lengths.length / numGenerations);
  for (const [i, length] of lengths.entries()) tokens[Math.floor(i / numGenerations)]! += length;
  const tallies = products.map(() => Object.fromEntries(TALLIED.map((name) => [name, 0])) as Tally);
  for (const batches of division) {
    const blocks = once((products: PromptProducts) => blockSums(batches, products));
    const totals = once((values: Float64Array) =>
      batches.map((batch) => batch.reduce((sum, p) => sum + values[p]!, 0))
    );
    for (const [r, { rule, powers, squares, weights, energies, ...sums }] of products.entries()) {
      const t = tallies[r]!;
      const [own, withMean, mean] = [sums.own, sums.withMean, sums.mean].map(blocks);
      const scales = batches.map((batch, b) => {
        const sums: BatchSums = {
          responses: batch.length * numGenerations,
          tokens: totals(tokens)[b]!,
          powers: totals(powers)[b]!,
        };
        const scale = rule.scale(sums, lossScaleFactor);
        t.factor += scale * sums.powers;
        t.factorSquared += (scale * sums.powers) ** 2;
        t.squares += scale ** 2 * totals(squares)[b]!;
        t.weights += scale ** 2 * totals(weights)[b]!;
        t.energies += scale ** 2 * totals(energies)[b]!;
        t.batches++;
        return scale;
      });
      for (const [b, batch] of batches.entries()) {
        for (let c = 0; c < batches.length; c++) {
          const at = b * batches.length + c;
          const product = scales[b]! * scales[c]! * own![at]!;
          if (b === c) {
            t.energy += product;
            continue;
          }
          const responses = batch.length * numGenerations;
          t.cross += product;
          t.shared += scales[b]! / responses * withMean![at]!;
          t.signal += mean![at]! / responses ** 2;
          t.pairs++;
        }
      }
    }
  }
  return tallies;
}

/** A function that is computed once for each argument: rules have some in common. */
function once<T extends object, R>(compute: (argument: T) => R): (argument: T) => R {
  const known = new Map<T, R>();
  return (argument) => {
    let result = known.get(argument);
    if (result === undefined) known.set(argument, result = compute(argument));
    return result;
  };
}

/** Σ over p in one batch and q in another, for every two batches. */
function blockSums(
  batches: readonly (readonly number[])[],
  { prompts, values }: PromptProducts,
): Float64Array {
  const sums = new Float64Array(batches.length ** 2);
  for (const [b, rows] of batches.entries()) {
    for (const p of rows) {
      for (let c = 0; c < batches.length; c++) {
        const columns = batches[c]!;
        let sum = sums[b * batches.length + c]!;
        for (let k = 0; k < columns.length; k++) sum += values[p * prompts + columns[k]!]!;
        sums[b * batches.length + c] = sum;
      }
    }
  }
  return sums;
}
