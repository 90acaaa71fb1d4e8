/**
 * What sums and maxima have in common.
 *
 * @module
 */

import combine from "../../../../kernels/general/reduce/combine.wgsl" with { type: "text" };
import type { KernelDescriptor } from "../../../gpu/kernel.ts";

/** A sum or a maximum. */
export interface Reduction {
  /** Whether it is the largest. */
  readonly isMax: boolean;
  /** What combines with any value to that value. */
  readonly initial: number;
}

/** The sum. */
export const SUM: Reduction = { isMax: false, initial: 0 };

/** The largest. */
export const MAX: Reduction = { isMax: true, initial: -Infinity };

/** Files beside a kernel's of which the linker takes what is needed. */
export const OWN: readonly string[] = [combine];

/** A kernel that combines. */
export function combining(
  { isMax }: Reduction,
  code: string,
  entryPoint: string,
): KernelDescriptor {
  return { name: "reduce", code, entryPoint, constants: { MAX: isMax } };
}
