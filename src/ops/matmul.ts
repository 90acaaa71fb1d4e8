/**
 * Matrix products and linear layers.
 *
 * @module
 */

import biasGradient from "../../kernels/matmul/bias_gradient.wgsl" with { type: "text" };
import eightF32 from "../../kernels/matmul/eight_f32.wgsl" with { type: "text" };
import eightOut from "../../kernels/matmul/eight_out.wgsl" with { type: "text" };
import nn from "../../kernels/matmul/nn.wgsl" with { type: "text" };
import nnGates from "../../kernels/matmul/nn_gates.wgsl" with { type: "text" };
import nt from "../../kernels/matmul/nt.wgsl" with { type: "text" };
import ntEight from "../../kernels/matmul/nt_eight.wgsl" with { type: "text" };
import plain from "../../kernels/matmul/plain.wgsl" with { type: "text" };
import rows from "../../kernels/matmul/rows.wgsl" with { type: "text" };
import strided from "../../kernels/matmul/strided.wgsl" with { type: "text" };
import tiled from "../../kernels/matmul/tiled.wgsl" with { type: "text" };
import tn from "../../kernels/matmul/tn.wgsl" with { type: "text" };
import weightsF16U32 from "../../kernels/matmul/weights_f16_u32.wgsl" with { type: "text" };
import weightsF16U64 from "../../kernels/matmul/weights_f16_u64.wgsl" with { type: "text" };
import weightsF32 from "../../kernels/matmul/weights_f32.wgsl" with { type: "text" };
import type { DeviceTraits } from "../gpu/traits.ts";
import type { KernelDescriptor } from "../gpu/kernel.ts";
import type { Param } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import {
  bytesPerElement,
  type DType,
  formatShape,
  sizeLimit,
  sizeNow,
  type Tensor,
} from "../gpu/tensor.ts";
import { chosenVariant } from "./matmul_choice.ts";
import type { Layout, Variant } from "./matmul_variants.ts";
import { type Division, partCount, partialSum, partTerms } from "./partial_sums.ts";
import { eightU64, withStored } from "./prelude.ts";

/** WGSL for kernels whose lanes share out rows and read eight numbers at a time; `b` is what they read in f32 or f16. */
export function laneSnippets(traits: DeviceTraits, b: Tensor): string {
  const wide = traits.loads[0] === 8;
  const half = wide ? weightsF16U64 : weightsF16U32;
  return [rows, wide ? eightU64 : eightF32, b.dtype === "f16" ? half : weightsF32].join("\n");
}

/** Name and source of a kernel file with the snippets it needs; `b` is what it reads in f32 or f16. */
function source(
  file: Variant["file"] | "nn_gates",
  entryPoint: string,
  traits: DeviceTraits,
  b: Tensor,
): KernelDescriptor {
  const name = `matmul/${file}`;
  switch (file) {
    case "plain":
      return withStored({ name, code: plain, entryPoint }, b);
    case "tiled":
      return withStored({ name, code: tiled, entryPoint }, b);
    case "strided":
      return withStored({ name, code: `${strided}\n${rows}`, entryPoint }, b);
    default: {
      const main = {
        nn: `${nn}\n${eightOut}`,
        nn_gates: `${nn}\n${nnGates}`,
        nt,
        nt_eight: `${ntEight}\n${eightOut}`,
        tn,
      }[file];
      const code = `${main}\n${laneSnippets(traits, b)}`;
      return { name: b.dtype === "f16" ? `${name}_f16` : name, code, entryPoint };
    }
  }
}

/** Tokens are summed in this many chunks for a bias' gradient: a fixed order, whatever the device. */
const BIAS_CHUNKS = 32;
const BIAS_LANES = 64;

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Added to every row, shape (N). */
  bias?: Tensor;
  /** Name of the output below the current scope. Default `"linear"`. */
  name?: string;
}

/** Options of {@linkcode matmul}. */
export interface MatmulOptions {
  /** `a` is stored (K, M) instead of (M, K). Default `false`. */
  transposeA?: boolean;
  /** `b` is stored (N, K) instead of (K, N). Default `false`. */
  transposeB?: boolean;
  /** Name of the output below the current scope. Default `"matmul"`. */
  name?: string;
}

