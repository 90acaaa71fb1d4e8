/** Sums over everything and over columns. */

import { benchKernel } from "./harness/deno_bench.ts";
import { columnSumCase, sumCase } from "./cases/kernels.ts";

benchKernel(sumCase(2 ** 24), { group: "16 M", baseline: true });
benchKernel(columnSumCase(4096, 4096), { group: "16 M" });
