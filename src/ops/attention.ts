/**
 * Causal attention over packed segments that share their prompt.
 *
 * @module
 */

import commonCode from "../../kernels/attention.wgsl" with { type: "text" };
import backwardKeyCode from "../../kernels/attention/backward_key.wgsl" with { type: "text" };
import backwardQueryCode from "../../kernels/attention/backward_query.wgsl" with { type: "text" };
import block from "../../kernels/attention/block.wgsl" with { type: "text" };
import directCode from "../../kernels/attention/direct.wgsl" with { type: "text" };
import each from "../../kernels/attention/each.wgsl" with { type: "text" };
import each4 from "../../kernels/attention/each_4.wgsl" with { type: "text" };
import each16 from "../../kernels/attention/each_16.wgsl" with { type: "text" };
import each32 from "../../kernels/attention/each_32.wgsl" with { type: "text" };
import forwardCode from "../../kernels/attention/forward.wgsl" with { type: "text" };
import rowsOf from "../../kernels/attention/rows_of.wgsl" with { type: "text" };
import shuffleCode from "../../kernels/attention/shuffle.wgsl" with { type: "text" };
import slopesCode from "../../kernels/attention/slopes.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { type PackedLayout, SEGMENT_STRIDE } from "./packed_layout.ts";
import { type PieceKind, PIECES, widestPieces } from "./prelude.ts";
import { checkHeads, type HeadLayout, ropeFrequencies, rotate, rotatePiecesCode } from "./rope.ts";
import type { Rotation } from "./rotation.ts";
import { roundColumns } from "./to_half.ts";

/**
 * The pieces that a head may be read in on a device, the built-in choice first.
 *
 * @param gpu The device.
 * @param headDim Head size D.
 */
export function pieceKinds(gpu: Gpu, headDim: number): readonly PieceKind[] {
  const best = widestPieces(gpu, headDim).name;
  const others: PieceKind[] = gpu.traits.loads.includes(8) && headDim % 8 === 0
    ? ["u64", "f32"]
    : ["f32"];
  return [best, ...others.filter((kind) => kind !== best)];
}

/**
 * How kernels read a head and keep it in registers.
 *
 * @param headDim Head size D.
 * @param kind What it is read in.
 * @returns `HEAD_PIECES`, and the WGSL of `Piece`, `each` and what goes with them.
 */
export function headPieces(headDim: number, kind: PieceKind): { count: number; code: string } {
  const pieces = PIECES[kind];
  const count = headDim / pieces.size;
  const calls = count <= 4 ? each4 : count <= 16 ? each16 : each32;
  return { count, code: [pieces.code, each, calls, block].join("\n") };
}

/** The part of the name of an operation that decides between its kernels: `4/2x16` for H / J x D. */
export function headsName({ heads, keyValueHeads, headDim }: HeadLayout): string {
  return `${heads}/${keyValueHeads}x${headDim}`;
}

/** WGSL of `rows_of`, which passes rows between lanes. */
export const rowsOfCode: string = rowsOf;

/** The passes by their entry points. */
const PASSES = {
  forward: forwardCode,
  backward_query: `${backwardQueryCode}\n${slopesCode}\n${rotatePiecesCode}`,
  backward_key: `${backwardKeyCode}\n${slopesCode}\n${rotatePiecesCode}`,
};

/**
 * The kernels of attention on a device, the built-in choice first: how lanes come by rows that all of them need, and what
 * heads are read in.
 */
function variantsOf(gpu: Gpu, headDim: number): readonly string[] {
  const direct = "direct_f32";
  // Of a tile that is not a subgroup, lanes cannot pass anything to each other.
  if (!gpu.traits.subgroups) return [direct];
  const shuffles = pieceKinds(gpu, headDim).map((kind) => `shuffle_${kind}`);
  return gpu.traits.shuffles ? [...shuffles, direct] : [direct, ...shuffles];
}

/** Options of {@linkcode attention}. */
export interface AttentionOptions extends HeadLayout {
  /**
   * How queries and keys are rotated by their positions first, in place; gradients are those of `qkv` before. Default:
   * they stay as they are.
   */
  rotation?: Rotation | undefined;
  /**
   * Round keys and values to f16 first, in place, so that they are those that a cache in f16 holds. Gradients pass as if
   * nothing had been rounded. Default `false`.
   */
  rounded?: boolean;
  /** Name of the output below the current scope. Default `"attention"`. */
  name?: string;
}

/**
 * Grouped-query attention: `softmax(q k^T / sqrt(D)) v` per head, over the keys each token may see.
 *
 * Token i of a segment sees the prompt that the segment continues, and its own segment up to itself. Query head h reads
 * key/value head `floor(h J / H)`. Scores are never stored, and the work follows the real lengths.
 *
 * @param plan Where to record.
 * @param qkv (T, (H + 2J) D): queries, keys, values; overwritten if they are rotated or rounded.
 * @param layout Segments, positions, and tiles of {@linkcode DeviceTraits.attentionTile} tokens.
 * @param options Heads and rotation.
 * @returns (T, H D).
 * @throws {RangeError} If the shapes do not fit.
 * @see {@link https://arxiv.org/abs/2307.08691}
 */
