/** RMSNorm with its residual sum, at the width of a small policy and at a large one. */

import { benchKernel } from "./harness/deno_bench.ts";
import { norm } from "./cases/kernels.ts";

for (const [T, C] of [[4096, 64], [2048, 1024]] as const) {
  benchKernel(norm(T, C, false), { group: `${T} x ${C}`, baseline: true });
  benchKernel(norm(T, C, true), { group: `${T} x ${C}` });
}
