/**
 * Divergence of whole responses from a reference policy.
 *
 * @module
 */

import code from "../../kernels/response_kl.wgsl" with { type: "text" };
import { checkNames } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { KL_ESTIMATORS, type KlEstimator } from "../objective/kl.ts";
import { ruleOf } from "../objective/rule.ts";
import { teamKernel } from "./readers.ts";

/** What {@linkcode responseKl} reads. B responses in the batch, M the longest. */
export interface ResponseKlInputs {
  /** ln π of every token under the policy that sampled it, shape (B, M). */
  logProbs: Tensor;
  /** ln π of every token under the reference policy, shape (B, M). */
  refLogProbs: Tensor;
  /** Tokens of each response, shape (B), u32; the first of them may be a dimension that varies. */
  lengths: Tensor;
}

/**
 * Sum over each response's tokens of the estimates of KL(π ‖ π_ref), as `klEstimate` defines them.
 *
 * @param inputs Log-probabilities and lengths.
 * @param options The estimator, and the `name` of the output below the current scope, `"response_kl"` by default.
 * @returns The shape of `lengths` (B).
 * @throws {RangeError} If the shapes do not fit.
 */
export function responseKl(
  plan: Plan,
  inputs: ResponseKlInputs,
  options: { klEstimator: KlEstimator; name?: string },
): Tensor<"f32"> {
  checkNames("responseKl", options, ["klEstimator", "name"]);
  const { logProbs, refLogProbs, lengths } = inputs;
  const { klEstimator, name = "response_kl" } = options;
  const [responses, width] = logProbs.shape;
  if (
    logProbs.shape.length !== 2 || refLogProbs.capacity !== logProbs.capacity ||
    lengths.shape.length !== 1 || lengths.dtype !== "u32" ||
    lengths.capacity > sizeLimit(responses!)
  ) {
    throw new RangeError(
      `responseKl needs logProbs and refLogProbs (B, M) and lengths (B) in u32: got ${
        [logProbs, refLogProbs, lengths].map((t) => formatShape(t.shape)).join(", ")
      }`,
    );
  }
  const sums = plan.empty(lengths.shape, name);
  plan.dispatch({
    kernel: teamKernel(plan.gpu, {
      name: "response_kl",
      code,
      entryPoint: "main",
      constants: { KL_ESTIMATOR: ruleOf(KL_ESTIMATORS, "klEstimator", klEstimator).code },
    }),
    label: name,
    bindings: { log_probs: logProbs, ref_log_probs: refLogProbs, lengths, sums },
    params: { responses: lengths.shape[0]!, stride: sizeLimit(width!) },
    turns: Math.ceil(sizeLimit(width!) / plan.gpu.traits.lanes),
    workgroups: lengths.shape[0]!,
  });
  return sums;
}