export function attention(
  plan: Plan,
  qkv: Tensor,
  layout: PackedLayout,
  options: AttentionOptions,
): Tensor {
  const { heads, keyValueHeads, headDim, rotation, name = "attention" } = options;
  const { segments, tiles, tileCount, pairs } = layout;
  checkHeads("attention", qkv, options);
  if (segments.dtype !== "u32" || segments.capacity % SEGMENT_STRIDE !== 0) {
    throw new RangeError(
      `attention needs segments (S, ${SEGMENT_STRIDE}) u32: got ${
        formatShape(segments.shape)
      } ${segments.dtype}`,
    );
  }
  if (tiles.dtype !== "u32" || tiles.capacity < 2 * tileCount.capacity) {
    throw new RangeError(
      `attention needs tiles (N, 2) u32 for N = ${tileCount.capacity}: got ${
        formatShape(tiles.shape)
      } ${tiles.dtype}`,
    );
  }
  const tokens: Size = qkv.shape[0]!;
  const { gpu } = plan;
  const variant = gpu.choose(`attention ${headsName(options)}`, variantsOf(gpu, headDim));
  const [how, kind] = variant.split("_") as [string, PieceKind];
  const passes = how === "shuffle";
  const pieces = headPieces(headDim, kind);
  const lanes = passes ? `${shuffleCode}\n${rowsOfCode}` : directCode;
  const kernel = (entryPoint: keyof typeof PASSES, constants: Record<string, boolean> = {}) =>
    gpu.kernel({
      name: `attention/${variant}`,
      code: [PASSES[entryPoint], commonCode, pieces.code, lanes].join("\n"),
      entryPoint,
      constants: {
        TILE: gpu.traits.attentionTile,
        BLOCK: passes && gpu.traits.lanes > 4 ? 8 : 4,
        HEAD_PIECES: pieces.count,
        ...constants,
      },
    });
  const table = { segments, tiles };
  const params = {
    tiles: tileCount,
    heads,
    key_heads: keyValueHeads,
    scale: 1 / Math.sqrt(headDim),
    accumulate: 0,
  };
  if (rotation) rotate(plan, qkv, layout.positions, { ...options, rotation, name: "rope" });
  const width = heads * headDim;
  const keyWidth = keyValueHeads * headDim;
  if (options.rounded) {
    roundColumns(plan, qkv, { first: width, width: 2 * keyWidth }, { name: `${name}.round` });
  }
  // Each product of a query and a key, or of a weight and a value, over all heads; the rows read and written.
  const cost = (products: number, rowBytes: number) => ({
    flops: () => 2 * products * pairs.value * width,
    bytes: () => sizeNow(tokens) * rowBytes,
  });
  const out = plan.empty([tokens, width], name);
  const lse = plan.empty([tokens, heads], `${name}.lse`);
  plan.dispatch({
    kernel: kernel("forward"),
    label: `${name}.forward`,
    bindings: { ...table, qkv, out, lse },
    params,
    workgroups: () => tileCount.value * heads,
    cost: cost(2, 4 * (2 * width + 2 * keyWidth)),
  });

  plan.onBackward([qkv], [out], () => {
    const dout = plan.gradientOf(out);
    if (!dout) throw new TypeError(`${plan.path(name)}: the output is not used`);
    const rowDot = plan.empty([tokens, heads], `${name}.row_dot`);
    plan.intoGradient(qkv, (dqkv, accumulate) => {
      const backwardParams = { ...params, accumulate: accumulate ? 1 : 0 };
      const rotated = { ROTATED: rotation !== undefined };
      // Without a rotation there are no frequencies to read; any other input may stand there.
      const frequencies = rotation ? ropeFrequencies(gpu, headDim, rotation) : qkv;
      const inputs = { ...table, frequencies, qkv, saved_lse: lse, dout };
      plan.dispatch({
        kernel: kernel("backward_query", rotated),
        label: `${name}.backward_query`,
        bindings: { ...inputs, saved_out: out, row_dot: rowDot, dqkv },
        params: backwardParams,
        workgroups: () => tileCount.value * heads,
        cost: cost(3, 4 * (4 * width + 2 * keyWidth)),
      });
      plan.dispatch({
        kernel: kernel("backward_key", rotated),
        label: `${name}.backward_key`,
        bindings: { ...inputs, saved_row_dot: rowDot, dqkv },
        params: backwardParams,
        workgroups: () => tileCount.value * keyValueHeads,
        cost: cost(4, 4 * (2 * width + 4 * keyWidth)),
      });
    });
  });
  return out;
}
