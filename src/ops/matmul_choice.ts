/**
 * Which kernel computes a product on a device: the built-in choice, or the one that was measured to be the fastest.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { type DType, type Size, sizeLimit } from "../gpu/tensor.ts";
import { type Layout, type Variant, variantName, variantsOf } from "./matmul_variants.ts";

/** M, N and K of a product. */
export type ProductSizes = readonly [m: Size, n: Size, k: Size];

/** What the name of a product says. */
export interface NamedProduct {
  /** How its operands lie in memory. */
  readonly layout: Layout;
  /** What b is stored in. */
  readonly dtype: "f32" | "f16";
  /** M, N and K: the most, and whether it varies between runs. */
  readonly sizes: readonly { readonly most: number; readonly varies: boolean }[];
}

/**
 * Chooses the kernel for a product.
 *
 * @param gpu The device, with the kernels chosen for it.
 * @param layout How the operands lie in memory.
 * @param sizes M, N and K.
 * @param dtype What b is stored in.
 */
export function chosenVariant(
  gpu: Gpu,
  layout: Layout,
  sizes: ProductSizes,
  dtype: DType,
): Variant {
  const [m, n, k] = sizes;
  const variants = variantsOf(gpu.traits, layout, {
    rows: sizeLimit(m),
    columns: sizeLimit(n),
    inner: sizeLimit(k),
    rowsAlignment: alignment(m),
    columnsAlignment: alignment(n),
    innerAlignment: alignment(k),
  });
  const name = gpu.choose(productName(layout, sizes, dtype), variants.map(variantName));
  return variants.find((variant) => variantName(variant) === name)!;
}

/**
 * The name of a product, such as `matmul nt ~512x176x64`: layout, M, N, K, and f16 if b is. A size that varies stands as the power of two
 * that its largest value fits into, so that batches about as large share their kernels.
 */
function productName(layout: Layout, sizes: ProductSizes, dtype: DType): string {
  const texts = sizes.map((size) =>
    typeof size === "number" ? `${size}` : `~${2 ** Math.ceil(Math.log2(sizeLimit(size)))}`
  );
  return `matmul ${layout} ${texts.join("x")}${dtype === "f16" ? " f16" : ""}`;
}

/** What the name of a product says; `undefined` if it is the name of something else. */
export function parseProduct(name: string): NamedProduct | undefined {
  const [, layout, text, half] = /^matmul (nn|nt|tn|tt) ((?:~?\d+x){2}~?\d+)( f16)?$/.exec(name) ??
    [];
  if (layout === undefined) return undefined;
  const sizes = text!.split("x").map((size) => ({
    most: Number(size.replace("~", "")),
    varies: size.startsWith("~"),
  }));
  return { layout: layout as Layout, sizes, dtype: half ? "f16" : "f32" };
}

/** The largest power of two, up to 8, that divides a size whatever its value. */
function alignment(size: Size): number {
  if (typeof size !== "number") return 1;
  return [8, 4, 2].find((power) => size % power === 0) ?? 1;
}
