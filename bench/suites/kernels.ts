/**
 * Every kernel beside the ceilings of the device it runs on.
 *
 * @module
 */

import type { Gpu } from "../../src/gpu/device.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { submit } from "../../src/gpu/submit.ts";
import { costMs, type Effort, Fence, measure, type Timing } from "../harness/measure.ts";
import { table } from "../harness/table.ts";
import copySource from "../cases/copy.wgsl" with { type: "text" };
import {
  adamwCase,
  addCase,
  attentionCase,
  columnSumCase,
  gate,
  Inputs,
  type KernelCase,
  logProbCase,
  norm,
  policyProducts,
  product,
  softmaxCase,
  sumCase,
} from "../cases/kernels.ts";
import { uniform } from "../cases/random.ts";

/** What a kernel reached. */
export interface KernelResult {
  /** The operation. */
  readonly name: string;
  /** Its sizes. */
  readonly shape: string;
  /** Its time. */
  readonly timing: Timing;
  /** Billions of operations per second (of CPU time on a software adapter). */
  readonly gflops: number;
  /** Billions of bytes per second, likewise. */
  readonly gbytes: number;
  /** Least bytes to and from memory. */
  readonly bytes: number;
  /** Part of the device's own ceiling: of the best product, or of a copy. */
  readonly share: number;
}

/** What the device can do at best. */
export interface Ceilings {
  /** Bytes read and written per second by a large copy, billions. */
  readonly copyGbytes: number;
  /** The best matrix product of the suite, billions of operations per second. */
  readonly matmulGflops: number;
}

/** Which sizes to measure. */
export type KernelSizes = "quick" | "software" | "gpu";

/** The cases for a class of device. */
export function kernelCases(sizes: KernelSizes): KernelCase[] {
  if (sizes === "quick") {
    return [
      product("nt", 64, 64, 64),
      product("nn", 33, 40, 8),
      product("tn", 32, 64, 64),
      softmaxCase(8, 64),
      sumCase(2 ** 16),
      columnSumCase(64, 32),
      addCase(2 ** 12),
      norm(16, 64, true),
      gate(16, 32, true),
      logProbCase(16, 32, true),
      attentionCase({ groups: 1, prompt: 4, responses: 2, length: 5 }, 2, 16, true),
      adamwCase(4096),
    ];
  }
  const gpu = sizes === "gpu";
  const parity = { C: 64, heads: 64, F: 176, V: 7 };
  const tiny = { C: 128, heads: 128, F: 344, V: 64 };
  const large = (gpu ? [512, 1024, 2048, 4096] : [256, 512, 1024]).flatMap((n) => [
    product("nt", n, n, n),
    product("nn", n, n, n),
    product("tn", n, n, n),
  ]);
  const million = 2 ** 20;
  const big = gpu ? 64 * million : 16 * million;
  const rows = gpu ? 16384 : 2048;
  const width = gpu ? 4096 : 1024;
  return [
    ...large,
    ...policyProducts(1024, tiny),
    ...policyProducts(4096, parity),
    // Decoding: few rows.
    product("nt", 32, 64, 192),
    product("nt", 512, 64, 352),
    ...(gpu ? policyProducts(32768, { C: 320, heads: 320, F: 864, V: 1024 }) : []),
    softmaxCase(gpu ? 16384 : 1024, 4096),
    sumCase(big),
    columnSumCase(rows, width),
    addCase(big / 2),
    norm(4096, 64, true),
    norm(rows, width, false),
    norm(rows, width, true),
    gate(4096, 176, true),
    gate(rows, width, false),
    gate(rows, width, true),
    logProbCase(4096, 7, true),
    logProbCase(rows, 4096, false),
    logProbCase(rows, 4096, true),
    attentionCase({ groups: 32, prompt: 15, responses: 16, length: 11 }, 4, 16, false),
    attentionCase({ groups: 32, prompt: 15, responses: 16, length: 11 }, 4, 16, true),
    attentionCase({ groups: 8, prompt: 1, responses: 1, length: 128 }, 4, 32, false),
    attentionCase({ groups: 8, prompt: 1, responses: 1, length: 128 }, 4, 32, true),
    ...(gpu
      ? [
        attentionCase({ groups: 8, prompt: 1, responses: 1, length: 2048 }, 8, 64, false),
        attentionCase({ groups: 8, prompt: 1, responses: 1, length: 2048 }, 8, 64, true),
      ]
      : []),
    adamwCase(2 ** 17),
    adamwCase(big / 4),
  ];
}

