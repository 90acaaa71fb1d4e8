/**
 * Which kernel serves where an operation has several: the built-in choice, or what {@linkcode Gpu.kernels} says.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { type DType, type Size, sizeLimit } from "../gpu/tensor.ts";
import type { HeadLayout } from "./rope.ts";

/** How operands lie in memory: `nt` = a (M, K), b (N, K); `nn` = b (K, N); `tn` = a (K, M), b (K, N); `tt` both. */
export type Layout = "nn" | "nt" | "tn" | "tt";

/** What is done to a product before it is stored, see `ProductEpilogue`. */
export type EpilogueKind = "swiglu" | "swiglu_gradient";

/** A size, or the power of two that the largest value fits into of one that varies: batches about as large share kernels. */
export type KeySize = number | { readonly upTo: number };

/** What decides between the kernels of a matrix product. */
export interface ProductKey {
  readonly operation: "matmul";
  readonly layout: Layout;
  readonly epilogue?: EpilogueKind | undefined;
  /** M, N and K. */
  readonly sizes: readonly [m: KeySize, n: KeySize, k: KeySize];
  /** What b is stored in. */
  readonly dtype: DType;
}

/** What decides between the kernels of attention. */
export interface AttentionKey extends HeadLayout {
  readonly operation: "attention" | "attention_decode";
  /** What the cache is stored in. */
  readonly dtype: DType;
}

/** What decides between the kernels of an operation. */
export type OperationKey = ProductKey | AttentionKey;

/** An operation with several kernels, and the one it was given. */
export interface KernelChoice {
  /** The operation. */
  readonly key: OperationKey;
  /** Names of the kernels that compute it, the built-in choice first. */
  readonly candidates: readonly string[];
  /** The one taken. */
  readonly chosen: string;
}

const choicesOfGpu = new WeakMap<Gpu, Map<string, KernelChoice>>();

/** Every operation with several kernels that was recorded on a device, by its name. */
export function choicesOf(gpu: Gpu): ReadonlyMap<string, KernelChoice> {
  return choicesOfGpu.get(gpu) ?? new Map();
}

/**
 * Chooses one of the kernels that compute an operation: the one in {@linkcode Gpu.kernels}, or the first.
 *
 * @param gpu The device, with the kernels chosen for it.
 * @param candidates Its kernels, the built-in choice first.
 */
export function choose<T extends { readonly name: string }>(
  gpu: Gpu,
  key: OperationKey,
  candidates: readonly T[],
): T {
  const operation = operationName(key);
  const wanted = Object.hasOwn(gpu.kernels, operation) ? gpu.kernels[operation] : undefined;
  const chosen = candidates.find(({ name }) => name === wanted) ?? candidates[0]!;
  if (candidates.length > 1) {
    const choices = choicesOfGpu.get(gpu) ?? new Map<string, KernelChoice>();
    choicesOfGpu.set(gpu, choices);
    choices.set(operation, {
      key,
      candidates: candidates.map(({ name }) => name),
      chosen: chosen.name,
    });
  }
  return chosen;
}

/** The name of an operation in {@linkcode Gpu.kernels}, such as `matmul nt ~512x176x64` or `attention 4/2x16`. */
export function operationName(key: OperationKey): string {
  const words = key.operation === "matmul"
    ? [key.operation, key.epilogue, key.layout, key.sizes.map(sizeText).join("x")]
    : [key.operation, `${key.heads}/${key.keyValueHeads}x${key.headDim}`];
  return [...words, key.dtype !== "f32" && key.dtype].filter(Boolean).join(" ");
}

function sizeText(size: KeySize): string {
  return typeof size === "number" ? `${size}` : `~${size.upTo}`;
}

/** A size as it decides between kernels. */
export function keySize(size: Size): KeySize {
  return typeof size === "number" ? size : { upTo: 2 ** Math.ceil(Math.log2(sizeLimit(size))) };
}
