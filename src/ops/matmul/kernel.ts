/**
 * What a kernel of matrix products is.
 *
 * @module
 */

import strides from "../../../kernels/matmul/strides.wgsl" with { type: "text" };
import type { Param } from "../../gpu/command.ts";
import type { KernelDescriptor } from "../../gpu/kernel.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import type { DeviceTraits } from "../../gpu/traits.ts";
import { type StoredAs, storedAs } from "../wgsl.ts";
import type { Product, ProductShape } from "./operands.ts";

/** Sizes as kernels are given them. */
export type ProductParams = Readonly<
  Record<"rows" | "columns" | "inner" | "splits" | "split_inner", Param>
>;

/** A kernel that computes products. */
export interface ProductKernel {
  /** Its name among those of a product. */
  readonly name: string;
  /** Kernels that differ in their tile alone are of one family. Of several families that fit, the first is built in. */
  readonly family: string;
  /** Whether it can compute a product on a class of devices, and is good at it. */
  readonly fits: (shape: ProductShape, traits: DeviceTraits) => boolean;
  /** Outputs that a workgroup computes. */
  readonly tile: { readonly rows: number; readonly columns: number };
  /** Time of a product, to be compared within a family. Only ratios matter. */
  readonly time: (shape: ProductShape) => number;
  /** Turns that its loops take over so many steps of K. */
  readonly turns: (inner: number) => number;
  /** Whether K may be cut into ranges with workgroups of their own, whose sums partial_sums adds up. */
  readonly cuts: boolean;
  /** WGSL, entry point and constants, for what b is stored in. */
  readonly source: (product: Product, traits: DeviceTraits) => KernelDescriptor;
  /** Of the sizes of a product and its ranges, those that the kernel's `Params` has. */
  readonly params: (sizes: ProductParams) => Readonly<Record<string, Param>>;
  /** What it binds beside `a`, `b` and `out`. */
  readonly bindings: (product: Product) => Readonly<Record<string, Tensor>>;
}

/** Tiles of a product. */
export function tilesOf(shape: ProductShape, tile: ProductKernel["tile"]): number {
  return Math.ceil(shape.rows / tile.rows) * Math.ceil(shape.columns / tile.columns);
}

/** The binding of a bias. Without one it is never read; any other input may stand there. */
export function withBias({ bias, b }: Product): Record<string, Tensor> {
  return { bias: bias ?? b };
}

/** Constants of kernels that may add to their output, and begin with a bias. */
export function accumulates({ accumulate, bias }: Product): Record<string, boolean> {
  return { ACCUMULATE: accumulate, BIAS: bias !== undefined };
}

/** Constants of kernels that take either operand transposed. */
export function transposes({ transposeA, transposeB }: Product): Record<string, boolean> {
  return { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB };
}

/** What the linker is told of b. */
export function storedDType({ b }: Product): StoredAs {
  return storedAs(b);
}

/** Where transposed operands lie, for kernels that need `strides`. */
export const STRIDES: string = strides;
