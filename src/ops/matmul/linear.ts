/**
 * Matrix products and linear layers.
 *
 * @module
 */

import biasGradient from "../../../kernels/matmul/bias_gradient.wgsl" with { type: "text" };
import { checkNames } from "../../input/names.ts";
import type { Plan } from "../../gpu/plan.ts";
import { type DType, formatShape, sizeLimit, type Tensor } from "../../gpu/tensor.ts";
import { partCount, partialSum, partTerms } from "../partial_sums.ts";
import { link } from "../wgsl.ts";
import { product } from "./product.ts";

/** Tokens are summed in this many chunks for a bias' gradient: a fixed order, whatever the device. */
const BIAS_CHUNKS = 32;
const BIAS_LANES = 64;

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Added to every row, shape (N). */
  bias?: Tensor | undefined;
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
): Tensor<"f32"> {
  checkNames("linear", options, ["bias", "name"]);
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
export function matmul(
  plan: Plan,
  a: Tensor,
  b: Tensor,
  options: MatmulOptions = {},
): Tensor<"f32"> {
  checkNames("matmul", options, ["transposeA", "transposeB", "name"]);
  const { transposeA = false, transposeB = false, name = "matmul" } = options;
  return record(plan, a, b, { transposeA, transposeB, name });
}

function record(
  plan: Plan,
  a: Tensor,
  b: Tensor,
  options: Required<MatmulOptions>,
  bias?: Tensor,
): Tensor<"f32"> {
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
        kernel: plan.gpu.kernel(link({
          name: "matmul/bias_gradient",
          code: biasGradient,
          entryPoint: "chunk_sums",
          constants: { LANES: BIAS_LANES },
        })),
        label,
        bindings: { dy: dout, partials: sum.partials },
        params: { rows: m, columns: width, chunk_rows: chunkRows, chunks },
        turns: Math.ceil(sizeLimit(m) / BIAS_CHUNKS),
        workgroups: () => chunks() * Math.ceil(width / BIAS_LANES),
        cost: { bytes: () => dout.length * 4 },
      });
      sum.addUp();
    });
  });
  return out;
}

function checkShapes(
  path: string,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB }: Required<MatmulOptions>,
  bias?: Tensor,
): void {
  const [k, n] = [b.shape[transposeB ? 1 : 0], b.shape[transposeB ? 0 : 1]];
  // The weight of a linear layer may be in 16 bits: the kernels that multiply by it or by its transpose read both.
  const dtypes = (t: Tensor): DType[] =>
    t === b && transposeB && !transposeA ? ["f32", "f16", "bf16"] : ["f32"];
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
