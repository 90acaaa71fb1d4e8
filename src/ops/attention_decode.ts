/**
 * Attention of one new token per sequence over a shared prompt and a growing cache.
 *
 * @module
 */

import commonCode from "../../kernels/attention_decode.wgsl" with { type: "text" };
import keysCode from "../../kernels/attention_decode/keys.wgsl" with { type: "text" };
import rowsCode from "../../kernels/attention_decode/rows.wgsl" with { type: "text" };
import sharedCode from "../../kernels/attention_decode/shared.wgsl" with { type: "text" };
import subgroupCode from "../../kernels/attention_decode/subgroup.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { headReads } from "./attention.ts";
import { choose } from "./choices.ts";
import { teamKernel } from "./readers.ts";
import { boundTogether } from "./side_by_side.ts";
import { checkHeads, type HeadLayout, ropeFrequencies } from "./rope.ts";
import type { Rotation } from "./rotation.ts";
import { storedAs } from "./wgsl.ts";

/** Registers of four numbers that a lane may use for queries: query heads share a pass over the keys up to here. */
const QUERY_VECS = 16;

/** The most query heads that share a pass over the keys. */
const MAX_SHARE = 4;

/** What the lanes of a workgroup share out: rows, which needs subgroups of one size, or the keys of one row. */
const BY_ROWS = { name: "rows", code: rowsCode };
const BY_KEYS = { name: "keys", code: keysCode };

/** What {@linkcode attentionDecode} reads and the cache it grows. */
export interface AttentionDecodeInputs {
  /** (A, (H + 2J) D): queries, keys and values of the new tokens, before the rotary embedding. */
  qkv: Tensor;
  /** (A) u32: sequence b of each row, each at most once. */
  slots: Tensor;
  /** (P, (H + 2J) D) or, without the queries, (P, 2J D): the prompts' rows, after the rotary embedding. */
  prompts: Tensor;
  /** (B, 2) u32: first and one past the last row of each sequence's prompt. */
  promptRanges: Tensor;
  /** (B, J, M, 2, D): each key of the responses before its value, grown in place; f32, f16 or bf16, as the prompts are. */
  cache: Tensor;
  /** (B) u32: tokens of each response, the new one included. A view of one tensor with `finished`. */
  lengths: Tensor;
  /** (B) u32: rows of sequences that are not 0 here are left alone. */
  finished: Tensor;
}

/** Options of {@linkcode attentionDecode}. */
export interface AttentionDecodeOptions extends HeadLayout {
  /** How new queries and keys are rotated by their positions. Default: they stay as they are. */
  rotation?: Rotation | undefined;
  /** Keys that the rows attend to, summed over the rows: for profiles, which say nothing of arithmetic without. */
  attended?: () => number;
  /** Name of the output below the current scope. Default `"attention"`. */
  name?: string;
}

const NAMES = namesOf<AttentionDecodeOptions>({
  heads: true,
  keyValueHeads: true,
  headDim: true,
  rotation: true,
  attended: true,
  name: true,
});

/**
 * One step of decoding: rotates the new tokens' queries and keys, appends keys and values to the cache, and attends.
 *
 * Row a is token t = lengths[b] - 1 of sequence b = slots[a], at position prompt + t. It attends to b's prompt, to
 * `cache[b, :, 0 … t - 1]` and to itself, and fills `cache[b, :, t]`.
 *
 * @param plan Where to record.
 * @param inputs Rows, prompts and cache.
 * @param options Heads and rotation.
 * @returns (A, H D); rows of finished sequences are not written.
 * @throws {RangeError} If the shapes do not fit.
 */
