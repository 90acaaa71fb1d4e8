/**
 * One operation on its own, with made-up values, to be run with one kernel or another.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { Dim, type Size, sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { PackedInputs } from "../model/packed_inputs.ts";
import { attention } from "../ops/attention.ts";
import { attentionDecode } from "../ops/attention_decode.ts";
import type { AttentionKey, OperationKey, ProductKey } from "../ops/choices.ts";
import { product } from "../ops/matmul/product.ts";
import type { HeadLayout } from "../ops/rope.ts";
import { sideBySide } from "../ops/side_by_side.ts";

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
 * @param workload The batches of attention.
 */
export function tuningSubject(gpu: Gpu, key: OperationKey, workload: Workload): TuningSubject {
  switch (key.operation) {
    case "matmul":
      return productSubject(gpu, key);
    case "attention":
      return attentionSubject(gpu, key, workload);
    case "attention_decode":
      return decodeSubject(gpu, key, workload);
  }
}

function productSubject(gpu: Gpu, { layout, epilogue, sizes, dtype }: ProductKey): TuningSubject {
  const names = ["M", "N", "K"];
  const dims = sizes.map((size, i) =>
    typeof size === "number" ? size : new Dim(names[i]!, size.upTo)
  );
  const [m, n, k] = dims as [Size, Size, Size];
  const plan = new Plan(gpu, "tune");
  const [transposeA, transposeB] = [layout[0] === "t", layout[1] === "t"];
  const a = plan.input(transposeA ? [k, m] : [m, k], "a");
  // With SwiGLU behind or before it a product has gates and ups, and their number is fixed.
  const width = epilogue ? sizeLimit(n) : 0;
  const columns = epilogue === "swiglu" ? 2 * width : n;
  const b = plan.input(transposeB ? [columns, k] : [k, columns], "b", dtype);
  const out = plan.keep(plan.empty([m, epilogue === "swiglu_gradient" ? 2 * width : n], "out"));
  const operands = { a, transposeA, b, transposeB, out, accumulate: false };
  const pairs = epilogue && plan.input([m, width, 2], "pairs");
  product(plan, "product", pairs ? { ...operands, epilogue: { kind: epilogue, pairs } } : operands);
  return {
    plan,
    outputs: epilogue === "swiglu" ? [out, pairs!] : [out],
    tolerance: layout === "tn" ? ROUNDING : 0,
    fill: (share) => setShare(dims, share),
    upload() {
      writeValues(gpu, a, 1);
      writeValues(gpu, b, 2);
      if (pairs) writeValues(gpu, pairs, 3);
    },
    destroy: () => plan.destroy(),
  };
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
  const sizes = { heads, keyValueHeads, headDim };
  const qkv = plan.input([inputs.tokenCount, (heads + 2 * keyValueHeads) * headDim], "qkv");
  plan.requireGradient(qkv);
  const out = plan.keep(
    attention(plan, qkv, inputs.layout, { ...sizes, rotation: { theta: THETA } }),
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
function decodeSubject(gpu: Gpu, key: AttentionKey, workload: Workload): TuningSubject {
  const { promptLength, completionLength: M, numGenerations, sequences: B } = workload;
  const { heads, keyValueHeads, headDim, dtype } = key;
  const layout = { heads, keyValueHeads, headDim };
  const plan = new Plan(gpu, "tune");
  const rows = new Dim("rows", B);
  const prompts = Math.ceil(B / numGenerations);
  const width = (heads + 2 * keyValueHeads) * headDim;
  const ids = (shape: readonly Size[], name: string) => plan.input(shape, name, "u32");
  const inputs = {
    qkv: plan.input([rows, width], "qkv"),
    slots: plan.input([rows], "slots", "u32"),
    prompts: plan.input(
      [prompts * promptLength, dtype === "f32" ? width : 2 * keyValueHeads * headDim],
      "prompts",
      dtype,
    ),
    promptRanges: ids([B, 2], "prompt_ranges"),
    cache: plan.input([B, keyValueHeads, M, 2, headDim], "cache", dtype),
    ...sideBySide(["lengths", "finished"], B, (shape) => ids(shape, "progress")),
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

function setShare(dims: readonly Size[], share: number): void {
  for (const dim of dims) {
    if (dim instanceof Dim) dim.value = Math.max(1, Math.round(share * dim.capacity));
  }
}

/** Values from -1 to 1 without a pattern that a sum would show; long tensors repeat them. */
const PERIOD = 65_522;

function writeValues(gpu: Gpu, tensor: Tensor, seed: number): void {
  const values = new Float32Array(Math.min(PERIOD, tensor.capacity));
  let state = seed;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  for (let at = 0; at < tensor.capacity; at += values.length) {
    gpu.write(tensor, values.subarray(0, Math.min(values.length, tensor.capacity - at)), at);
  }
}
