/** Matrix products: squares, and those of a policy of width 128 on 1024 tokens. */

import { benchKernel } from "./harness/deno_bench.ts";
import { product } from "./cases/kernels.ts";

for (const n of [256, 512, 1024]) {
  for (const layout of ["nt", "nn", "tn"] as const) {
    benchKernel(product(layout, n, n, n), { group: `${n}`, baseline: layout === "nt" });
  }
}

// A linear layer, the gradient of its input and that of its weight.
for (const [name, k, n] of [["qkv", 128, 384], ["down", 344, 128]] as const) {
  benchKernel(product("nt", 1024, k, n), { group: name, baseline: true });
  benchKernel(product("nn", 1024, n, k), { group: name });
  benchKernel(product("tn", n, 1024, k), { group: name });
}
