/**
 * Rotary position embedding (RoPE), in place: what attention has of it.
 *
 * @module
 */

import code from "../../kernels/rope.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { type Rotation, rotationAngles } from "./rotation.ts";
import { link } from "./wgsl.ts";

const LANES = 64;

/** How a row of queries, keys and values is divided into heads: H query heads, then J key heads, then J value heads. */
export interface HeadLayout {
  /** Query heads H, a multiple of `keyValueHeads`. */
  heads: number;
  /** Key/value heads J. */
  keyValueHeads: number;
  /** Head size D, a multiple of 4. */
  headDim: number;
}

/** Options of {@linkcode rope}. */
export interface RopeOptions extends HeadLayout {
  /** How far each position turns. */
  rotation: Rotation;
  /** Name of the output below the current scope. Default `"rope"`. */
  name?: string;
}

const tables = new WeakMap<Gpu, Map<string, Tensor>>();

/**
 * The angle each dimension turns per position, in turns of 2^-32; see `lib/turn.wgsl`.
 *
 * Made once per device, head size and rotation.
 *
 * @param headDim Head size D.
 * @param rotation Base and scaling; without, nothing turns.
 * @returns (D) u32; the second half repeats the first.
 * @throws {RangeError} If theta is not above 1.
 */
export function ropeFrequencies(gpu: Gpu, headDim: number, rotation?: Rotation): Tensor {
  let known = tables.get(gpu);
  if (!known) tables.set(gpu, known = new Map());
  const key = JSON.stringify([headDim, rotation]);
  let table = known.get(key);
  if (!table) {
    const angles = rotation ? rotationAngles(headDim, rotation) : new Float64Array(headDim / 2);
    const turns = [...angles].map((angle) => Math.round(angle / (2 * Math.PI) * 2 ** 32));
    const data = Uint32Array.from([...turns, ...turns]);
    table = gpu.tensor([headDim], { data, dtype: "u32", name: `rope.frequencies.${key}` });
    known.set(key, table);
  }
  return table;
}

/**
 * Checks that a tensor holds rows of `(H + 2J) D` numbers.
 *
 * @param op Name of the caller, for the message.
 * @param layout Its heads.
 * @throws {RangeError} If the shape or the numbers of heads do not fit.
 */
export function checkHeads(op: string, qkv: Tensor, layout: HeadLayout): void {
  const { heads, keyValueHeads, headDim } = layout;
  if (headDim % 4 !== 0 || headDim < 4 || headDim > 128) {
    throw new RangeError(
      `${op} needs headDim to be a multiple of 4 from 4 to 128: current value is ${headDim}`,
    );
  }
  if (!(keyValueHeads >= 1) || heads < 1 || heads % keyValueHeads !== 0) {
    throw new RangeError(
      `${op} needs heads to be a multiple of keyValueHeads: current values are ${heads} and ${keyValueHeads}`,
    );
  }
  const width = (heads + 2 * keyValueHeads) * headDim;
  if (qkv.shape.length !== 2 || sizeLimit(qkv.shape[1]!) !== width) {
    throw new RangeError(
      `${op} needs qkv (T, (H + 2J) D) = (T, ${width}): got ${formatShape(qkv.shape)}`,
    );
  }
}

/**
 * Records the rotation of queries and keys by their positions, in place, and no gradient rule.
 *
 * @param qkv (T, (H + 2J) D), overwritten.
 * @param positions (T) u32.
 * @param options Heads, rotation, and whether to turn backwards.
 * @throws {RangeError} If the shapes do not fit.
 */
export function rotate(
  plan: Plan,
  qkv: Tensor,
  positions: Tensor,
  options: RopeOptions & { inverse?: boolean },
): void {
  const { heads, keyValueHeads, headDim, rotation, name = "rope", inverse = false } = options;
  checkHeads("rope", qkv, options);
  const tokens: Size = qkv.shape[0]!;
  if (positions.dtype !== "u32" || positions.capacity < sizeLimit(tokens)) {
    throw new RangeError(
      `rope needs positions (T) u32 for T = ${sizeLimit(tokens)}: got ` +
        `${formatShape(positions.shape)} ${positions.dtype}`,
    );
  }
  const { gpu } = plan;
  plan.dispatch({
    kernel: gpu.kernel(link({ name: "rope", code, entryPoint: "rotate", constants: { LANES } })),
    label: `${name}.${inverse ? "backward" : "forward"}`,
    bindings: { positions, frequencies: ropeFrequencies(gpu, headDim, rotation), qkv },
    params: {
      tokens,
      heads: heads + keyValueHeads,
      row: (heads + 2 * keyValueHeads) * headDim / 2,
      quarter: headDim / 4,
      inverse: inverse ? 1 : 0,
    },
    turns: heads + keyValueHeads,
    workgroups: () => Math.ceil(sizeNow(tokens) * (headDim / 4) / LANES),
    cost: { bytes: () => sizeNow(tokens) * (heads + keyValueHeads) * headDim * 8 },
  });
}
