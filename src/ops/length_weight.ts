/**
 * Loss aggregation on the GPU: the weight of each response from the lengths of all.
 *
 * @module
 */

import code from "../../kernels/length_weight.wgsl" with { type: "text" };
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { teamKernel } from "./prelude.ts";

/**
 * A rule for the weights x_i. N responses are in the mini-batch of one optimizer step, L_i is the
 * length of response i, M the constant `lossScaleFactor`; sums run over the mini-batch.
 *
 * - `"grpo"`: 1 / (N L_i), the mean over responses of their token means (arXiv 2402.03300).
 * - `"dapo"`: 1 / Σ_j L_j, the mean over all tokens (arXiv 2503.14476).
 * - `"drGrpo"`: 1 / (N M), unbiased up to the constant M (arXiv 2503.20783).
 * - `"deltaL"`: L_i^-α / (M Σ_j L_j^-α), unbiased like `"drGrpo"` and, at α = 1, of least variance
 *   (arXiv 2509.07558, "ΔL Normalization" and in its second version "VL Norm").
 * - `"seqSum"`: 1 / N, the mean over responses of their token sums. With the sequence-level
 *   surrogate `"gspo"` it is LUSPO (arXiv 2602.05261).
 * - `"promptMean"`: 1 / (P Σ_{j in group(i)} L_j), the mean over P prompts of their token means.
 * - `"dapoMicroBatch"`: 1 / (K Σ_{j in micro(i)} L_j), the mean over K micro-batches, of
 *   `lossMicroBatchSize` responses in order, of their token means. It is what the paper's published
 *   code (arXiv 2509.07558) runs as "DAPO Norm", with micro-batches of 4, and what TRL calls "bnpo":
 *   something between `"grpo"` and `"dapo"` that depends on which responses happen to be neighbours.
 *   Here the micro-batches only define the weights, however the computation is split.
 *
 * - `"lambdaGrpo"`: f_i / Σ_j L_j with f_i = G softmax_group(h_i^λ), h_i = 1 + r z_i, z_i the length
 *   standardised within the responses to its prompt (λ-GRPO, arXiv 2510.06870). λ > 0 prefers long
 *   responses, λ < 0 short ones, λ = 0 is `"dapo"`. The paper trains λ by the loss that it weighs;
 *   here it is a number that is given, `lossLambda`.
 */
export type LossAggregation =
  | "grpo"
  | "dapo"
  | "drGrpo"
  | "deltaL"
  | "seqSum"
  | "promptMean"
  | "dapoMicroBatch"
  | "lambdaGrpo";

/**
 * The responses `"deltaL"` normalises over.
 *
 * - `"batch"`: the whole rollout batch, as in the paper's published code:
 *   x_i = w_i / (N M), w_i = N_batch L_i^-α / Σ_batch L_j^-α. Σ x_i is 1/M on average over the
 *   mini-batches of a rollout; long and short responses keep their relative weight across them.
 * - `"miniBatch"`: the mini-batch, as in the paper's formula: Σ x_i = 1/M at every optimizer step.
 * - `"group"`: each prompt's responses, so that all prompts count alike.
 *
 * They agree when the rollout batch is one mini-batch of one prompt.
 */
export type LossScope = "batch" | "miniBatch" | "group";

/** Aggregation rules, by the number the kernel knows them by. */
const RULES: Readonly<Record<LossAggregation, number>> = {
  grpo: 0,
  dapo: 1,
  drGrpo: 2,
  deltaL: 3,
  seqSum: 4,
  promptMean: 5,
  dapoMicroBatch: 6,
  lambdaGrpo: 7,
};

/** What `"deltaL"` normalises over, by the number the kernel knows it by. */
const SCOPES: Readonly<Record<LossScope, number>> = { batch: 0, miniBatch: 1, group: 2 };

/** Options of {@linkcode lengthWeight}. */
export interface LengthWeightOptions {
  /** The rule. */
  lossAggregation: LossAggregation;
  /** Exponent α >= 0 of `"deltaL"`. Default 1. */
  lossAlpha?: Param;
  /** The constant M > 0 of `"drGrpo"` and `"deltaL"`, which need it. */
  lossScaleFactor?: Param;
  /** What `"deltaL"` normalises over. Default `"batch"`. */
  lossScope?: LossScope;
  /** Exponent λ of `"lambdaGrpo"`. Default 1. */
  lossLambda?: Param;
  /** r >= 0 of `"lambdaGrpo"`: how much h departs from 1 per standard deviation of the length. Default 0.1. */
  lossLambdaSpread?: Param;
  /** Responses per prompt; needed by `"promptMean"`, `"lambdaGrpo"` and by the scope `"group"`. */
  numGenerations?: Param;
  /** Responses per micro-batch of `"dapoMicroBatch"`. Default 4. */
  lossMicroBatchSize?: Param;
  /** First response of this optimizer step. Default 0. */
  start?: Param;
  /** One past its last response. Default B. */
  end?: Param;
  /** Name of the output below the current scope. Default `"weights"`. */
  name?: string;
}

