/**
 * Rotary position embedding (RoPE), in place.
 *
 * @module
 */

import code from "../../kernels/rope.wgsl" with { type: "text" };
import piecesCode from "../../kernels/rope/pieces.wgsl" with { type: "text" };
import turnCode from "../../kernels/rope/turn.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";

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
  /** Base of the frequencies. */
  theta: number;
  /** Name of the output below the current scope. Default `"rope"`. */
  name?: string;
}

/** WGSL for kernels that read heads in pieces and rotate them on the way. */
export const rotatePiecesCode: string = `${piecesCode}\n${turnCode}`;

const tables = new WeakMap<Gpu, Map<string, Tensor>>();

/**
 * The angle each dimension turns per position: `theta^(-2d/D) / 2 pi` turns for pair d, as 32-bit fractions.
 *
 * Made once per device, head size and theta.
 *
 * @param gpu The device.
 * @param headDim Head size D.
 * @param theta Base of the frequencies.
 * @returns (D) u32; the second half repeats the first.
 * @throws {RangeError} If theta is not above 1: the slowest pair must turn less than once per position.
 */
export function ropeFrequencies(gpu: Gpu, headDim: number, theta: number): Tensor {
  if (!(theta > 1 && Number.isFinite(theta))) {
    throw new RangeError(`theta must be a finite number above 1: current value is ${theta}`);
  }
  let known = tables.get(gpu);
  if (!known) tables.set(gpu, known = new Map());
  const key = `${headDim}/${theta}`;
  let table = known.get(key);
  if (!table) {
    const data = Uint32Array.from(
      { length: headDim },
      (_, i) => {
        const pair = i % (headDim / 2);
        return Math.round(theta ** (-2 * pair / headDim) / (2 * Math.PI) * 2 ** 32);
      },
    );
    table = gpu.tensor([headDim], { data, dtype: "u32", name: `rope.frequencies.${key}` });
    known.set(key, table);
  }
  return table;
}

/**
 * Checks that a tensor holds rows of `(H + 2J) D` numbers.
 *
 * @param op Name of the caller, for the message.
 * @param qkv The tensor.
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
 * @param plan Where to record.
 * @param qkv (T, (H + 2J) D), overwritten.
 * @param positions (T) u32.
 * @param options Heads, theta, and whether to turn backwards.
 * @throws {RangeError} If the shapes do not fit.
 */
export function rotate(
  plan: Plan,
  qkv: Tensor,
  positions: Tensor,
  options: RopeOptions & { inverse?: boolean },
): void {
  const { heads, keyValueHeads, headDim, theta, name = "rope", inverse = false } = options;
  checkHeads("rope", qkv, options);
  const tokens: Size = qkv.shape[0]!;
  if (positions.dtype !== "u32" || positions.capacity < sizeLimit(tokens)) {
    throw new RangeError(
      `rope needs positions (T) u32 for T = ${sizeLimit(tokens)}: got ${
        formatShape(positions.shape)
      } ${positions.dtype}`,
    );
  }
  const { gpu } = plan;
  plan.dispatch({
    kernel: gpu.kernel({
      name: "rope",
      code: `${code}\n${turnCode}`,
      entryPoint: "rotate",
      constants: { LANES },
    }),
    label: `${name}.${inverse ? "backward" : "forward"}`,
    bindings: { positions, frequencies: ropeFrequencies(gpu, headDim, theta), qkv },
    params: {
      tokens,
      heads: heads + keyValueHeads,
      row: (heads + 2 * keyValueHeads) * headDim / 2,
      quarter: headDim / 4,
      inverse: inverse ? 1 : 0,
    },
    workgroups: () => Math.ceil(sizeNow(tokens) * (headDim / 4) / LANES),
    cost: { bytes: () => sizeNow(tokens) * (heads + keyValueHeads) * headDim * 8 },
  });
}

/**
 * Rotates queries and keys by their positions, in place.
 *
 * Dimension d < D/2 of a head is paired with d + D/2 and turned by `position * theta^(-2d/D)`, as in Hugging Face's
 * models. Angles are kept as fractions of a turn, so precision does not suffer at large positions.
 *
 * @param plan Where to record.
 * @param qkv (T, (H + 2J) D), overwritten; the values, its last J heads, stay as they are.
 * @param positions (T) u32.
 * @param options Heads and theta.
 * @returns A view of `qkv` under a name of its own; use it in place of `qkv` afterwards.
 * @throws {RangeError} If the shapes do not fit.
 * @see {@link https://arxiv.org/abs/2104.09864}
 */
export function rope(plan: Plan, qkv: Tensor, positions: Tensor, options: RopeOptions): Tensor {
  const { name = "rope" } = options;
  const rotated = qkv.view(qkv.shape, { name: plan.path(name) });
  rotate(plan, rotated, positions, options);
  plan.onBackward([qkv], [rotated], () => {
    const gradient = plan.gradientOf(rotated);
    if (!gradient) throw new TypeError(`${plan.path(name)}: the rotated output is not used`);
    // A rotation's transpose is its inverse; the gradient of the view becomes that of qkv, in place too.
    rotate(plan, gradient.view(qkv.shape), positions, { ...options, inverse: true });
    plan.shareGradient(qkv, gradient);
  });
  return rotated;
}
