/**
 * Kernels that are measured on their own, at the shapes policies use and at large ones.
 *
 * Operations and bytes are the least that the mathematics needs: every input read once, every output written once. What a
 * kernel moves beyond that lowers its figure.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import type { Plan } from "../../src/gpu/plan.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { PackedInputs } from "../../src/model/packed_inputs.ts";
import { groupCost, type PromptGroup } from "../../src/model/packing.ts";
import { adamw } from "../../src/ops/adamw.ts";
import { add } from "../../src/ops/general/add.ts";
import { attention } from "../../src/ops/attention.ts";
import { gradNorm } from "../../src/ops/grad_norm.ts";
import { logProb } from "../../src/ops/log_prob.ts";
import { matmul } from "../../src/ops/matmul/linear.ts";
import { reduceSum } from "../../src/ops/general/reduce.ts";
import { rmsNorm } from "../../src/ops/rms_norm.ts";
import { softmax } from "../../src/ops/general/softmax.ts";
import { swiglu } from "../../src/ops/swiglu.ts";
import { uniform } from "./random.ts";

/** A kernel at one shape. */
export interface KernelCase {
  /** The operation. */
  readonly name: string;
  /** Its sizes. */
  readonly shape: string;
  /** Least floating-point operations. */
  readonly flops: number;
  /** Least bytes to and from memory. */
  readonly bytes: number;
  /** Whether arithmetic or memory is what limits it. */
  readonly bound: "compute" | "memory";
  /**
   * Records it.
   *
   * @returns What to do once the plan is compiled.
   */
  readonly build: (plan: Plan, inputs: Inputs) => (() => void) | void;
}

/** Inputs of one case, released together. */
export class Inputs {
  readonly #gpu: Gpu;
  readonly #tensors: Tensor[] = [];

  /** @param gpu Where they live. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** A tensor of numbers in [-1, 1). */
  random(shape: readonly number[], name: string): Tensor {
    const length = shape.reduce((n, size) => n * size, 1);
    return this.#keep(this.#gpu.tensor(shape, {
      data: uniform(this.#tensors.length, length),
      name,
    }));
  }

  /** A tensor of zeros. */
  zeros(shape: readonly number[], name: string): Tensor {
    return this.#keep(this.#gpu.tensor(shape, { name }));
  }

  #keep(tensor: Tensor): Tensor {
    this.#tensors.push(tensor);
    return tensor;
  }

  /** Releases all of them. */
  destroy(): void {
    for (const { storage } of this.#tensors) this.#gpu.destroyBuffer(storage.buffer);
  }
}

/** How the operands of a product lie in memory; see `src/ops/choices.ts`. */
type Layout = "nn" | "nt" | "tn";

/** out (M, N) = op(a) (M, K) · op(b) (K, N). */
export function product(layout: Layout, m: number, k: number, n: number): KernelCase {
  const [transposeA, transposeB] = [layout === "tn", layout === "nt"];
  return {
    name: `matmul ${layout}`,
    shape: `${m} x ${k} x ${n}`,
    flops: 2 * m * k * n,
    bytes: 4 * (m * k + k * n + m * n),
    bound: "compute",
    build: (plan, inputs) => {
      const a = inputs.random(transposeA ? [k, m] : [m, k], "a");
      const b = inputs.random(transposeB ? [n, k] : [k, n], "b");
      matmul(plan, a, b, { transposeA, transposeB });
    },
  };
}

/** The products of one layer and the head for T tokens: forward, and the two of each gradient. */
export function policyProducts(
  T: number,
  sizes: { C: number; heads: number; F: number; V: number },
): KernelCase[] {
  const { C, heads, F, V } = sizes;
  const linears = [[C, 3 * heads], [heads, C], [C, 2 * F], [F, C], [C, V]] as const;
  return linears.flatMap(([k, n]) => [
    product("nt", T, k, n),
    product("nn", T, n, k),
    product("tn", n, T, k),
  ]);
}

/** Adds the gradient of an output to a plan that records gradients. */
function backward(plan: Plan, inputs: Inputs, output: Tensor): void {
  plan.shareGradient(output, inputs.random([output.capacity], "dy"));
  plan.backward();
}

function parameter(inputs: Inputs, n: number): Tensor {
  const weight = inputs.random([n], "weight");
  weight.grad = inputs.zeros([n], "weight.grad");
  return weight;
}

/** RMSNorm with a residual sum; with `gradient` its backward pass too. */
export function norm(T: number, C: number, gradient: boolean): KernelCase {
  return {
    name: gradient ? "rms_norm + backward" : "rms_norm",
    shape: `${T} x ${C}`,
    flops: (gradient ? 12 : 5) * T * C,
    // Forward x, delta -> sum, normed; backward sum, d normed -> d x.
    bytes: 4 * T * C * (gradient ? 7 : 4),
    bound: "memory",
    build: (plan, inputs) => {
      const x = inputs.random([T, C], "x");
      const delta = inputs.random([T, C], "delta");
      if (gradient) plan.requireGradient(x);
      const { normed } = rmsNorm(plan, x, parameter(inputs, C), { eps: 1e-6, delta });
      if (gradient) backward(plan, inputs, normed);
    },
  };
}

