/** Log-probabilities and entropies, at the vocabulary of a task and at a large one. */

import { benchKernel } from "./harness/deno_bench.ts";
import { logProbCase } from "./cases/kernels.ts";

for (const [rows, V] of [[4096, 69], [1024, 4096]] as const) {
  benchKernel(logProbCase(rows, V, false), { group: `${rows} x ${V}`, baseline: true });
  benchKernel(logProbCase(rows, V, true), { group: `${rows} x ${V}` });
}
