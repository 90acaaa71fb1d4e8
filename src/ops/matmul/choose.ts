/**
 * Which kernel computes a product, and into how many ranges its sums are cut.
 *
 * @module
 */

import type { Gpu } from "../../gpu/device.ts";
import type { DeviceTraits } from "../../gpu/traits.ts";
import { choose, keySize } from "../choices.ts";
import { type ProductKernel, tilesOf } from "./kernel.ts";
import { productKernels } from "./kernels.ts";
import { type ProductRequest, type ProductShape, shapeOf } from "./operands.ts";

/** A kernel for a product, with K whole or cut. */
export interface ProductCandidate {
  /** Its name, such as `tn.rows32.split256`. */
  readonly name: string;
  readonly kernel: ProductKernel;
  /** Steps of K per range, if it is cut into ranges with workgroups of their own. */
  readonly splitInner: number | undefined;
}

/** Floats of a and b that a processor core's second-level cache holds. */
const CACHED_FLOATS = 2 ** 18;

/** The most floats of partial sums to make. */
const MAX_PARTIAL_FLOATS = 2 ** 23;

/** Workgroups that keep a graphics processor busy. */
const WANTED_WORKGROUPS = 256;

/** A range of K shorter than this is not worth another workgroup and the second pass. */
const SHORTEST_SPLIT = 128;

/** Lengths of ranges of K that a measurement tries. */
const SPLITS = [128, 256, 512, 1024, 2048];

/**
 * Chooses the kernel for a product.
 *
 * @param gpu The device, with the kernels chosen for it.
 * @param request The product; {@linkcode hasKernel} says whether there is a kernel for it.
 */
export function chooseKernel(gpu: Gpu, request: ProductRequest): ProductCandidate {
  const [m, n, k] = request.sizes;
  const sizes = [keySize(m), keySize(n), keySize(k)] as const;
  return choose(
    gpu,
    { ...request, operation: "matmul", sizes },
    candidatesFor(gpu.traits, request),
  );
}

/** Whether there is a kernel for a product; there is one for every product without an epilogue. */
export function hasKernel(traits: DeviceTraits, request: ProductRequest): boolean {
  const shape = shapeOf(request);
  return productKernels(traits).some((kernel) => kernel.fits(shape, traits));
}

/** The kernels that a measurement may choose between for a product, the built-in choice first. */
function candidatesFor(traits: DeviceTraits, request: ProductRequest): ProductCandidate[] {
  const shape = shapeOf(request);
  const fitting = productKernels(traits).filter((kernel) => kernel.fits(shape, traits));
  const best = fitting.filter(({ family }) => family === fitting[0]!.family)
    .reduce((best, kernel) => kernel.time(shape) < best.time(shape) ? kernel : best);
  const builtIn = candidate(best, builtInSplit(best, shape, traits));
  const others = fitting.flatMap((kernel) =>
    [undefined, ...splitsOf(kernel, shape)].map((split) => candidate(kernel, split))
  );
  return [builtIn, ...others.filter(({ name }) => name !== builtIn.name)];
}

function candidate(kernel: ProductKernel, splitInner: number | undefined): ProductCandidate {
  const name = splitInner ? `${kernel.name}.split${splitInner}` : kernel.name;
  return { name, kernel, splitInner };
}

/** Only sums over tokens are cut: a token's own outputs must not depend on how many others there are. */
function mayCut(kernel: ProductKernel, { layout }: ProductShape): boolean {
  return kernel.cuts && layout === "tn";
}

function fewestSteps({ inner, rows, columns }: ProductShape): number {
  return inner * rows * columns / MAX_PARTIAL_FLOATS;
}

function splitsOf(kernel: ProductKernel, shape: ProductShape): number[] {
  if (!mayCut(kernel, shape)) return [];
  return SPLITS.filter((steps) => steps >= fewestSteps(shape) && steps < shape.inner);
}

function builtInSplit(
  kernel: ProductKernel,
  shape: ProductShape,
  { products }: DeviceTraits,
): number | undefined {
  if (!mayCut(kernel, shape)) return undefined;
  const { inner, rows, columns } = shape;
  let steps = Math.max(SHORTEST_SPLIT, inner * tilesOf(shape, kernel.tile) / WANTED_WORKGROUPS);
  if (products === "lanes") {
    if (inner * (rows + columns) <= 2 * CACHED_FLOATS) return undefined;
    // All tiles of a range of tokens run before the next one, while the tokens are in the cache.
    const cached = CACHED_FLOATS / (rows + columns);
    steps = Math.max(fewestSteps(shape), Math.min(512, Math.max(256, cached)));
  }
  const splitInner = 16 * Math.ceil(steps / 16);
  return splitInner < inner ? splitInner : undefined;
}