/** silu(gate) * up. */
export function gate(T: number, F: number, gradient: boolean): KernelCase {
  return {
    name: gradient ? "swiglu + backward" : "swiglu",
    shape: `${T} x ${F}`,
    flops: (gradient ? 15 : 5) * T * F,
    bytes: 4 * T * F * (gradient ? 8 : 3),
    bound: "memory",
    build: (plan, inputs) => {
      const gateUp = inputs.random([T, 2 * F], "gate_up");
      if (gradient) plan.requireGradient(gateUp);
      const y = swiglu(plan, gateUp);
      if (gradient) backward(plan, inputs, y);
    },
  };
}

/** Softmax over rows. */
export function softmaxCase(rows: number, columns: number): KernelCase {
  return {
    name: "softmax",
    shape: `${rows} x ${columns}`,
    flops: 4 * rows * columns,
    bytes: 8 * rows * columns,
    bound: "memory",
    build: (plan, inputs) => void softmax(plan, inputs.random([rows, columns], "x")),
  };
}

/** The sum of everything. */
export function sumCase(n: number): KernelCase {
  return {
    name: "sum",
    shape: `${n / 2 ** 20} M`,
    flops: n,
    bytes: 4 * n,
    bound: "memory",
    build: (plan, inputs) => void reduceSum(plan, inputs.random([n / 4096, 4096], "x"), "all"),
  };
}

/** Sums over columns, as a bias' gradient needs. */
export function columnSumCase(rows: number, columns: number): KernelCase {
  return {
    name: "sum of columns",
    shape: `${rows} x ${columns}`,
    flops: rows * columns,
    bytes: 4 * rows * columns,
    bound: "memory",
    build: (plan, inputs) => void reduceSum(plan, inputs.random([rows, columns], "x"), "columns"),
  };
}

/** a + b. */
export function addCase(n: number): KernelCase {
  return {
    name: "add",
    shape: `${n / 2 ** 20} M`,
    flops: n,
    bytes: 12 * n,
    bound: "memory",
    build: (plan, inputs) => {
      add(plan, inputs.random([n], "a"), inputs.random([n], "b"));
    },
  };
}

/** AdamW with clipping, the norm included: gradients are read twice. */
export function adamwCase(n: number): KernelCase {
  return {
    name: "grad_norm + adamw",
    shape: `${(n / 2 ** 20).toFixed(n < 2 ** 20 ? 2 : 0)} M`,
    flops: 14 * n,
    bytes: 4 * n * (4 + 3 + 1),
    bound: "memory",
    build: (plan, inputs) => {
      const gradients = inputs.random([n], "gradients");
      adamw(plan, {
        parameters: inputs.random([n], "parameters"),
        gradients,
        firstMoment: inputs.zeros([n], "first_moment"),
        secondMoment: inputs.zeros([n], "second_moment"),
        gradNorm: gradNorm(plan, gradients),
      }, { learningRate: 1e-6, step: 1, maxGradNorm: 1 });
    },
  };
}

/** Groups of prompt and responses, ids 0. */
function groupsOf(batch: { groups: number; prompt: number; responses: number; length: number }) {
  return Array.from({ length: batch.groups }, (_, p): PromptGroup => ({
    prompt: new Array<number>(batch.prompt).fill(0),
    responses: Array.from({ length: batch.responses }, (_, g) => ({
      sequence: p * batch.responses + g,
      tokens: new Array<number>(batch.length).fill(0),
    })),
  }));
}

/** Attention over packed groups. */
export function attentionCase(
  batch: { groups: number; prompt: number; responses: number; length: number },
  heads: number,
  headDim: number,
  gradient: boolean,
): KernelCase {
  const rows = batch.length - 1;
  const attended = batch.prompt * (batch.prompt + 1) / 2 +
    batch.responses * (rows * batch.prompt + rows * (rows + 1) / 2);
  const pairs = batch.groups * attended;
  const tokens = batch.groups * (batch.prompt + batch.responses * rows);
  const width = heads * headDim;
  return {
    name: gradient ? "attention + backward" : "attention",
    shape: `${tokens} tokens, ${(pairs / tokens).toFixed(0)} keys, ${heads} x ${headDim}`,
    // Forward two products per pair, backward five.
    flops: 2 * pairs * width * (gradient ? 7 : 2),
    bytes: 4 * tokens * width * (gradient ? 12 : 4),
    bound: "compute",
    build: (plan, inputs) => {
      const groups = groupsOf(batch);
      const packed = new PackedInputs(plan, groups.reduce((n, g) => n + groupCost(g), 0));
      const qkv = inputs.random([tokens, 3 * width], "qkv");
      if (gradient) plan.requireGradient(qkv);
      const out = attention(plan, qkv, packed.layout, { heads, keyValueHeads: heads, headDim });
      if (gradient) backward(plan, inputs, out);
      return () => void packed.upload(groups);
    },
  };
}

/** Log-probabilities and entropies of one item per row; with `gradient` that of the logits. */
export function logProbCase(rows: number, V: number, gradient: boolean): KernelCase {
  return {
    name: gradient ? "log_prob + backward" : "log_prob",
    shape: `${rows} x ${V}`,
    flops: (gradient ? 12 : 6) * rows * V,
    bytes: 4 * rows * V * (gradient ? 3 : 1),
    bound: "memory",
    build: (plan, inputs) => {
      const groups = groupsOf({ groups: 1, prompt: 1, responses: 1, length: rows });
      const packed = new PackedInputs(plan, rows + 1);
      const logits = inputs.random([rows, V], "logits");
      if (gradient) plan.requireGradient(logits);
      const { logProbs } = logProb(plan, logits, packed, { temperature: 1 });
      if (gradient) backward(plan, inputs, logProbs);
      return () => void packed.upload(groups);
    },
  };
}
