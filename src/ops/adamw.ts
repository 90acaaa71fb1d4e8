/**
 * The AdamW update (Loshchilov & Hutter 2017, arXiv 1711.05101) with clipping by the global norm.
 *
 * @module
 */

import code from "../../kernels/adamw.wgsl" with { type: "text" };
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Tensor } from "../gpu/tensor.ts";
import { type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { flatReader } from "./readers.ts";

/** Tensors of {@linkcode adamw}, flat arrays of one length. */
export interface AdamwTensors {
  /** Updated in place, (n). */
  readonly parameters: Tensor;
  /** Read, (n). */
  readonly gradients: Tensor;
  /** Moving average of the gradients, zero at first, updated in place, (n). */
  readonly firstMoment: Tensor;
  /** Moving average of their squares, zero at first, updated in place, (n). */
  readonly secondMoment: Tensor;
  /** Norm of all gradients, [1], from {@linkcode gradNorm}. */
  readonly gradNorm: Tensor;
}

/** Options of {@linkcode adamw}; the defaults are PyTorch's. */
export interface AdamwOptions extends FlatOptions {
  /** Step size. */
  learningRate: Param;
  /** Number of this update, counted from 1. */
  step: Param;
  /** Decay of the first moment, in [0, 1). Default 0.9. */
  beta1?: Param;
  /** Decay of the second moment, in [0, 1). Default 0.999. */
  beta2?: Param;
  /** Added to the root of the corrected second moment. Default 1e-8. */
  eps?: Param;
  /** Decoupled weight decay of every parameter. Default 0.01. */
  weightDecay?: Param;
  /** Gradients are scaled down to this global norm; 0 or Infinity leaves them as they are. Default 0. */
  maxGradNorm?: Param;
  /** Name of the dispatch below the current scope. Default `"adamw"`. */
  name?: string;
}

/**
 * Updates parameters and moments from gradients, as `torch.optim.AdamW` after `clip_grad_norm_` does.
 *
 * Nothing changes when the gradient norm is NaN or infinite: parameters and moments stay as the last good step left
 * them. Hyper-parameters are taken before each run; what derives from them is computed in float64.
 *
 * @param plan Where to record.
 * @param tensors Flat arrays (n), n a multiple of 4, and the norm [1].
 * @param options Hyper-parameters.
 * @throws {RangeError} If the shapes do not fit; before a run, if a hyper-parameter is out of its range.
 */
export function adamw(plan: Plan, tensors: AdamwTensors, options: AdamwOptions): void {
  const { name = "adamw", learningRate, step } = options;
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, maxGradNorm = 0 } = options;
  const { gradNorm, ...flat } = tensors;
  const n = tensors.parameters.capacity;
  for (const [role, tensor] of Object.entries(flat)) {
    if (tensor.shape.length !== 1 || tensor.capacity !== n || n % 4 !== 0) {
      throw new RangeError(
        `adamw needs flat arrays (n) of one length, a multiple of 4: ${role} is ${
          formatShape(tensor.shape)
        }, parameters ${formatShape(tensors.parameters.shape)}`,
      );
    }
  }
  if (gradNorm.capacity !== 1) {
    throw new RangeError(`adamw needs gradNorm [1]: got ${formatShape(gradNorm.shape)}`);
  }
  const within = (what: string, param: Param, ok: (value: number) => boolean, allowed: string) => {
    const value = paramNow(param);
    if (!ok(value)) {
      throw new RangeError(
        `${plan.path(name)}: ${what} must be ${allowed}: current value is ${value}`,
      );
    }
    return value;
  };
  const notNegative = (what: string, param: Param) =>
    within(what, param, (v) => v >= 0 && v < Infinity, "a finite number >= 0");
  const rate = () => notNegative("learningRate", learningRate);
  const decayRate = (what: string, param: Param) =>
    within(what, param, (v) => v >= 0 && v < 1, "from 0 to below 1");
  const b1 = () => decayRate("beta1", beta1);
  const b2 = () => decayRate("beta2", beta2);
  const t = () => within("step", step, (v) => Number.isInteger(v) && v >= 1, "an integer >= 1");
  const clip = () => {
    const norm = within("maxGradNorm", maxGradNorm, (v) => v >= 0, "a number >= 0");
    return Number.isFinite(norm) ? norm : 0;
  };

  const reader = flatReader(plan.gpu, n);
  const ranges = flatRanges(plan, n, options);
  for (const [i, range] of ranges.entries()) {
    const { count, chunk, workgroups } = reader.share(() => range.length);
    plan.dispatch({
      kernel: reader.kernel({ name: "adamw", code, entryPoint: "update" }),
      label: `${name}.update${ranges.length > 1 ? i : ""}`,
      bindings: {
        parameters: flatView(tensors.parameters, range),
        gradients: flatView(tensors.gradients, range),
        first_moment: flatView(tensors.firstMoment, range),
        second_moment: flatView(tensors.secondMoment, range),
        grad_norm: gradNorm,
      },
      params: {
        count,
        chunk,
        decay: () => 1 - rate() * notNegative("weightDecay", weightDecay),
        step_size: () => rate() / (1 - b1() ** t()),
        rest1: () => 1 - b1(),
        beta2: b2,
        rest2: () => 1 - b2(),
        inverse_root2: () => 1 / Math.sqrt(1 - b2() ** t()),
        eps: () => notNegative("eps", eps),
        max_grad_norm: clip,
      },
      turns: reader.turns,
      workgroups,
      cost: { bytes: () => range.length * 28, flops: () => range.length * 14 },
    });
  }
}