/**
 * A linear layer: `y = x · weightᵀ + bias`.
 *
 * @param plan Where to record.
 * @param x (M, K); M may vary between runs.
 * @param weight (N, K), as Hugging Face stores it; f32, or f16, whose gradient is f32.
 * @param options `bias` (N), and a `name`.
 * @returns y (M, N).
 * @throws {RangeError} If the shapes do not fit.
 */
export function linear(
  plan: Plan,
  x: Tensor,
  weight: Tensor,
  options: LinearOptions = {},
): Tensor {
  const { bias, name = "linear" } = options;
  return record(plan, x, weight, { transposeA: false, transposeB: true, name }, bias);
}

/**
 * A matrix product: `out = op(a) · op(b)`, where op transposes if asked to.
 *
 * @param plan Where to record.
 * @param a (M, K), or (K, M) if transposed.
 * @param b (K, N), or (N, K) if transposed.
 * @param options What to transpose, and a `name`.
 * @returns out (M, N).
 * @throws {RangeError} If the shapes do not fit.
 */
export function matmul(plan: Plan, a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, name = "matmul" } = options;
  return record(plan, a, b, { transposeA, transposeB, name });
}

function record(
  plan: Plan,
  a: Tensor,
  b: Tensor,
  options: Required<MatmulOptions>,
  bias?: Tensor,
): Tensor {
  const { transposeA, transposeB, name } = options;
  checkShapes(plan.path(name), a, b, options, bias);
  const [m, n] = [a.shape[transposeA ? 1 : 0]!, b.shape[transposeB ? 0 : 1]!];
  const out = plan.empty([m, n], name);
  product(plan, `${name}.forward`, { a, transposeA, b, transposeB, out, accumulate: false, bias });

  plan.onBackward(bias ? [a, b, bias] : [a, b], [out], () => {
    const gradient = plan.gradientOf(out);
    if (!gradient) throw new TypeError(`${plan.path(name)}: the output is not used`);
    const dout = gradient.view(out.shape);
    plan.intoGradient(a, (da, accumulate) => {
      // d op(a) = dout · op(b)ᵀ; stored transposed, it is op(b) · doutᵀ.
      const operands = transposeA
        ? { a: b, transposeA: transposeB, b: dout, transposeB: true }
        : { a: dout, transposeA: false, b, transposeB: !transposeB };
      product(plan, `${name}.backward_a`, { ...operands, out: da, accumulate });
    });
    plan.intoGradient(b, (db, accumulate) => {
      // d op(b) = op(a)ᵀ · dout; stored transposed, it is doutᵀ · op(a).
      const operands = transposeB
        ? { a: dout, transposeA: true, b: a, transposeB: transposeA }
        : { a, transposeA: !transposeA, b: dout, transposeB: false };
      const parameter = b.grad !== undefined;
      product(plan, `${name}.backward_b`, { ...operands, out: db, accumulate, parameter });
    });
    if (!bias) return;
    plan.intoGradient(bias, (dbias, accumulate) => {
      const width = sizeLimit(n);
      const label = `${name}.backward_bias`;
      const division = { terms: m, step: 1, most: BIAS_CHUNKS };
      const parameter = bias.grad !== undefined;
      const sum = partialSum(plan, dbias, division, { accumulate, parameter, label });
      const [chunks, chunkRows] = [() => partCount(division), () => partTerms(division)];
      plan.dispatch({
        kernel: plan.gpu.kernel({
          name: "matmul/bias_gradient",
          code: biasGradient,
          entryPoint: "chunk_sums",
          constants: { LANES: BIAS_LANES },
        }),
        label,
        bindings: { dy: dout, partials: sum.partials },
        params: { rows: m, columns: width, chunk_rows: chunkRows, chunks },
        workgroups: () => chunks() * Math.ceil(width / BIAS_LANES),
        cost: { bytes: () => dout.length * 4 },
      });
      sum.addUp();
    });
  });
  return out;
}

