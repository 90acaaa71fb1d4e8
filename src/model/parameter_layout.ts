/**
 * Where a policy's parameters lie in one flat buffer.
 *
 * @module
 */

import { parameterShapes, type PolicyConfig } from "./config.ts";
import type { ParameterRange } from "./parameter_range.ts";
import type { StoredDType } from "./policy_weights.ts";

/** Blocks begin at multiples of this many elements, because bindings begin at multiples of 256 bytes. */
const ALIGNMENT: Readonly<Record<StoredDType, number>> = { f32: 64, f16: 128 };

/** Sub-paths that lie next to each other in memory, in this order. */
const FUSED: readonly (readonly string[])[] = [
  ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"],
  ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"],
  ["self_attn.q_norm.weight", "self_attn.k_norm.weight"],
  ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
];

/** Places of all parameters. */
export interface ParameterLayout {
  /** By Hugging Face name. */
  readonly ranges: ReadonlyMap<string, ParameterRange>;
  /** What is bound as one tensor, by the name of its first parameter: first element and shape. */
  readonly blocks: ReadonlyMap<string, { readonly offset: number; readonly shape: number[] }>;
  /** Elements from the start that hold all norms and biases. */
  readonly vectors: number;
  /** Elements of all. */
  readonly length: number;
}

/** Lays out the parameters of a configuration, norms and biases first. */
export function layoutParameters(config: PolicyConfig, dtype: StoredDType): ParameterLayout {
  const alignment = ALIGNMENT[dtype];
  const shapes = new Map(parameterShapes(config).map(({ name, shape }) => [name, shape]));
  const ranges = new Map<string, ParameterRange>();
  let length = 0;
  const place = (names: readonly string[]): { offset: number; shape: number[] } => {
    const offset = Math.ceil(length / alignment) * alignment;
    length = offset;
    let rows = 0;
    for (const name of names) {
      const shape = shapes.get(name)!;
      const size = shape.reduce((n, s) => n * s, 1);
      ranges.set(name, { shape, offset: length, length: size });
      length += size;
      rows += shape[0]!;
    }
    return { offset, shape: [rows, ...shapes.get(names[0]!)!.slice(1)] };
  };
  const blocks = new Map<string, { offset: number; shape: number[] }>();
  const placeAll = (names: Iterable<string>) => {
    for (const name of names) {
      if (ranges.has(name)) continue;
      const prefix = /^model\.layers\.\d+\./.exec(name)?.[0] ?? "";
      const fused = FUSED.find((list) => list[0] === name.slice(prefix.length));
      blocks.set(name, place(fused ? fused.map((part) => prefix + part) : [name]));
    }
    return Math.ceil(length / alignment) * alignment;
  };
  // What stays in f32 lies together.
  const names = [...shapes.keys()];
  const vectors = placeAll(names.filter((name) => shapes.get(name)!.length === 1));
  return { ranges, blocks, vectors, length: placeAll(names) };
}