/** Times one case. */
export async function timeKernel(gpu: Gpu, kernel: KernelCase, effort: Effort): Promise<Timing> {
  const inputs = new Inputs(gpu);
  const plan = new Plan(gpu, "bench", { gradients: true });
  const fence = new Fence(gpu);
  try {
    const ready = kernel.build(plan, inputs);
    await plan.compile();
    ready?.();
    await fence.wait();
    return await measure(async (times) => {
      submit(gpu, [{ plan, times }]);
      await fence.wait();
    }, effort);
  } finally {
    plan.destroy();
    inputs.destroy();
    fence.destroy();
  }
}

/** Bytes per second of a large copy, by a command or by a kernel, whichever is faster; billions. */
export async function copyCeiling(gpu: Gpu, bytes: number, effort: Effort): Promise<number> {
  const n = bytes / 4;
  const src = gpu.tensor([n], { data: uniform(1, n), name: "src" });
  const dst = gpu.tensor([n], { name: "dst" });
  const fence = new Fence(gpu);
  const plan = new Plan(gpu, "copy");
  plan.dispatch({
    kernel: gpu.kernel({ name: "copy", code: copySource, entryPoint: "main" }),
    bindings: { src, dst },
    params: { count: n / 4 },
    workgroups: Math.ceil(n / 4 / 64),
  });
  await plan.compile();
  const byKernel = await measure(async (times) => {
    submit(gpu, [{ plan, times }]);
    await fence.wait();
  }, effort);
  const byCommand = await measure(async (times) => {
    const encoder = gpu.device.createCommandEncoder();
    for (let i = 0; i < times; i++) {
      encoder.copyBufferToBuffer(src.storage.buffer, 0, dst.storage.buffer, 0, bytes);
    }
    gpu.device.queue.submit([encoder.finish()]);
    await fence.wait();
  }, effort);
  plan.destroy();
  fence.destroy();
  for (const { storage } of [src, dst]) gpu.destroyBuffer(storage.buffer);
  return 2 * bytes / 1e6 / Math.min(costMs(gpu, byKernel), costMs(gpu, byCommand));
}

/** Times all cases and prints the table. */
export async function kernelSuite(
  gpu: Gpu,
  sizes: KernelSizes,
  effort: Effort,
): Promise<{ ceilings: Ceilings; kernels: KernelResult[] }> {
  const copyBytes = { quick: 2 ** 16, software: 2 ** 26, gpu: 2 ** 28 }[sizes];
  const copyGbytes = await copyCeiling(gpu, copyBytes, effort);
  const measured = [];
  for (const kernel of kernelCases(sizes)) {
    const timing = await timeKernel(gpu, kernel, effort);
    const ms = costMs(gpu, timing);
    const rates = { gflops: kernel.flops / 1e6 / ms, gbytes: kernel.bytes / 1e6 / ms };
    measured.push({ kernel, timing, ...rates });
  }
  const products = measured.filter(({ kernel }) => kernel.name.startsWith("matmul"));
  const matmulGflops = products.reduce((best, { gflops }) => Math.max(best, gflops), 0);
  const kernels = measured.map(({ kernel, timing, gflops, gbytes }): KernelResult => ({
    name: kernel.name,
    shape: kernel.shape,
    timing,
    gflops,
    gbytes,
    bytes: kernel.bytes,
    share: kernel.bound === "compute" ? gflops / matmulGflops : gbytes / copyGbytes,
  }));
  const second = gpu.adapter.isFallback ? "CPU-s" : "s";
  console.log(table(
    `Kernels on ${gpu.adapter.description}; ceilings: copy ${
      copyGbytes.toFixed(1)
    } GB/${second}, ` +
      `best product ${matmulGflops.toFixed(1)} GFLOP/${second}`,
    ["kernel", "shape", "wall ms", "CPU ms", `GFLOP/${second}`, `GB/${second}`, "of ceiling"],
    kernels.map(({ name, shape, timing, gflops, gbytes, share }) => [
      name,
      shape,
      timing.wallMs,
      timing.cpuMs,
      gflops,
      gbytes,
      `${(100 * share).toFixed(0)} %`,
    ]),
  ));
  return { ceilings: { copyGbytes, matmulGflops }, kernels };
}
