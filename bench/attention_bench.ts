/** Attention over packed groups: many short responses that share prompts, and few long sequences. */

import { benchKernel } from "./harness/deno_bench.ts";
import { attentionCase } from "./cases/kernels.ts";

const short = { groups: 32, prompt: 15, responses: 16, length: 11 };
const long = { groups: 8, prompt: 1, responses: 1, length: 128 };
benchKernel(attentionCase(short, 4, 16, false), { group: "short", baseline: true });
benchKernel(attentionCase(short, 4, 16, true), { group: "short" });
benchKernel(attentionCase(long, 4, 32, false), { group: "long", baseline: true });
benchKernel(attentionCase(long, 4, 32, true), { group: "long" });
