/** The optimizer's two kernels, at 0.1 M and at 4 M parameters. */

import { benchKernel } from "./harness/deno_bench.ts";
import { adamwCase } from "./cases/kernels.ts";

for (const n of [2 ** 17, 2 ** 22]) benchKernel(adamwCase(n), { group: "adamw" });
