/**
 * The AdamW update (Loshchilov & Hutter 2017, arXiv 1711.05101) with clipping by the global norm.
 *
 * Moments in bfloat16 take half the memory. They are rounded up or down by chance (stochastic rounding, see Zamirai et al.
 * 2020, arXiv 2010.06192): the expected value is exact, where rounding to nearest would lose what is below half of a last
 * place, for the second moment of the default beta2 nearly every change. bfloat16 and not float16, because squares of
 * gradients need the range of float32.
 *
 * @module
 */

import code from "../../kernels/adamw.wgsl" with { type: "text" };
import ditheredCode from "../../kernels/adamw/dithered.wgsl" with { type: "text" };
import moment4Bf16Code from "../../kernels/adamw/moment4_bf16.wgsl" with { type: "text" };
import moment8Bf16Code from "../../kernels/adamw/moment8_bf16.wgsl" with { type: "text" };
import momentF32Code from "../../kernels/adamw/moment_f32.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import { type Param, paramNow } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { bytesPerElement, formatShape, type Tensor } from "../gpu/tensor.ts";
import { threefry2x32 } from "../random/random.ts";
import { type FlatOptions, flatRanges, flatView } from "./flat_ranges.ts";
import { flatReader } from "./readers.ts";

/** What moments are stored in; they are computed in float32. */
export type MomentDType = "f32" | "bf16";

/** Every {@linkcode MomentDType}. */
export const MOMENT_DTYPES: readonly MomentDType[] = ["f32", "bf16"];

/** Second counter word of the rounding key: a value that no stream of `Random` derives its key with, nor sampling. */
const ROUNDING = 0xd0000000;

/**
 * Key of the random numbers that a step rounds moments in bf16 by.
 *
 * The first moment of parameter i is rounded up if the dropped 16 bits and half i & 1 (0 the low one) of word i >> 1 & 1 of
 * `threefry2x32(...key, i >> 2, 0)` have a sum of 2^16 or more; the second moment likewise, of `threefry2x32(...key, i >> 2, 1)`.
 *
 * @param seed The run's seed, an integer from 0 to 2^53 - 1.
 * @param step Number of the update.
 */
export function roundingKey(seed: number, step: number): [number, number] {
  return threefry2x32(seed >>> 0, Math.floor(seed / 2 ** 32), step, ROUNDING);
}

/** Tensors of {@linkcode adamw}, flat arrays of one length. */
export interface AdamwTensors {
  /** Updated in place, (n). */
  readonly parameters: Tensor;
  /** Read, (n). */
  readonly gradients: Tensor;
  /** Moving average of the gradients, zero at first, updated in place, (n), f32 or bf16. */
  readonly firstMoment: Tensor;
  /** Moving average of their squares, zero at first, updated in place, (n), of the same dtype. */
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
  /** Seed of the rounding of moments in bf16, an integer from 0 to 2^53 - 1; nothing else depends on it. Default 0. */
  seed?: number;
  /** Name of the dispatch below the current scope. Default `"adamw"`. */
  name?: string;
}

const NAMES = namesOf<AdamwOptions>({
  learningRate: true,
  step: true,
  beta1: true,
  beta2: true,
  eps: true,
  weightDecay: true,
  maxGradNorm: true,
  seed: true,
  name: true,
  maxBindingBytes: true,
});

/**
 * Updates parameters and moments from gradients, as `torch.optim.AdamW` after `clip_grad_norm_` does.
 *
 * Nothing changes when the gradient norm is NaN or infinite: parameters and moments stay as the last good step left
 * them. Hyper-parameters are taken before each run; what derives from them is computed in float64.
 *
 * @param tensors Flat arrays (n), n a multiple of 4, and the norm [1].
 * @param options Hyper-parameters.
 * @throws {RangeError} If the shapes or dtypes do not fit; before a run, if a hyper-parameter is out of its range.
 */
export function adamw(plan: Plan, tensors: AdamwTensors, options: AdamwOptions): void {
  checkNames("adamw", options, NAMES);
  const { name = "adamw", learningRate, step, seed = 0 } = options;
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, maxGradNorm = 0 } = options;
  const { gradNorm, ...flat } = tensors;
  const n = tensors.parameters.capacity;
  for (const [role, tensor] of Object.entries(flat)) {
    if (tensor.shape.length !== 1 || tensor.capacity !== n || n % 4 !== 0) {
      throw new RangeError(
        `adamw needs flat arrays (n) of one length, a multiple of 4: ${role} is ` +
          `${formatShape(tensor.shape)}, parameters ${formatShape(tensors.parameters.shape)}`,
      );
    }
  }
  const stored = momentDType(tensors);
  if (gradNorm.capacity !== 1) {
    throw new RangeError(`adamw needs gradNorm [1]: got ${formatShape(gradNorm.shape)}`);
  }
  const within = (what: string, param: Param, ok: (value: number) => boolean, allowed: string) => {
    const value = paramNow(param);
    if (typeof value !== "number" || !ok(value)) {
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
  const ranges = flatRanges(plan, tensors.parameters, options);
  for (const [i, range] of ranges.entries()) {
    const { count, chunk, workgroups } = reader.share(() => range.length);
    plan.dispatch({
      kernel: reader.kernel({ name: "adamw", code, entryPoint: "update" }, { stored }, MOMENTS),
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
        // A moment of 0 is divided by it.
        eps: () =>
          within("eps", eps, (v) => Math.fround(v) > 0 && v < Infinity, "a number > 0 in float32"),
        max_grad_norm: clip,
        first: range.offset / reader.pack,
        key_low: () => roundingKey(seed, t())[0],
        key_high: () => roundingKey(seed, t())[1],
      },
      turns: reader.turns,
      workgroups,
      cost: {
        bytes: () => range.length * (12 + 4 * bytesPerElement(stored)),
        flops: () => range.length * 14,
      },
    });
  }
}

/** The kernel's ways to keep moments. */
const MOMENTS = [momentF32Code, moment4Bf16Code, moment8Bf16Code, ditheredCode];

/** What both moments are stored in. */
function momentDType(
  { parameters, gradients, firstMoment, secondMoment }: AdamwTensors,
): MomentDType {
  const wide = [parameters, gradients].every(({ dtype }) => dtype === "f32");
  const dtype = MOMENT_DTYPES.find((known) => known === firstMoment.dtype);
  if (!wide || !dtype || secondMoment.dtype !== dtype) {
    throw new RangeError(
      "adamw needs parameters and gradients in f32, and moments both in f32 or both in bf16: got " +
        [parameters, gradients, firstMoment, secondMoment].map((tensor) => tensor.dtype).join(", "),
    );
  }
  return dtype;
}
