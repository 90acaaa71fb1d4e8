/**
 * RMSNorm of each query and key head, in place.
 *
 * @module
 */

import code from "../../kernels/head_norm.wgsl" with { type: "text" };
import { checkNames, namesOf } from "../input/names.ts";
import type { Plan } from "../gpu/plan.ts";
import { formatShape, type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { fewestChunks, partCount, partialSum, partTerms } from "./partial_sums.ts";
import { rowReader } from "./readers.ts";
import { checkHeads, type HeadLayout } from "./rope.ts";

/** The most chunks of tokens that the weight's gradient is summed over: enough teams to fill a device of each kind. */
const NARROW_CHUNKS = 64;
const WIDE_CHUNKS = 512;

/** Options of {@linkcode headNorm}. */
export interface HeadNormOptions extends HeadLayout {
  /** Added to the mean square. */
  eps: number;
  /** Name of the output below the current scope. Default `"head_norm"`. */
  name?: string;
}

const NAMES = namesOf<HeadNormOptions>({
  heads: true,
  keyValueHeads: true,
  headDim: true,
  eps: true,
  name: true,
});

/**
 * Normalises each query and key head to unit root mean square, in place: `head / rms(head) * weight`.
 *
 * @param plan Where to record.
 * @param qkv (T, (H + 2J) D), overwritten; the values, its last J heads, stay as they are.
 * @param weight (2 D): that of queries, then that of keys.
 * @param options Heads and `eps`.
 * @returns A view of `qkv` under a name of its own; use it in place of `qkv` afterwards.
 * @throws {RangeError} If the shapes do not fit.
 * @see {@link https://arxiv.org/abs/2505.09388} Qwen3, section 2.
 */
export function headNorm(
  plan: Plan,
  qkv: Tensor,
  weight: Tensor,
  options: HeadNormOptions,
): Tensor {
  checkNames("headNorm", options, NAMES);
  const { heads, keyValueHeads, headDim, eps, name = "head_norm" } = options;
  checkHeads("headNorm", qkv, options);
  if (weight.capacity !== 2 * headDim) {
    throw new RangeError(
      `headNorm needs weight (2 D) for D = ${headDim}: got ${formatShape(weight.shape)}`,
    );
  }
  const { gpu } = plan;
  const tokens: Size = qkv.shape[0]!;
  const normedHeads = heads + keyValueHeads;
  const reader = rowReader(gpu, headDim);
  const tokenTurns = 1 + normedHeads * (1 + 2 * reader.turns);
  const most = fewestChunks(
    gpu,
    tokens,
    tokenTurns,
    gpu.traits.narrow ? NARROW_CHUNKS : WIDE_CHUNKS,
  );
  const division = { terms: tokens, step: 1, most };
  const [chunks, chunkTokens] = [() => partCount(division), () => partTerms(division)];
  const params = {
    tokens,
    heads,
    normed_heads: normedHeads,
    row: (heads + 2 * keyValueHeads) * reader.columns,
    columns: reader.columns,
    eps,
    inverse_width: 1 / headDim,
    chunk_tokens: chunkTokens,
    chunks,
  };
  const bytes = (times: number) => () => 4 * times * sizeNow(tokens) * normedHeads * headDim;

  const normed = qkv.view(qkv.shape, { name: plan.path(name) });
  const unnormed = plan.empty([tokens, normedHeads * headDim], `${name}.unnormed`);
  plan.onBackward([qkv, weight], [normed], () => {
    const gradient = plan.gradientOf(normed);
    if (!gradient) throw new TypeError(`${plan.path(name)}: the output is not used`);
    const label = `${name}.backward`;
    const record = (partial: Tensor) =>
      plan.dispatch({
        kernel: reader.kernel({ name: "head_norm", code, entryPoint: "backward" }),
        label,
        bindings: { x: unnormed, weight, dqkv: gradient, partial },
        params,
        turns: Math.ceil(sizeLimit(tokens) / most) * tokenTurns,
        workgroups: () => reader.workgroups(chunks()),
        cost: { bytes: bytes(3) },
      });
    if (plan.isDifferentiable(weight)) {
      plan.intoGradient(weight, (dweight, accumulate) => {
        const parameter = weight.grad !== undefined;
        const sum = partialSum(plan, dweight, division, { accumulate, parameter, label });
        record(sum.partials);
        sum.addUp();
      });
    } else {
      record(plan.empty([division.most, 2 * headDim], `${name}.unused`));
    }
    // Overwritten with that of qkv.
    plan.shareGradient(qkv, gradient);
  });
  const saves = plan.isDifferentiable(normed);
  plan.dispatch({
    kernel: reader.kernel({
      name: "head_norm",
      code,
      entryPoint: "forward",
      constants: { SAVE: saves },
    }),
    label: `${name}.forward`,
    bindings: {
      weight,
      qkv: normed,
      unnormed: saves ? unnormed : plan.empty([8], `${name}.unused`),
    },
    params,
    turns: 2 * reader.turns,
    workgroups: () => reader.workgroups(sizeNow(tokens) * normedHeads),
    cost: { bytes: bytes(saves ? 3 : 2) },
  });
  return normed;
}
