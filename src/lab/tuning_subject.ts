/**
 * One operation on its own, with made-up values, to be run with one kernel or another.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { Dim, type Tensor } from "../gpu/tensor.ts";
import { PackedInputs } from "../model/packed_inputs.ts";
import { attention } from "../ops/attention.ts";
import { attentionDecode } from "../ops/attention_decode.ts";
import { linear, matmul } from "../ops/matmul.ts";
import { type NamedProduct, parseProduct } from "../ops/matmul_choice.ts";
import type { HeadLayout } from "../ops/rope.ts";

/** The batches that attention is measured on. */
export interface Workload {
  /** Tokens of a prompt. */
  readonly promptLength: number;
  /** The most tokens of a completion; lengths are spread from 1 up to here. */
  readonly completionLength: number;
  /** Completions per prompt. */
  readonly numGenerations: number;
  /** Completions at a time. */
  readonly sequences: number;
}

/** An operation recorded on a plan of its own. */
export interface TuningSubject {
  /** The plan. */
  readonly plan: Plan;
  /** What it computes. */
  readonly outputs: readonly Tensor[];
  /** How far outputs of two kernels may differ, relative to the largest element; 0: not in a single bit. */
  readonly tolerance: number;
  /** Sets the sizes that vary to a share of their largest value. */
  fill(share: number): void;
  /** Writes the inputs, once the plan is compiled. */
  upload(): void;
  /** Releases the memory. */
  destroy(): void;
}

/**
 * Sums over the tokens of a batch, and attention, may round differently with each kernel: what a run uses is recorded with
 * it. A product of tokens may not, because a token's outputs would then depend on the size of its batch.
 */
const ROUNDING = 1e-5;

/** Any base of the rotary embedding will do. */
const THETA = 10_000;

/** Tokens that attention is measured on, at most. */
const MAX_TOKENS = 4096;

/**
 * Records an operation with the kernel that `gpu.kernels` says.
 *
 * @param gpu The device.
 * @param operation Its name.
 * @param workload The batches of attention.
 * @throws {RangeError} If there is no operation of this name.
 */
export function tuningSubject(gpu: Gpu, operation: string, workload: Workload): TuningSubject {
  const product = parseProduct(operation);
  if (product) return productSubject(gpu, product);
  const [, kind, ...sizes] =
    /^(attention|attention_decode) (\d+)\/(\d+)x(\d+)( f16)?$/.exec(operation) ??
      [];
  const half = sizes.pop() !== undefined;
  if (kind === undefined || (half && kind === "attention")) {
    throw new RangeError(
      `${JSON.stringify(operation)} names no operation with several kernels: give a name such as ` +
        `"matmul nt ~512x176x64" or "attention 4/2x16"`,
    );
  }
  const [heads, keyValueHeads, headDim] = sizes.map(Number) as [number, number, number];
  const layout = { heads, keyValueHeads, headDim };
  return kind === "attention"
    ? attentionSubject(gpu, layout, workload)
    : decodeSubject(gpu, layout, workload, half ? "f16" : "f32");
}

function productSubject(gpu: Gpu, { layout, sizes, dtype }: NamedProduct): TuningSubject {
  const names = ["M", "N", "K"];
  const dims = sizes.map(({ most, varies }, i) => varies ? new Dim(names[i]!, most) : most);
  const [m, n, k] = dims as [number, number, number];
  const plan = new Plan(gpu, "tune", { gradients: true });
  const [transposeA, transposeB] = [layout[0] === "t", layout[1] === "t"];
  const a = plan.input(transposeA ? [k, m] : [m, k], "a");
  const b = plan.input(transposeB ? [n, k] : [k, n], "b", dtype);
  // A product with halves that are not transposed is only ever the gradient of a linear layer's input.
  const isGradient = dtype === "f16" && !transposeB;
  const out = plan.keep(
    isGradient ? inputGradient(plan, a, b) : matmul(plan, a, b, { transposeA, transposeB }),
  );
  return {
    plan,
    outputs: [out],
    tolerance: layout === "tn" ? ROUNDING : 0,
    fill: (share) => setShare(dims, share),
    upload() {
      writeValues(gpu, a, 1);
      writeValues(gpu, b, 2);
    },
    destroy: () => plan.destroy(),
  };
}

/** The gradient of the input of a linear layer with weight b, given that of its output, without its forward pass. */
function inputGradient(plan: Plan, dy: Tensor, weight: Tensor): Tensor {
  const x = plan.empty([dy.shape[0]!, weight.shape[1]!], "x");
  plan.requireGradient(x);
  const y = linear(plan, x, weight);
  plan.rewrite(() => {});
  plan.shareGradient(y, dy);
  plan.backward();
  return plan.gradientOf(x)!;
}

