/**
 * One matrix product as one dispatch.
 *
 * @module
 */

import type { Plan } from "../../gpu/plan.ts";
import { bytesPerElement, sizeLimit, sizeNow } from "../../gpu/tensor.ts";
import { partCount, partialSum } from "../partial_sums.ts";
import { chooseKernel } from "./choose.ts";
import { type Product, requestOf } from "./operands.ts";

/** Records a product, and the sum of its parts if it is cut. */
export function product(plan: Plan, label: string, given: Product): void {
  const { a, b, out, accumulate, parameter = false, epilogue } = given;
  const request = requestOf(given);
  const [, n, k] = request.sizes;
  const m = a.shape[given.transposeA ? 1 : 0]!;
  const { kernel, splitInner } = chooseKernel(plan.gpu, request);
  const division = splitInner
    ? { terms: k, step: splitInner, most: Math.ceil(sizeLimit(k) / splitInner) }
    : undefined;
  const sum = division && partialSum(plan, out, division, { accumulate, parameter, label });
  const splits = () => division ? partCount(division) : 1;
  plan.dispatch({
    kernel: plan.gpu.kernel(
      kernel.source({ ...given, accumulate: accumulate && !sum }, plan.gpu.traits),
    ),
    label,
    bindings: { a, b, out: sum?.partials ?? out, ...kernel.bindings(given) },
    params: kernel.params({ rows: m, columns: n, inner: k, splits, split_inner: splitInner ?? k }),
    turns: kernel.turns(splitInner ?? sizeLimit(k)),
    workgroups: () =>
      Math.ceil(sizeNow(m) / kernel.tile.rows) * Math.ceil(sizeNow(n) / kernel.tile.columns) *
      splits(),
    cost: {
      flops: () => 2 * sizeNow(m) * b.length,
      bytes: () =>
        4 * (a.length + out.length * splits() + (epilogue?.pairs.length ?? 0)) +
        bytesPerElement(b.dtype) * b.length,
    },
  });
  sum?.addUp();
}