/** One dispatch: out (M, N) = op(a) (M, K) · op(b) (K, N) + bias. */
export interface Product {
  /** What is multiplied. */
  readonly a: Tensor;
  readonly transposeA: boolean;
  readonly b: Tensor;
  readonly transposeB: boolean;
  readonly out: Tensor;
  /** Add to `out` instead of overwriting it. */
  readonly accumulate: boolean;
  /** `out` is a parameter's gradient. Default `false`. */
  readonly parameter?: boolean;
  /** Added to every row. */
  readonly bias?: Tensor | undefined;
  /**
   * The product is the gradient of `silu(gate) * up`, these are the gates and ups (M, N, 2), and `out` (M, 2N) becomes
   * their gradient. For devices whose products are shared out to `lanes`, and N is a multiple of 8.
   */
  readonly pairs?: Tensor;
}

/** Records a product, and the sum of its parts if it is cut. */
export function product(plan: Plan, label: string, operands: Product): void {
  const { a, transposeA, b, transposeB, out, accumulate, parameter = false, bias, pairs } =
    operands;
  const [m, k] = transposeA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const n = b.shape[transposeB ? 0 : 1]!;
  const layout = `${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}` as Layout;
  const { traits } = plan.gpu;
  const variant = chosenVariant(plan.gpu, layout, [m, n, k], b.dtype);
  const { file, entryPoint, tileRows, tileColumns, splitInner } = variant;
  const takesBias = file !== "nn" && file !== "tn";
  const params: Record<string, Param> = { rows: m, columns: n, inner: k };
  if (file === "strided" || file === "plain") {
    params.a_row = transposeA ? 1 : k;
    params.a_inner = transposeA ? m : 1;
    params.b_inner = transposeB ? 1 : n;
    params.b_column = transposeB ? k : 1;
  }
  const division: Division | undefined = splitInner
    ? { terms: k, step: splitInner, most: Math.ceil(sizeLimit(k) / splitInner) }
    : undefined;
  const sum = division && partialSum(plan, out, division, { accumulate, parameter, label });
  const splits = () => division ? partCount(division) : 1;
  if (file === "tn" || file === "tiled") {
    params.splits = splits;
    params.split_inner = splitInner ?? k;
  }
  plan.dispatch({
    kernel: plan.gpu.kernel({
      ...source(pairs ? "nn_gates" : file, entryPoint, traits, b),
      constants: {
        ...(pairs ? {} : { ACCUMULATE: accumulate && !sum }),
        ...(takesBias ? { BIAS: bias !== undefined } : {}),
        ...(file === "tiled" ? { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB } : {}),
      },
    }),
    label,
    // Without a bias the binding is never read; any other input may stand there.
    bindings: {
      a,
      b,
      out: sum?.partials ?? out,
      ...(takesBias ? { bias: bias ?? b } : {}),
      ...(pairs ? { pairs } : {}),
    },
    params,
    workgroups: () =>
      Math.ceil(sizeNow(m) / tileRows) * Math.ceil(sizeNow(n) / tileColumns) * splits(),
    cost: {
      flops: () => 2 * sizeNow(m) * sizeNow(n) * sizeNow(k),
      bytes: () => 4 * (a.length + out.length * splits()) + bytesPerElement(b.dtype) * b.length,
    },
  });
  sum?.addUp();
}

function checkShapes(
  path: string,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB }: Required<MatmulOptions>,
  bias?: Tensor,
): void {
  const [k, n] = [b.shape[transposeB ? 1 : 0], b.shape[transposeB ? 0 : 1]];
  // The weight of a linear layer may be f16: the kernels that multiply by it or by its transpose read both.
  const dtypes = (t: Tensor): DType[] =>
    t === b && transposeB && !transposeA ? ["f32", "f16"] : ["f32"];
  const fits = a.shape.length === 2 && b.shape.length === 2 &&
    a.shape[transposeA ? 0 : 1] === k && (!bias || bias.capacity === sizeLimit(n!)) &&
    [a, b, bias].every((t) => !t || (dtypes(t).includes(t.dtype) && t.capacity > 0));
  if (fits) return;
  throw new RangeError(
    `${path} multiplies (${transposeA ? "K, M" : "M, K"}) by (${
      transposeB ? "N, K" : "K, N"
    }), f32 and not empty${bias ? ", and adds (N)" : ""}: got ${
      [a, b, bias].filter((t) => t !== undefined)
        .map((t) => `${formatShape(t.shape)}${t.dtype === "f32" ? "" : ` ${t.dtype}`}`).join(", ")
    }`,
  );
}
