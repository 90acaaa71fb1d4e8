/** Tensors of ids that kernels bind as one. */

import type { Gpu } from "../../src/gpu/device.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import type { PROGRESS } from "../../src/ops/sample.ts";
import { sideBySide } from "../../src/ops/side_by_side.ts";

/** Tensors of some ids each, u32, filled from the start. */
export function idsSideBySide<K extends string>(
  gpu: Gpu,
  size: number,
  values: Readonly<Record<K, readonly number[]>>,
): Record<K, Tensor> {
  const names = Object.keys(values) as K[];
  const views = sideBySide(names, size, (shape) => gpu.tensor(shape, { dtype: "u32" }));
  for (const name of names) gpu.write(views[name], values[name]);
  return views;
}

/** How far sequences are: at their beginning, some of them finished. */
export function progress(gpu: Gpu, sequences: number, finished: readonly number[] = []) {
  const none: Record<typeof PROGRESS[number], readonly number[]> = {
    lengths: [],
    finished,
    lastTokens: [],
  };
  return idsSideBySide(gpu, sequences, none);
}
