/**
 * The gradient tape: rules written while recording, whose dispatches are recorded afterwards, last rule first.
 *
 * Gradients of parameters accumulate (`+=`, into {@linkcode Tensor.grad}); gradients of activations are written by their
 * first contribution and accumulated after.
 *
 * @module
 */

import { Recorder } from "./recorder.ts";
import type { Tensor } from "./tensor.ts";

/** A recording with the gradient rules of what was recorded. */
export abstract class Tape extends Recorder {
  readonly #recordsGradients: boolean;
  readonly #differentiable = new Set<Tensor>();
  readonly #gradients = new Map<Tensor, Tensor>();
  readonly #sharedGradients = new Set<Tensor>();
  readonly #rules: { readonly scope: readonly string[]; readonly rule: () => void }[] = [];
  readonly #afterBackward: (() => void)[] = [];
  #inBackward = false;

  /**
   * Begins without any dispatch.
   *
   * @param name Name shown in errors.
   * @param recordsGradients Whether rules are recorded at all.
   */
  constructor(name: string, recordsGradients: boolean) {
    super(name);
    this.#recordsGradients = recordsGradients;
  }

  /** Whether a gradient with respect to this tensor is wanted. */
  isDifferentiable(tensor: Tensor): boolean {
    return tensor.grad !== undefined || this.#differentiable.has(tensor);
  }

  /** Asks for the gradient of an input or intermediate tensor that no parameter feeds. */
  requireGradient(tensor: Tensor): void {
    this.#differentiable.add(tensor);
  }

  /**
   * Records how gradients flow from outputs back to inputs. Does nothing when no input wants one.
   *
   * @param inputs What the op reads.
   * @param outputs What it produces.
   * @param rule Records the reverse dispatches; called by {@linkcode backward}.
   */
  onBackward(inputs: readonly Tensor[], outputs: readonly Tensor[], rule: () => void): void {
    if (!this.#recordsGradients || this.#inBackward) return;
    if (!inputs.some((x) => this.isDifferentiable(x))) return;
    for (const y of outputs) this.#differentiable.add(y);
    this.#rules.push({ scope: this.scopeNow, rule });
  }

  /** The gradient of a tensor so far, or `undefined` if nothing contributed. */
  gradientOf(tensor: Tensor): Tensor | undefined {
    return tensor.grad ?? this.#gradients.get(tensor);
  }

  /**
   * Contributes to the gradient of a tensor.
   *
   * @param x The tensor; nothing happens if its gradient is not wanted.
   * @param write Records the dispatches that write `dx` (or add to it, when `accumulate` is true).
   */
  intoGradient(x: Tensor, write: (dx: Tensor, accumulate: boolean) => void): void {
    if (!this.isDifferentiable(x)) return;
    if (x.grad) return write(x.grad, true);
    const existing = this.#gradients.get(x);
    if (existing) {
      if (this.#sharedGradients.has(existing)) {
        throw new TypeError(
          `The gradient of ${x.name} is shared with another tensor and cannot take a second contribution: ` +
            "use the tensor once, or through add()",
        );
      }
      return write(existing, true);
    }
    const dx = this.makeTensor(x.shape, `${x.name}.grad`, "f32");
    this.#gradients.set(x, dx);
    write(dx, false);
  }

  /**
   * Makes an existing tensor the whole gradient of `x`, without a copy.
   *
   * @throws {TypeError} If `x` already has a gradient.
   */
  shareGradient(x: Tensor, dx: Tensor): void {
    if (!this.isDifferentiable(x)) return;
    if (x.grad || this.#gradients.has(x)) {
      throw new TypeError(`${x.name} already has a gradient and cannot share another`);
    }
    this.#gradients.set(x, dx);
    this.#sharedGradients.add(dx);
  }

  /** Has more reverse dispatches recorded when those of the whole tape are; for gradient rules. */
  afterBackward(record: () => void): void {
    this.#afterBackward.push(record);
  }

  /** Records the reverse dispatches of everything on the tape, last first. */
  backward(): void {
    this.#inBackward = true;
    for (const { scope, rule } of this.#rules.splice(0).reverse()) this.within(scope, rule);
    for (const record of this.#afterBackward.splice(0)) record();
    this.#inBackward = false;
  }
}
