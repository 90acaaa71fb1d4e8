/**
 * Causal attention over packed segments that share their prompt.
 *
 * @module
 */

import commonCode from "../../kernels/attention.wgsl" with { type: "text" };
import backwardKeyCode from "../../kernels/attention/backward_key.wgsl" with { type: "text" };
import backwardQueryCode from "../../kernels/attention/backward_query.wgsl" with { type: "text" };
import directCode from "../../kernels/attention/direct.wgsl" with { type: "text" };
import forwardCode from "../../kernels/attention/forward.wgsl" with { type: "text" };
import shuffleCode from "../../kernels/attention/shuffle.wgsl" with { type: "text" };
import segmentsCode from "../../kernels/attention/segments.wgsl" with { type: "text" };
import slopesCode from "../../kernels/attention/slopes.wgsl" with { type: "text" };
import tiledCode from "../../kernels/attention/tiled.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { choose } from "./choices.ts";
import { type PackedLayout, SEGMENT_STRIDE } from "./packed_layout.ts";
import { checkHeads, type HeadLayout, ropeFrequencies, rotate } from "./rope.ts";
import type { Rotation } from "./rotation.ts";
import { roundColumns } from "./to_half.ts";
import { type Choices, link } from "./wgsl.ts";

/** How a head is read: numbers to a load, loads to a head, and the constants and choices of kernels that follow from it. */
export interface HeadRead {
  /** Numbers that a load brings. */
  readonly pack: 8 | 4;
  /** Loads to a head. */
  readonly count: number;
  /** What decides between the files that `pack` is in, and what `each` visits. */
  readonly choices: Choices;
}

/**
 * The ways to read heads on a device, the built-in choice first.
 *
 * @param gpu The device.
 * @param headDim Head size D.
 */
export function headReads(gpu: Gpu, headDim: number): readonly HeadRead[] {
  return gpu.traits.loads.filter((pack) => headDim % pack === 0).map((pack) => {
    const count = headDim / pack;
    return { pack, count, choices: { pack, packs: count } };
  });
}

/** The passes by their entry points. */
const PASSES = {
  forward: forwardCode,
  backward_query: backwardQueryCode,
  backward_key: backwardKeyCode,
};

/** Files beside the passes' of which the linker takes what is needed. */
const OWN = [commonCode, segmentsCode, slopesCode, shuffleCode, directCode];

/** A kernel of attention: how lanes come by rows that all of them need, and how heads are read. */
interface AttentionKernel {
  readonly name: string;
  readonly passing: "shuffle" | "direct";
  readonly read: HeadRead;
  /** Keys that the forward pass has in workgroup memory at a time. Default: it is like the others. */
  readonly tiledKeys?: 32 | 16;
}

/** Workgroup memory of the tiled forward pass, bytes. */
function tiledBytes(tile: number, headDim: number, keys: number): number {
  return 4 * ((tile + keys) * (headDim + 4) + tile * (keys + 1) + tile);
}

/** The kernel whose forward pass has keys in workgroup memory, as many as there is room for. */
function tiledKernel({ traits }: Gpu, headDim: number, read: HeadRead): AttentionKernel[] {
  const { attentionTile, workgroupBytes } = traits;
  const keys = ([32, 16] as const).find((keys) =>
    tiledBytes(attentionTile, headDim, keys) <= workgroupBytes
  );
  if (traits.narrow || keys === undefined) return [];
  return [{ name: `tiled_${read.pack}`, passing: "direct", read, tiledKeys: keys }];
}

/** The kernels of attention on a device, the built-in choice first. */
function kernelsFor(gpu: Gpu, headDim: number): readonly AttentionKernel[] {
  const reads = headReads(gpu, headDim);
  const kernels = (passing: AttentionKernel["passing"], reads: readonly HeadRead[]) =>
    reads.map((read) => ({ name: `${passing}_${read.pack}`, passing, read }));
  const fours = reads.filter(({ pack }) => pack === 4);
  const direct = [
    ...kernels("direct", fours),
    ...fours.flatMap((read) => tiledKernel(gpu, headDim, read)),
  ];
  // Of a tile that is not a subgroup, lanes cannot pass anything to each other.
  if (!gpu.traits.subgroups) return direct;
  const shuffles = kernels("shuffle", reads);
  return gpu.traits.shuffles ? [...shuffles, ...direct] : [...direct, ...shuffles];
}

/** Turns of the tiled forward pass: bringing rows, scores, probabilities and sums of each block of keys. */
function tiledTurns(tokens: number, keys: number, packs: number, tile: number): number {
  const brought = Math.ceil(keys * packs / (2 * tile));
  return Math.ceil(packs / 2) + Math.ceil(tokens / keys) * (1 + 2 * brought + packs + 6 * keys);
}

/** Options of {@linkcode attention}. */
export interface AttentionOptions extends HeadLayout {
  /**
   * How queries and keys are rotated by their positions first, in place; gradients are those of `qkv` before. Default:
   * they stay as they are.
   */
  rotation?: Rotation | undefined;
  /**
   * Round keys and values to this first, in place, so that they are those that a cache of it holds. Gradients pass as if
   * nothing had been rounded. Default `"f32"`: they stay as they are.
   */
  cacheDtype?: "f32" | "f16" | "bf16";
  /** Name of the output below the current scope. Default `"attention"`. */
  name?: string;
}

