/**
 * The policy-gradient loss over scored tokens: surrogate, divergence from a reference and entropy bonus, their
 * derivatives, and the statistics a training step reports.
 *
 * @module
 */

import code from "../../kernels/policy_loss.wgsl" with { type: "text" };
import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { partCount, partTerms } from "./partial_sums.ts";
import { KL_ESTIMATORS } from "../objective/kl.ts";
import type { OwnSurrogate } from "../objective/own_objective.ts";
import { ruleOf } from "../objective/rule.ts";
import { SURROGATES } from "../objective/surrogate.ts";
import {
  INPUTS,
  NUMBERS,
  type PolicyLossInputs,
  type PolicyLossNumbers,
} from "./policy_loss_inputs.ts";
import { teamKernel } from "./readers.ts";
import { boundTogether } from "./side_by_side.ts";

/**
 * Where each statistic stands in the tensor of {@linkcode policyLoss}.
 *
 * Sums run over items and over every run since the tensor was cleared; maxima likewise. A value that is not finite
 * counts in `notFinite` and enters the maxima as 3.4e38.
 */
export const POLICY_LOSS_STATS = {
  /** Σ w (ℓ + beta · kl - entropyCoef · H): the loss. */
  loss: 0,
  /** Σ w ℓ: the surrogate's part of the loss. */
  policyLoss: 1,
  /** Number of items. */
  items: 2,
  /** Items with a loss, derivative, log-ratio or entropy that is not finite. */
  notFinite: 3,
  /** Σ H, in nats. */
  entropySum: 4,
  /** Σ of the estimates of KL(π ‖ π_ref); 0 without an estimator. */
  klSum: 5,
  /** Σ (ln π_old - ln π). */
  ppoKlSum: 6,
  /** Σ |ln π - ln π_old|. */
  logProbDiffSum: 7,
  /** Items whose loss the lower bound of the ratio decided. */
  clippedLow: 8,
  /** Items whose loss the upper bound of the ratio decided. */
  clippedHigh: 9,
  /** Items whose loss the dual clip decided. */
  dualClipped: 10,
  /** Σ π / π_old. */
  ratioSum: 11,
  /** Largest |ln π - ln π_old|. */
  logProbDiffMax: 12,
  /** Largest π / π_old, at most e^20. */
  ratioMax: 13,
} as const;

/** Elements of the statistics tensor. */
const STATS = 16;
/** Items per team, and the most teams; beyond that teams take more items. */
const CHUNK_ITEMS = 128;
const MAX_CHUNKS = 1024;
/** Elements between the places where a view may begin: 256 bytes. */
const VIEW_ALIGNMENT = 64;

/**
 * Σ_b w_b Σ_t (ℓ_bt + beta · kl_bt - entropyCoef · H_bt), whose derivatives become the gradients of `logProbs` and
 * `entropies`.
 *
 * The surrogates are those of {@linkcode PolicyLoss}; log-ratios are held to ±20 as in the published
 * code of arXiv 2509.07558, with no gradient beyond.
 *
 * @param inputs Log-probabilities, advantages and weights.
 * @param options The surrogate and its numbers.
 * @returns `stats` (16), laid out as {@linkcode POLICY_LOSS_STATS}: each run adds to it, so clear it before the first
 * micro-batch of a step.
 * @throws {RangeError} If the shapes do not fit, or a surrogate or estimator lacks its input.
 */