/**
 * Weight x_b of every response of the batch, for loss = Σ_b x_b Σ_t ℓ_bt.
 *
 * The same numbers as `lossWeights` in `src/objective/aggregation.ts`, where the rules stand. Responses outside
 * [start, end) and those of length 0 get weight 0.
 *
 * @param plan Where to record.
 * @param lengths (B), u32: scored tokens of every response of the rollout batch.
 * @param options The rule, its numbers and the mini-batch.
 * @returns (B).
 * @throws {RangeError} If a rule lacks an option, or (when the plan runs) one is impossible.
 */
export function lengthWeight(plan: Plan, lengths: Tensor, options: LengthWeightOptions): Tensor {
  const { lossAggregation, lossAlpha = 1, lossScaleFactor, lossScope = "batch" } = options;
  const { numGenerations, lossMicroBatchSize = 4, start = 0, name = "weights" } = options;
  const { lossLambda = 1, lossLambdaSpread = 0.1 } = options;
  const responses: Size = lengths.shape[0]!;
  const end = options.end ?? responses;
  if (lengths.dtype !== "u32" || lengths.shape.length !== 1) {
    throw new RangeError(
      `lengthWeight needs lengths (B) in u32: got ${
        formatShape(lengths.shape)
      } in ${lengths.dtype}`,
    );
  }
  const scaled = lossAggregation === "drGrpo" || lossAggregation === "deltaL";
  if (scaled && lossScaleFactor === undefined) {
    throw new RangeError(`lengthWeight ${lossAggregation} needs lossScaleFactor, a number > 0`);
  }
  const byGroup = lossAggregation === "promptMean" || lossAggregation === "lambdaGrpo" ||
    (lossAggregation === "deltaL" && lossScope === "group");
  if (byGroup && numGenerations === undefined) {
    throw new RangeError(`lengthWeight ${lossAggregation} over prompt groups needs numGenerations`);
  }
  const checked =
    (name: string, param: Param, valid: (value: number) => boolean, rule: string) => () => {
      const value = paramNow(param);
      if (!valid(value)) throw new RangeError(`lengthWeight: ${name} is ${value}: ${rule}`);
      return value;
    };
  const whole = (value: number, least: number, most: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  const weights = plan.empty(lengths.shape, name);
  plan.dispatch({
    kernel: teamKernel(plan.gpu, {
      name: "length_weight",
      code,
      entryPoint: "main",
      constants: { RULE: RULES[lossAggregation], SCOPE: SCOPES[lossScope] },
    }),
    label: name,
    bindings: { lengths, weights },
    params: {
      responses,
      start: checked("start", start, (v) => whole(v, 0, paramNow(end)), "it must not be past end"),
      end: checked("end", end, (v) => whole(v, 0, sizeNow(responses)), "it must not be past B"),
      generations: lossAggregation === "dapoMicroBatch"
        ? checked(
          "lossMicroBatchSize",
          lossMicroBatchSize,
          (v) => whole(v, 1, Infinity),
          "give a whole number >= 1",
        )
        : byGroup
        ? checked(
          "numGenerations",
          numGenerations!,
          (v) => whole(v, 1, Infinity) && sizeNow(responses) % v === 0,
          "it must divide the number of responses B",
        )
        : 1,
      alpha: checked("lossAlpha", lossAlpha, (v) => v >= 0 && v < Infinity, "give a number >= 0"),
      scale_factor: scaled
        ? checked(
          "lossScaleFactor",
          lossScaleFactor!,
          (v) => v > 0 && v < Infinity,
          "give a number > 0",
        )
        : 1,
      lambda: checked("lossLambda", lossLambda, Number.isFinite, "give a number"),
      spread: checked(
        "lossLambdaSpread",
        lossLambdaSpread,
        (v) => v >= 0 && v < Infinity,
        "give a number >= 0",
      ),
    },
    workgroups: () => sizeNow(responses) > 0 ? 1 : 0,
  });
  return weights;
}
