/** Softmax over rows, beside a copy's worth of memory traffic. */

import { benchKernel } from "./harness/deno_bench.ts";
import { addCase, softmaxCase } from "./cases/kernels.ts";

benchKernel(softmaxCase(1024, 4096), { group: "4 M" });
benchKernel(addCase(2 ** 22), { group: "4 M", baseline: true });
