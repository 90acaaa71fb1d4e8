/**
 * Advantages: what each response's reward is worth against the other responses to its prompt.
 *
 * Every estimator gives one number per response, shared by all its tokens.
 */

import { checkNames, namesOf } from "../input/names.ts";
import {
  bestOfGroup,
  type JudgedGroup,
  leaveOneOut,
  lengthBaseline,
  meanNormalised,
  REWARD_SCALES,
  type RewardScale,
  standardised,
  STD_EPS,
  whitened,
} from "./advantage_parts.ts";
import { checkNumbers } from "./check_numbers.ts";
import { groupRanges } from "./groups.ts";
import { type Rule, ruleOf } from "./rule.ts";

export { REWARD_SCALES, type RewardScale };

/**
 * How rewards r of a prompt's G responses become advantages A. Below μ and σ are the mean and the
 * standard deviation (ddof 1) of the group.
 *
 * - `"grpo"`: A = (r - μ) / (σ + 1e-6) (arXiv 2402.03300), or another divisor by `scaleRewards`.
 * - `"drGrpo"`: A = r - μ (arXiv 2503.20783), which is `"grpo"` with `scaleRewards: "none"`.
 * - `"rloo"`: A = r - mean of the others = (r - μ) · G / (G - 1) (arXiv 2402.14740).
 * - `"opo"`: A = r - Σ L r / Σ L, the length-weighted baseline (arXiv 2505.23585).
 * - `"passK"`: the best response gets (largest - second largest) / (σ + 1e-6), the others 0
 *   (arXiv 2503.19595).
 * - `"maxRl"`: A = (r - μ) / μ, 0 where μ = 0; for rewards >= 0 (arXiv 2602.02710).
 * - `"reinforcePlusPlus"`: r whitened over all tokens of the batch, without groups
 *   (arXiv 2501.03262 at γ = 1).
 * - `"reinforcePlusPlusBaseline"`: r - μ, then whitened over all tokens of the batch.
 *
 * A response alone in its group has nothing to be compared with: its baseline is 0 and its divisor
 * 1, as in verl. Training refuses such groups for every estimator that compares.
 */
export type AdvantageEstimator =
  | "grpo"
  | "drGrpo"
  | "rloo"
  | "opo"
  | "passK"
  | "maxRl"
  | "reinforcePlusPlus"
  | "reinforcePlusPlusBaseline";

/** Rewards of consecutive groups, and what estimators read besides. */
interface RewardBatch {
  readonly rewards: Float64Array;
  readonly groups: readonly JudgedGroup[];
  readonly scale: RewardScale;
  /** Tokens of each response. */
  readonly lengths: () => Float64Array;
}

/** An estimator; `verl` is its `adv_estimator`. */
export interface AdvantageRule extends Rule<{ readonly scaleRewards: RewardScale }> {
  /** Divisors it accepts, its default first. */
  readonly scales: readonly RewardScale[];
  /** Whether a response is compared with the others of its group. */
  readonly compares: boolean;
  /** Whether it reads the lengths. */
  readonly byLength?: boolean;
  /** Whether rewards, or what the group made of them, are whitened over the tokens of the batch. */
  readonly whitens?: boolean;
  /** Least reward it accepts. */
  readonly leastReward?: number;
  /** Which sums of advantages are 0: over a group, over a group's tokens, over the batch's. */
  readonly centred?: "response" | "groupToken" | "token";
  /** A of every response. */
  readonly compute: (batch: RewardBatch) => Float64Array;
}

const divided = ({ scaleRewards }: { readonly scaleRewards: RewardScale }) =>
  scaleRewards === "none" ? "" : ` / (σ of the ${scaleRewards} + ${STD_EPS.toExponential()})`;
const NONE: readonly RewardScale[] = ["none"];

/** Every estimator. */
export const ADVANTAGES: Readonly<Record<AdvantageEstimator, AdvantageRule>> = {
  grpo: {
    code: 0,
    verl: "grpo",
    scales: ["group", "batch", "none"],
    compares: true,
    centred: "response",
    formula: (settings) => `(r - mean of the group)${divided(settings)}`,
    compute: ({ rewards, groups, scale }) => standardised(rewards, groups, scale),
  },
  drGrpo: {
    code: 1,
    scales: NONE,
    compares: true,
    centred: "response",
    formula: () => "r - mean of the group",
    compute: ({ rewards, groups }) => standardised(rewards, groups, "none"),
  },
  rloo: {
    code: 2,
    verl: "rloo",
    scales: NONE,
    compares: true,
    centred: "response",
    formula: () => "r - mean of the others of the group",
    compute: ({ rewards, groups }) => leaveOneOut(rewards, groups),
  },
  opo: {
    code: 3,
    verl: "opo",
    scales: NONE,
    compares: true,
    byLength: true,
    centred: "groupToken",
    formula: () => "r - mean of the group weighted by L",
    compute: ({ rewards, groups, lengths }) => lengthBaseline(rewards, groups, lengths()),
  },
  passK: {
    code: 4,
    verl: "grpo_passk",
    scales: ["group", "none"],
    compares: true,
    formula: (settings) =>
      "(best - second best of the group) for the best response, 0 for the " +
      `others${divided(settings)}`,
    compute: ({ rewards, groups, scale }) => bestOfGroup(rewards, groups, scale),
  },
  maxRl: {
    code: 5,
    scales: NONE,
    compares: true,
    leastReward: 0,
    centred: "response",
    formula: () => "(r - mean of the group) / mean of the group",
    compute: ({ rewards, groups }) => meanNormalised(rewards, groups),
  },
  reinforcePlusPlus: {
    code: 6,
    verl: "reinforce_plus_plus",
    aliases: ["reinforce++"],
    scales: NONE,
    compares: false,
    byLength: true,
    whitens: true,
    centred: "token",
    formula: () => "r whitened over all tokens of the batch",
    compute: ({ rewards, lengths }) => whitened(rewards, lengths()),
  },
  reinforcePlusPlusBaseline: {
    code: 7,
    verl: "reinforce_plus_plus_baseline",
    aliases: ["reinforce++-baseline"],
    scales: NONE,
    compares: true,
    byLength: true,
    whitens: true,
    centred: "token",
    formula: () => "r - mean of the group, whitened over all tokens of the batch",
    compute: ({ rewards, groups, lengths }) =>
      whitened(standardised(rewards, groups, "none"), lengths()),
  },
};

