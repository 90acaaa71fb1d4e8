/**
 * Tensors of one size that kernels bind as one, because devices bind few.
 *
 * @module
 */

import { type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";

/** Each begins at a multiple of 256 bytes, so that it can be bound by itself too. */
const ALIGNMENT = 64;

/**
 * Lays tensors of four-byte elements out in one.
 *
 * @param names What they are.
 * @param size Elements of each.
 * @param make Makes the whole, of a shape that is given.
 * @returns Views of it, by their names.
 */
export function sideBySide<K extends string>(
  names: readonly K[],
  size: Size,
  make: (shape: readonly Size[]) => Tensor,
): Record<K, Tensor> {
  const stride = ALIGNMENT * Math.ceil(sizeLimit(size) / ALIGNMENT);
  const whole = make([names.length, stride]);
  const views = names.map((name, i) =>
    [
      name,
      whole.view([size], { elementOffset: i * stride, name: `${whole.name}.${name}` }),
    ] as const
  );
  return Object.fromEntries(views) as Record<K, Tensor>;
}

/**
 * What is bound for tensors that are views of one, and where each begins in it.
 *
 * @param operation Who asks, for the message.
 * @param views The tensors by their names.
 * @throws {RangeError} If they are not views of one tensor.
 */
export function boundTogether<K extends string>(
  operation: string,
  views: Readonly<Record<K, Tensor>>,
): { whole: Tensor; at: Readonly<Record<K, number>> } {
  const entries = Object.entries(views) as [K, Tensor][];
  const whole = entries[0]![1].root;
  if (entries.some(([, { root }]) => root !== whole)) {
    throw new RangeError(
      `${operation} needs ${entries.map(([name]) => name).join(", ")} as views of one tensor: ` +
        "make them with sideBySide()",
    );
  }
  const at = entries.map(([name, { rootOffset }]) => [name, rootOffset / 4]);
  return { whole, at: Object.fromEntries(at) };
}