export function attentionDecode(
  plan: Plan,
  inputs: AttentionDecodeInputs,
  options: AttentionDecodeOptions,
): Tensor<"f32"> {
  checkNames("attentionDecode", options, NAMES);
  const { qkv, slots, prompts, promptRanges, cache, lengths, finished } = inputs;
  const { heads, keyValueHeads, headDim, rotation, attended, name = "attention" } = options;
  checkHeads("attentionDecode", qkv, options);
  const keys = promptColumns(prompts, options);
  const rows: Size = qkv.shape[0]!;
  const [sequences, ...history] = cache.shape.map(sizeLimit);
  const [, maxLength] = history;
  if (history.length !== 4 || `${history}` !== `${[keyValueHeads, maxLength, 2, headDim]}`) {
    throw new RangeError(
      `attentionDecode needs a cache (B, J, M, 2, D) with J = ${keyValueHeads} and D = ${headDim}: ` +
        `got ${formatShape(cache.shape)}`,
    );
  }
  const dtype = storedAs(cache);
  if (cache.dtype !== prompts.dtype || cache.dtype !== dtype) {
    throw new RangeError(
      `attentionDecode needs prompts and cache both in f32, both in f16 or both in bf16: got ${prompts.dtype} and ` +
        cache.dtype,
    );
  }
  const wanted: [string, Tensor, number][] = [
    ["slots (A)", slots, sizeLimit(rows)],
    ["promptRanges (B, 2)", promptRanges, 2 * sequences!],
    ["lengths (B)", lengths, sequences!],
    ["finished (B)", finished, sequences!],
  ];
  for (const [label, tensor, elements] of wanted) {
    if (tensor.dtype !== "u32" || tensor.capacity < elements) {
      throw new RangeError(
        `attentionDecode needs ${label} u32 of ${elements} elements: got ${
          formatShape(tensor.shape)
        } ${tensor.dtype}`,
      );
    }
  }

  const group = heads / keyValueHeads;
  let share = Math.max(1, Math.min(group, MAX_SHARE, Math.floor(QUERY_VECS * 4 / headDim)));
  while (group % share !== 0) share--;
  const { gpu } = plan;
  const { subgroups, shuffles, lanes, turns } = gpu.traits;
  const promptRows = sizeLimit(prompts.shape[0]!);
  // A lane with a row of its own walks over its response by itself, and with the others over all their prompts.
  const rowTurns = Math.ceil(promptRows / Math.min(lanes, 8)) + 2 * lanes + maxLength!;
  const keyTurns = Math.ceil(promptRows / lanes) + Math.ceil(maxLength! / lanes) + headDim;
  const ways = !subgroups || rowTurns > turns
    ? [BY_KEYS]
    : shuffles
    ? [BY_ROWS, BY_KEYS]
    : [BY_KEYS, BY_ROWS];
  const key = { operation: "attention_decode", heads, keyValueHeads, headDim, dtype } as const;
  const kernels = headReads(gpu, headDim).flatMap((read) =>
    ways.map((way) => ({ name: `${way.name}_${read.pack}`, way, read }))
  );
  const { way, read } = choose(gpu, key, kernels);
  const progress = boundTogether("attentionDecode", { lengths, finished });
  const workgroupRows = way === BY_ROWS ? lanes : 1;
  const out = plan.empty([rows, heads * headDim], name);
  plan.dispatch({
    kernel: teamKernel(
      gpu,
      {
        name: `attention_decode/${way.name}`,
        code: way.code,
        entryPoint: "decode",
        constants: { SHARE: share },
      },
      { ...read.choices, stored: dtype },
      { own: [commonCode, sharedCode, subgroupCode] },
    ),
    label: `${name}.decode`,
    bindings: {
      qkv,
      slots,
      prompts,
      prompt_ranges: promptRanges,
      progress: progress.whole,
      frequencies: ropeFrequencies(plan.gpu, headDim, rotation),
      cache,
      out,
    },
    params: {
      rows,
      heads,
      key_heads: keyValueHeads,
      max_length: maxLength!,
      prompt_row: keys.row / headDim * read.count,
      prompt_keys: keys.first / headDim * read.count,
      scale: 1 / Math.sqrt(headDim),
      lengths_at: progress.at.lengths,
      finished_at: progress.at.finished,
    },
    turns: way === BY_ROWS ? rowTurns : keyTurns,
    workgroups: () => Math.ceil(sizeNow(rows) / workgroupRows) * heads / share,
    ...attended && {
      cost: {
        flops: () => 4 * attended() * heads * headDim,
        bytes: () =>
          8 * (attended() * keyValueHeads + sizeNow(rows) * (heads + keyValueHeads)) * headDim,
      },
    },
  });
  return out;
}

/** Numbers in a row of prompts, and before its keys. */
function promptColumns(prompts: Tensor, options: HeadLayout): { row: number; first: number } {
  const { heads, keyValueHeads, headDim } = options;
  const row = sizeLimit(prompts.shape.at(-1) ?? 0);
  if (prompts.shape.length === 2 && row === 2 * keyValueHeads * headDim) return { row, first: 0 };
  checkHeads("attentionDecode", prompts, options);
  return { row, first: heads * headDim };
}