/** Settings of {@linkcode groupAdvantages}. */
export interface AdvantageOptions {
  /** The estimator. Default `"grpo"`. */
  readonly advantageEstimator?: AdvantageEstimator;
  /**
   * The divisor, for the estimators that have a choice: `"grpo"` takes all three, `"passK"`
   * `"group"` and `"none"`, both by default `"group"`. The others fix their own scale and accept only `"none"`.
   */
  readonly scaleRewards?: RewardScale;
  /** Tokens of each response [B]; needed by `"opo"` and both `"reinforcePlusPlus"` estimators. */
  readonly lengths?: ArrayLike<number>;
}

const NAMES = namesOf<AdvantageOptions>(
  { advantageEstimator: true, scaleRewards: true, lengths: true },
);

/**
 * The divisor an estimator uses.
 *
 * @throws {RangeError} For an unknown estimator, and a divisor that it does not accept.
 */
export function rewardScale(
  advantageEstimator: AdvantageEstimator,
  scaleRewards?: RewardScale,
): RewardScale {
  const { scales } = ruleOf(ADVANTAGES, "advantageEstimator", advantageEstimator);
  const scale = scaleRewards ?? scales[0]!;
  if (!scales.includes(scale)) {
    throw new RangeError(
      `scaleRewards is ${scale}: advantageEstimator ${advantageEstimator} accepts ` +
        `${scales.join(", ")}`,
    );
  }
  return scale;
}

/**
 * Advantage of every response [B] from the rewards [B] of consecutive prompt groups.
 *
 * The definitions are those of the paper's published code (arXiv 2509.07558) where it has the
 * estimator; the formulas stand at {@linkcode AdvantageEstimator}.
 *
 * @param rewards One reward per response [B], responses to one prompt side by side. `null` is a response that could
 * not be judged: it counts in no statistics and its advantage is 0, as is that of a response left without another of its
 * group.
 * @param numGenerations Responses per prompt: one number for all prompts, or one per prompt.
 * @throws {RangeError} Where groups, lengths or rewards do not fit the estimator.
 * @throws {TypeError} If there is no such option.
 */
export function groupAdvantages(
  rewards: ArrayLike<number | null>,
  numGenerations: number | readonly number[],
  options: AdvantageOptions = {},
): Float64Array {
  checkNames("groupAdvantages", options, NAMES);
  const { advantageEstimator = "grpo" } = options;
  const scale = rewardScale(advantageEstimator, options.scaleRewards);
  const rule = ADVANTAGES[advantageEstimator];
  const judged = Array.from(rewards, (_, b) => b).filter((b) => rewards[b] !== null);
  const given = judged.map((b) => rewards[b]!);
  checkNumbers(Array.from(rewards, (reward) => reward === null ? 0 : reward), "rewards");
  let start = 0;
  const groups = groupRanges(rewards.length, numGenerations).map((range) => {
    const first = start;
    while (start < judged.length && judged[start]! < range.end) start++;
    return { start: first, end: start, responses: range.end - range.start };
  });
  const advantages = new Float64Array(rewards.length);
  const computed = rule.compute({
    rewards: Float64Array.from(given),
    groups,
    scale,
    lengths: () => {
      const lengths = checkedLengths(advantageEstimator, options.lengths, rewards.length);
      return Float64Array.from(judged, (b) => lengths[b]!);
    },
  });
  judged.forEach((b, i) => advantages[b] = computed[i]!);
  return advantages;
}

function checkedLengths(
  advantageEstimator: AdvantageEstimator,
  lengths: ArrayLike<number> | undefined,
  responses: number,
): Float64Array {
  if (lengths === undefined) {
    throw new RangeError(`advantageEstimator ${advantageEstimator} needs the response lengths`);
  }
  if (lengths.length !== responses) {
    throw new RangeError(`${lengths.length} lengths for ${responses} rewards: pass one each`);
  }
  checkNumbers(lengths, "lengths");
  return Float64Array.from(lengths);
}