const NAMES = namesOf<AttentionOptions>({
  heads: true,
  keyValueHeads: true,
  headDim: true,
  rotation: true,
  cacheDtype: true,
  name: true,
});

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
): Tensor<"f32"> {
  checkNames("attention", options, NAMES);
  const { heads, keyValueHeads, headDim, rotation, name = "attention" } = options;
  const { segments, tiles, tileCount, pairs } = layout;
  checkHeads("attention", qkv, options);
  if (segments.dtype !== "u32" || segments.capacity % SEGMENT_STRIDE !== 0) {
    throw new RangeError(
      `attention needs segments (S, ${SEGMENT_STRIDE}) u32: got ${formatShape(segments.shape)} ` +
        `${segments.dtype}`,
    );
  }
  if (tiles.dtype !== "u32" || tiles.capacity < 2 * tileCount.capacity) {
    throw new RangeError(
      `attention needs tiles (N, 2) u32 for N = ${tileCount.capacity}: got ` +
        `${formatShape(tiles.shape)} ${tiles.dtype}`,
    );
  }
  const tokens: Size = qkv.shape[0]!;
  const { gpu } = plan;
  const key = { operation: "attention", heads, keyValueHeads, headDim, dtype: "f32" } as const;
  const { passing, read, tiledKeys } = choose(gpu, key, kernelsFor(gpu, headDim));
  const tile = gpu.traits.attentionTile;
  const blockRows = passing === "shuffle" && gpu.traits.lanes > 4 ? 8 : 4;
  const blocks = Math.ceil(sizeLimit(tokens) / blockRows);
  const kernel = (entryPoint: keyof typeof PASSES, constants: Record<string, boolean> = {}) =>
    gpu.kernel(link(
      {
        name: "attention",
        code: PASSES[entryPoint],
        entryPoint,
        constants: { TILE: tile, BLOCK: blockRows, ...constants },
      },
      { ...read.choices, passing },
      OWN,
    ));
  const tiled = (keys: number) =>
    gpu.kernel(link(
      {
        name: "attention/tiled",
        code: tiledCode,
        entryPoint: "forward",
        constants: { TILE: tile, GROUPS: tile / 4, KEYS: keys, HEAD_PACKS: read.count },
      },
      read.choices,
      OWN,
    ));
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
  const { cacheDtype = "f32" } = options;
  if (cacheDtype !== "f32") {
    const cached = { first: width, width: 2 * keyWidth };
    roundColumns(plan, qkv, cached, { name: `${name}.round`, dtype: cacheDtype });
  }
  // Each product of a query and a key, or of a weight and a value, over all heads; the rows read and written.
  const cost = (products: number, rowBytes: number) => ({
    flops: () => 2 * products * pairs.value * width,
    bytes: () => sizeNow(tokens) * rowBytes,
  });
  const out = plan.empty([tokens, width], name);
  const stats = plan.empty([tokens, heads, 2], `${name}.stats`);
  plan.dispatch({
    kernel: tiledKeys ? tiled(tiledKeys) : kernel("forward"),
    label: `${name}.forward`,
    bindings: { ...table, qkv, out, stats },
    params,
    turns: tiledKeys ? tiledTurns(sizeLimit(tokens), tiledKeys, read.count, tile) : blocks,
    workgroups: () => tileCount.value * heads,
    cost: cost(2, 4 * (2 * width + 2 * keyWidth)),
  });

  plan.onBackward([qkv], [out], () => {
    const dout = plan.gradientOf(out);
    if (!dout) throw new TypeError(`${plan.path(name)}: the output is not used`);
    plan.intoGradient(qkv, (dqkv, accumulate) => {
      const backwardParams = { ...params, accumulate: accumulate ? 1 : 0 };
      const rotated = { ROTATED: rotation !== undefined };
      // Without a rotation there are no frequencies to read; any other input may stand there.
      const frequencies = rotation ? ropeFrequencies(gpu, headDim, rotation) : qkv;
      const inputs = { ...table, frequencies, qkv, dout };
      plan.dispatch({
        kernel: kernel("backward_query", rotated),
        label: `${name}.backward_query`,
        bindings: { ...inputs, saved_out: out, stats, dqkv },
        params: backwardParams,
        turns: blocks,
        workgroups: () => tileCount.value * heads,
        cost: cost(3, 4 * (4 * width + 2 * keyWidth)),
      });
      plan.dispatch({
        kernel: kernel("backward_key", rotated),
        label: `${name}.backward_key`,
        bindings: { ...inputs, saved_stats: stats, dqkv },
        params: backwardParams,
        turns: blocks * heads / keyValueHeads,
        workgroups: () => tileCount.value * keyValueHeads,
        cost: cost(4, 4 * (2 * width + 4 * keyWidth)),
      });
    });
  });
  return out;
}
