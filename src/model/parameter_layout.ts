/**
 * Where a policy's parameters lie in one flat buffer.
 *
 * @module
 */

import { parameterShapes, type PolicyConfig } from "./config.ts";
import { CUT_STEP } from "../ops/flat_ranges.ts";
import type { ParameterRange } from "./parameter_range.ts";
import type { StoredDType } from "./policy_weights.ts";

/** Norms and biases begin at multiples of this many elements, because bindings begin at multiples of 256 bytes. */
const ALIGNMENT: Readonly<Record<StoredDType, number>> = { f32: 64, f16: 128, bf16: 128 };

/** Rows of an embedding or head that may begin a buffer: ranges of vocabulary begin at multiples of it. */
const ROW_STEP = 128;

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

/**
 * Where parameters go on in another buffer: before a matrix, or within an embedding or head that is too large for one, at
 * multiples of one number of rows. Everything laid out like them is cut alike.
 *
 * @param layout Their places.
 * @param limits Bytes of the largest buffer and of the largest that can be bound.
 * @returns Elements; none where all fits into one.
 */
export function cutsOf(
  { blocks, length }: ParameterLayout,
  limits: { readonly buffer: number; readonly bound: number },
): number[] {
  if (4 * length <= limits.buffer) return [];
  const most = Math.floor(limits.bound / 4);
  const cuts: number[] = [];
  let begin = 0;
  for (const [name, { offset, shape: [rows, columns] }] of blocks) {
    if (columns === undefined || offset + rows! * columns - begin <= most) continue;
    if (offset > begin) cuts.push(begin = offset);
    if (!isByToken(name) || rows! * columns <= most) continue;
    const step = rowStep(columns);
    const pieces = Math.ceil(rows! / (step * Math.max(1, Math.floor(most / columns / step))));
    const height = step * Math.ceil(rows! / pieces / step);
    for (let row = height; row < rows!; row += height) cuts.push(begin = offset + row * columns);
  }
  return cuts;
}

/** Whether a matrix has a row for each token: an embedding or a head, which are used in ranges of rows. */
export function isByToken(name: string): boolean {
  return /^(model\.embed_tokens|lm_head)\.weight$/.test(name);
}

/** Rows of an embedding or head, some of which may begin a buffer at a multiple of `CUT_STEP` elements. */
function rowStep(columns: number): number {
  let step = ROW_STEP;
  while (step * columns % CUT_STEP !== 0) step *= 2;
  return step;
}

/** Lays out the parameters of a configuration, norms and biases first; the same for every device. */
export function layoutParameters(config: PolicyConfig, dtype: StoredDType): ParameterLayout {
  let alignment = ALIGNMENT[dtype];
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
  alignment = CUT_STEP;
  placeAll(names);
  return { ranges, blocks, vectors, length: Math.ceil(length / 128) * 128 };
}