export function policyLoss(
  plan: Plan,
  inputs: PolicyLossInputs,
  options: PolicyLossNumbers,
): { stats: Tensor } {
  checkNames("policyLoss's inputs", inputs, INPUTS);
  checkNames("policyLoss", options, NUMBERS);
  const { logProbs, entropies, itemSequences, itemPositions, items, oldLogProbs } = inputs;
  const { advantages, weights, refLogProbs, itemRanges } = inputs;
  const { klEstimator, beta = 0, entropyCoef = 0, own, name = "policy_loss" } = options;
  const { code: surrogate, wholeResponses = false } = own
    ? { code: OWN }
    : ruleOf(SURROGATES, "policyLoss", options.policyLoss);
  checkShapes(inputs);
  if (klEstimator !== undefined && !refLogProbs) {
    throw new RangeError(`policyLoss with klEstimator ${klEstimator} needs refLogProbs`);
  }
  if (wholeResponses && !itemRanges) {
    throw new RangeError(`policyLoss ${options.policyLoss} needs itemRanges, shape (S, 2)`);
  }
  const kernel = (entryPoint: string, constants: Record<string, number> = {}) =>
    teamKernel(plan.gpu, {
      name: own ? `policy_loss/${own.loss}/${own.dLogProb}` : "policy_loss",
      code: `${code}\n${ownCode(own)}`,
      entryPoint,
      constants,
    });
  const rules = {
    POLICY_LOSS: surrogate,
    KL_ESTIMATOR: klEstimator === undefined
      ? 0
      : ruleOf(KL_ESTIMATORS, "klEstimator", klEstimator).code,
  };
  const division = { terms: items, step: CHUNK_ITEMS, most: MAX_CHUNKS };
  const chunks = () => partCount(division);
  const entropyOffset = Math.ceil(items.capacity / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
  const places = boundTogether("policyLoss", { itemSequences, itemPositions });
  const responses: Size = itemRanges?.shape[0] ?? 0;
  const params = {
    items,
    stride: sizeLimit(oldLogProbs.shape[1]!),
    responses,
    chunk_items: () => partTerms(division),
    chunks,
    entropy_offset: entropyOffset,
    sequences_at: places.at.itemSequences,
    positions_at: places.at.itemPositions,
    epsilon: options.epsilon,
    epsilon_high: options.epsilonHigh,
    dual_clip: options.dualClip,
    sapo_temperature_pos: options.sapoTemperaturePos,
    sapo_temperature_neg: options.sapoTemperatureNeg,
    beta,
    entropy_coef: entropyCoef,
  };
  const policy = {
    log_probs: logProbs,
    item_places: places.whole,
    old_log_probs: oldLogProbs,
    advantages,
  };

  const { lanes } = plan.gpu.traits;
  const mostChunks = Math.min(MAX_CHUNKS, Math.ceil(items.capacity / CHUNK_ITEMS));
  const derivatives = plan.empty([2 * entropyOffset + mostChunks * STATS], `${name}.derivatives`);
  const partials = derivatives.view([mostChunks, STATS], { elementOffset: 2 * entropyOffset });
  if (wholeResponses) {
    plan.dispatch({
      kernel: kernel("response_ratio", rules),
      label: `${name}.response_ratio`,
      bindings: { ...policy, item_ranges: itemRanges!, derivatives },
      params,
      turns: 2 * Math.ceil(sizeLimit(oldLogProbs.shape[1]!) / lanes),
      workgroups: responses,
    });
  }
  plan.dispatch({
    kernel: kernel("main", rules),
    label: `${name}.forward`,
    bindings: {
      ...policy,
      entropies,
      ref_log_probs: refLogProbs ?? oldLogProbs,
      weights,
      derivatives,
    },
    params,
    turns: 4 + Math.ceil(Math.max(CHUNK_ITEMS, items.capacity / MAX_CHUNKS) / lanes),
    workgroups: chunks,
    cost: { bytes: () => sizeNow(items) * 32 },
  });
  const stats = plan.keep(plan.empty([STATS], `${name}.stats`));
  plan.dispatch({
    kernel: kernel("sum_chunks"),
    label: `${name}.sum_chunks`,
    bindings: { partials, stats },
    params,
    turns: 16 * (1 + Math.ceil(MAX_CHUNKS / lanes)),
    workgroups: () => chunks() > 0 ? 1 : 0,
  });
  const part = (elementOffset: number, of: string) =>
    derivatives.view([items], { elementOffset, name: plan.path(`${name}.${of}`) });
  plan.shareGradient(logProbs, part(0, "dlog_probs"));
  if (entropyCoef !== 0) plan.shareGradient(entropies, part(entropyOffset, "dentropies"));
  return { stats };
}

/** The number by which the kernel calls {@linkcode ownCode}. */
const OWN = 1000;

/** WGSL of the surrogate of one's own, or of none. */
function ownCode(own: OwnSurrogate | undefined): string {
  const { loss, dLogProb } = own ?? { loss: "0.0", dLogProb: "0.0" };
  return `fn own(t: Token) -> TokenLoss {
    let log_prob = t.log_prob;
    let old_log_prob = t.old_log_prob;
    let log_ratio = t.log_ratio;
    let advantage = t.advantage;
    let ratio = bounded_ratio(log_ratio);
    return TokenLoss(${loss}, ${dLogProb}, CLIP_NONE);
}`;
}

function checkShapes(inputs: PolicyLossInputs): void {
  const { logProbs, entropies, itemSequences, itemPositions, items } = inputs;
  const { oldLogProbs, advantages, weights, refLogProbs, itemRanges } = inputs;
  const perItem = { logProbs, entropies, itemSequences, itemPositions };
  for (const [name, tensor] of Object.entries(perItem)) {
    if (tensor.capacity < items.capacity) {
      throw new RangeError(
        `policyLoss needs ${name} of ${items.capacity} items: got ${formatShape(tensor.shape)}`,
      );
    }
  }
  if (
    oldLogProbs.shape.length !== 2 || advantages.capacity !== sizeLimit(oldLogProbs.shape[0]!) ||
    weights.capacity !== advantages.capacity ||
    (refLogProbs && refLogProbs.capacity !== oldLogProbs.capacity)
  ) {
    throw new RangeError(
      `policyLoss needs oldLogProbs and refLogProbs (B, M), advantages and weights (B): got ${
        [oldLogProbs, ...(refLogProbs ? [refLogProbs] : []), advantages, weights]
          .map((t) => formatShape(t.shape)).join(", ")
      }`,
    );
  }
  if (itemRanges && (itemRanges.shape.length !== 2 || itemRanges.shape[1] !== 2)) {
    throw new RangeError(
      `policyLoss needs itemRanges (S, 2): got ${formatShape(itemRanges.shape)}`,
    );
  }
}
