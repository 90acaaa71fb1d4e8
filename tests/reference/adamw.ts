/** AdamW (arXiv 1711.05101) and the global-norm clip with PyTorch's semantics, in float64. */

/** Settings of {@linkcode adamwStep}. */
export interface AdamwOptions {
  /** Step size. */
  learningRate: number;
  /** Decay of the first moment. */
  beta1: number;
  /** Decay of the second moment. */
  beta2: number;
  /** Added to the root of the corrected second moment. */
  eps: number;
  /** Decoupled decay: p shrinks by learningRate · weightDecay before the update. */
  weightDecay: number;
  /** Number of this step, counted from 1. */
  step: number;
}

/** Updates parameter, first and second moment [N] in place from one gradient [N]. */
export function adamwStep(
  parameter: Float64Array,
  firstMoment: Float64Array,
  secondMoment: Float64Array,
  gradient: ArrayLike<number>,
  { learningRate, beta1, beta2, eps, weightDecay, step }: AdamwOptions,
): void {
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i]!;
    firstMoment[i] = beta1 * firstMoment[i]! + (1 - beta1) * g;
    secondMoment[i] = beta2 * secondMoment[i]! + (1 - beta2) * g * g;
    const mean = firstMoment[i]! / (1 - beta1 ** step);
    const square = secondMoment[i]! / (1 - beta2 ** step);
    const decayed = parameter[i]! * (1 - learningRate * weightDecay);
    parameter[i] = decayed - learningRate * mean / (Math.sqrt(square) + eps);
  }
}

/** Euclidean norm over all gradients together. */
export function globalNorm(gradients: Iterable<ArrayLike<number>>): number {
  let squares = 0;
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) squares += gradient[i]! ** 2;
  }
  return Math.sqrt(squares);
}

/** Factor that `torch.nn.utils.clip_grad_norm_` multiplies into every gradient. */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
