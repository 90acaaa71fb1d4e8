/**
 * AdamW over all parameters at once, with clipping by global norm.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { readied } from "../gpu/readied.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { adamw, MOMENT_DTYPES, type MomentDType } from "../ops/adamw.ts";
import { gradNorm } from "../ops/grad_norm.ts";
import { toHalf } from "../ops/to_half.ts";
import { checkNames, namesOf } from "../input/names.ts";

/** What {@linkcode AdamW} steps: the `parameters` of a policy, or flat tensors of one's own. */
export interface OptimizedParameters {
  /** All values, flat (n) f32. */
  readonly values: Tensor;
  /** All gradients, flat (n) f32. */
  readonly gradients: Tensor;
  /**
   * A copy of the values in 16 bits (n), which every step brings up to date, or `undefined` where there is none. It has to be
   * said: a forgotten copy would stay as it was, without a sign.
   */
  readonly halves: Tensor | undefined;
  /** Records what else has to follow a step. */
  refresh?(plan: Plan): void;
}

/** Hyper-parameters of {@linkcode AdamW}; may be changed between steps, but for `dtype` and `seed`. */
export interface AdamWOptions {
  /** Step size. */
  learningRate: number;
  /** Decay of the first moment. Default 0.9. */
  beta1?: number;
  /** Decay of the second moment. Default 0.999. */
  beta2?: number;
  /** Added to the root of the second moment. Default 1e-8. */
  epsilon?: number;
  /** Decoupled weight decay, applied to every parameter. Default 0. */
  weightDecay?: number;
  /** Gradients are scaled down to this global norm; 0 turns clipping off. Default 1. */
  maxGradNorm?: number;
  /**
   * What the moments are stored in; they are computed in f32. `"bf16"` halves their memory: they are rounded up or down
   * by chance, so that small changes are kept on average. Default `"f32"`.
   */
  readonly dtype?: MomentDType;
  /** Seed of that chance, an integer from 0 to 2^53 - 1. Default 0. */
  readonly seed?: number;
}

/** Every hyper-parameter; one that is missing here does not compile. */
const NAMES = namesOf<AdamWOptions>({
  learningRate: true,
  beta1: true,
  beta2: true,
  epsilon: true,
  weightDecay: true,
  maxGradNorm: true,
  dtype: true,
  seed: true,
});

/**
 * The AdamW optimizer (Loshchilov & Hutter 2019) with PyTorch's semantics.
 *
 * When the gradient's norm is not finite nothing is changed, so that the last good state survives.
 */
export class AdamW {
  /** Running mean of the gradient (n), in `options.dtype`. */
  readonly firstMoment: Tensor;
  /** Running mean of its square (n), in `options.dtype`. */
  readonly secondMoment: Tensor;
  /** Global norm of the gradient before clipping (1). */
  readonly gradNorm: Tensor;
  /** Steps taken so far; set it when resuming. */
  stepCount = 0;
  /** Records nothing; run it in a submit after the gradients are complete, then call {@linkcode advance}. */
  readonly plan: Plan;
  /** Hyper-parameters of the next step. */
  readonly options: Required<AdamWOptions>;

  readonly #gpu: Gpu;

  private constructor(gpu: Gpu, parameters: OptimizedParameters, options: AdamWOptions) {
    const { values, gradients, halves } = parameters;
    this.#gpu = gpu;
    this.options = {
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      maxGradNorm: 1,
      dtype: "f32",
      seed: 0,
      ...options,
    };
    const { capacity: n, cuts } = values;
    const { dtype, seed } = this.options;
    this.firstMoment = gpu.tensor([n], { name: "optimizer.exp_avg", dtype, cuts });
    this.secondMoment = gpu.tensor([n], { name: "optimizer.exp_avg_sq", dtype, cuts });
    this.plan = new Plan(gpu, "optimizer");
    this.gradNorm = this.plan.keep(gradNorm(this.plan, gradients));
    const next = () => this.stepCount + 1;
    adamw(this.plan, {
      parameters: values,
      gradients,
      firstMoment: this.firstMoment,
      secondMoment: this.secondMoment,
      gradNorm: this.gradNorm,
    }, {
      learningRate: () => this.options.learningRate,
      beta1: () => this.options.beta1,
      beta2: () => this.options.beta2,
      eps: () => this.options.epsilon,
      weightDecay: () => this.options.weightDecay,
      maxGradNorm: () => this.options.maxGradNorm,
      step: next,
      seed,
    });
    if (halves) toHalf(this.plan, values, halves);
    parameters.refresh?.(this.plan);
  }

  /**
   * Takes memory for the moments and compiles the step.
   *
   * @param gpu The device.
   * @param parameters What to step; of a policy, its `parameters` as they are.
   * @param options Hyper-parameters.
   * @throws {TypeError} If values, gradients or halves are missing, or there is no such hyper-parameter.
   * @throws {RangeError} If values, gradients and halves differ in length, or a hyper-parameter is out of range.
   */
  static async create(
    gpu: Gpu,
    parameters: OptimizedParameters,
    options: AdamWOptions,
  ): Promise<AdamW> {
    checkNames("AdamW", options, NAMES);
    checkParts(parameters);
    const { learningRate, dtype = "f32", seed = 0 } = options;
    if (!(learningRate >= 0 && learningRate < Infinity)) {
      throw new RangeError(
        `learningRate of AdamW must be a number >= 0: current value is ${learningRate}`,
      );
    }
    if (!MOMENT_DTYPES.includes(dtype)) {
      throw new RangeError(
        `dtype of AdamW must be one of ${MOMENT_DTYPES.join(", ")}: current value is ${dtype}`,
      );
    }
    if (!(Number.isSafeInteger(seed) && seed >= 0)) {
      throw new RangeError(
        `seed of AdamW must be an integer from 0 to 2^53 - 1: current value is ${seed}`,
      );
    }
    return await readied(
      gpu,
      () => new AdamW(gpu, parameters, options),
      async ({ plan }) => {
        await plan.compile();
        // Refuses hyper-parameters now rather than at the first step.
        plan.prepare();
      },
    );
  }

  /** Counts a step after its plan was submitted. */
  advance(): void {
    this.stepCount++;
  }

  /** Releases the memory. */
  destroy(): void {
    this.plan.destroy();
    this.#gpu.destroyTensor(this.firstMoment);
    this.#gpu.destroyTensor(this.secondMoment);
  }
}

function checkParts(parameters: OptimizedParameters): void {
  const { values, gradients, halves } = parameters;
  if (!values || !gradients || !("halves" in parameters)) {
    throw new TypeError(
      "AdamW.create(gpu, parameters, options) needs values, gradients and halves: hand over policy.parameters, or " +
        "{ values, gradients, halves } of your own, and say halves: undefined where there are none",
    );
  }
  for (const [name, tensor] of Object.entries({ gradients, halves })) {
    if (tensor && tensor.capacity !== values.capacity) {
      throw new RangeError(
        `AdamW needs as many ${name} as values, ${values.capacity}: got ${tensor.capacity}`,
      );
    }
  }
}