/** Forward and backward pass over prompts with responses of all lengths. */
function attentionSubject(gpu: Gpu, layout: HeadLayout, workload: Workload): TuningSubject {
  const { promptLength, completionLength, numGenerations, sequences } = workload;
  const group = promptLength + spread(numGenerations, completionLength).reduce((a, b) => a + b, 0);
  const groups = Math.max(
    1,
    Math.min(Math.floor(sequences / numGenerations), Math.floor(MAX_TOKENS / group)),
  );
  const plan = new Plan(gpu, "tune", { gradients: true });
  const inputs = new PackedInputs(plan, groups * group);
  const { heads, keyValueHeads, headDim } = layout;
  const qkv = plan.input([inputs.tokenCount, (heads + 2 * keyValueHeads) * headDim], "qkv");
  plan.requireGradient(qkv);
  const out = plan.keep(
    attention(plan, qkv, inputs.layout, { ...layout, rotation: { theta: THETA } }),
  );
  const dout = plan.input(out.shape, "dout");
  plan.shareGradient(out, dout);
  plan.backward();
  const dqkv = plan.keep(plan.gradientOf(qkv)!);
  const packed = (count: number) =>
    Array.from({ length: count }, (_, p) => ({
      prompt: new Array<number>(promptLength).fill(0),
      responses: spread(numGenerations, completionLength).map((length, i) => ({
        sequence: p * numGenerations + i,
        tokens: new Array<number>(length).fill(0),
      })),
    }));
  const fill = (share: number) => {
    inputs.upload(packed(Math.max(1, Math.round(share * groups))));
  };
  return {
    plan,
    outputs: [out, dqkv],
    tolerance: ROUNDING,
    fill,
    upload() {
      fill(1);
      writeValues(gpu, qkv, 1);
      writeValues(gpu, dout, 2);
    },
    destroy: () => plan.destroy(),
  };
}

/** A step of decoding sequences of all lengths. */
function decodeSubject(
  gpu: Gpu,
  layout: HeadLayout,
  workload: Workload,
  dtype: "f32" | "f16",
): TuningSubject {
  const { promptLength, completionLength: M, numGenerations, sequences: B } = workload;
  const { heads, keyValueHeads, headDim } = layout;
  const plan = new Plan(gpu, "tune");
  const rows = new Dim("rows", B);
  const prompts = Math.ceil(B / numGenerations);
  const width = (heads + 2 * keyValueHeads) * headDim;
  const ids = (shape: number[], name: string) => plan.input(shape, name, "u32");
  const inputs = {
    qkv: plan.input([rows, width], "qkv"),
    slots: plan.input([rows], "slots", "u32"),
    prompts: plan.input(
      [prompts * promptLength, dtype === "f16" ? 2 * keyValueHeads * headDim : width],
      "prompts",
      dtype,
    ),
    promptRanges: ids([B, 2], "prompt_ranges"),
    cache: plan.input([B, keyValueHeads, M, 2, headDim], "cache", dtype),
    lengths: ids([B], "lengths"),
    finished: ids([B], "finished"),
  };
  const out = plan.keep(attentionDecode(plan, inputs, { ...layout, rotation: { theta: THETA } }));
  const sequences = Array.from({ length: B }, (_, b) => b);
  return {
    plan,
    outputs: [out],
    tolerance: ROUNDING,
    fill: (share) => setShare([rows], share),
    upload() {
      writeValues(gpu, inputs.qkv, 1);
      writeValues(gpu, inputs.prompts, 2);
      writeValues(gpu, inputs.cache, 3);
      gpu.write(inputs.slots, sequences);
      gpu.write(inputs.lengths, spread(B, M));
      const promptOf = sequences.map((b) => Math.floor(b / numGenerations));
      gpu.write(
        inputs.promptRanges,
        promptOf.flatMap((p) => [p * promptLength, (p + 1) * promptLength]),
      );
    },
    destroy: () => plan.destroy(),
  };
}

/** Lengths from 1 to `most`, in no order. */
function spread(count: number, most: number): number[] {
  return Array.from({ length: count }, (_, i) => 1 + (i * 7919) % most);
}

function setShare(dims: readonly (number | Dim)[], share: number): void {
  for (const dim of dims) {
    if (dim instanceof Dim) dim.value = Math.max(1, Math.round(share * dim.capacity));
  }
}

/** Values from -1 to 1 without a pattern that a sum would show; long tensors repeat them. */
const PIECE = 65_522;

function writeValues(gpu: Gpu, tensor: Tensor, seed: number): void {
  const values = new Float32Array(Math.min(PIECE, tensor.capacity));
  let state = seed;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  for (let at = 0; at < tensor.capacity; at += values.length) {
    gpu.write(tensor, values.subarray(0, Math.min(values.length, tensor.capacity - at)), at);
  }
}
