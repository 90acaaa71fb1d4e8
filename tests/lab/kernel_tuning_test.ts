import { assert, assertEquals, assertMatch } from "@std/assert";
import { tuneOperation } from "../../src/lab/kernel_tuning.ts";
import { tunableOperations } from "../../src/lab/tunable_operations.ts";
import { tuningSubject } from "../../src/lab/tuning_subject.ts";
import { type Layout, type OperationKey, operationName } from "../../src/ops/choices.ts";
import type { DType } from "../../src/gpu/tensor.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { tinyTask } from "../helpers/tiny_task.ts";
import { test } from "../helpers/test.ts";

const workload = { promptLength: 2, completionLength: 5, numGenerations: 4, sequences: 16 };
const quick = { rounds: 1, turn: 1e-4 };

test.onGpu("what training runs is found without running it, and measured one by one", async (gpu) => {
  const task = tinyTask();
  const config = resolveConfig({ vocabSize: 8, hiddenSize: 32, numHiddenLayers: 1, eosTokenId: 1 });
  const { rl, warmStart } = task.defaults;
  const operations = await tunableOperations(gpu, config, task, rl, warmStart);
  assertEquals(gpu.counters.bytesAllocated, 0);
  const names = operations.map(({ key }) => operationName(key));
  assertEquals(new Set(names).size, names.length);
  for (const { key, candidates } of operations) {
    assert(candidates.length > 1, operationName(key));
  }
  // Where there is one kernel for everything, as without subgroups, there is nothing to measure.
  if (gpu.adapter.subgroupSize > 0) {
    const kinds = ["matmul nt", "matmul tn", "attention ", "attention_decode "];
    const fused = ["matmul swiglu nt", "matmul swiglu_gradient nn"];
    for (const kind of gpu.traits.products === "lanes" ? [...kinds, ...fused] : kinds) {
      assert(names.some((name) => name.startsWith(kind)), `${kind} in ${names}`);
    }
  }
  gpu.kernels = { "a": "b" };
  const some = operations.filter(({ key }, i) =>
    i < 2 || key.operation !== "matmul" || key.epilogue !== undefined
  );
  for (const operation of some) {
    const { best, ratios, refused } = await tuneOperation(gpu, operation, workload, quick);
    assertEquals(refused, {});
    assertEquals(Object.keys(ratios), [...operation.candidates]);
    assert(Object.values(ratios).every((ratio) => ratio > 0.001 && ratio < 1000));
    assert(operation.candidates.includes(best));
    if (best !== operation.candidates[0]) assert(ratios[best]! <= 0.95, `${ratios[best]}`);
  }
  // Tables of rotary frequencies stay as long as the device.
  assertEquals(gpu.buffers.filter(({ label }) => !label.includes("frequencies")), []);
  assertEquals(gpu.kernels, { "a": "b" }, "put back");
  gpu.check();
});

test.onGpu("a kernel that computes something else, or does not run, is refused with the reason", async (gpu) => {
  if (gpu.adapter.isFallback && gpu.adapter.subgroupSize >= 8) {
    const key = {
      operation: "matmul",
      layout: "nt",
      sizes: [{ upTo: 64 }, 32, 64],
      dtype: "f32",
    } as const;
    // One is off by next to nothing, the other does not compile.
    const compile = gpu.kernel.bind(gpu);
    gpu.kernel = (descriptor) =>
      descriptor.constants?.ROWS === 8
        ? compile({
          ...descriptor,
          code: descriptor.code.replace("out[i] = sum;", "out[i] = sum * 1.000001;"),
        })
        : descriptor.constants?.ROWS === 32
        ? compile({ ...descriptor, code: "not WGSL" + descriptor.code })
        : compile(descriptor);
    const candidates = ["nt.rows16", "nt.rows8", "nt.rows32"];
    const { best, ratios, refused } = await tuneOperation(
      gpu,
      { key, candidates },
      workload,
      quick,
    );
    assertEquals(best, "nt.rows16");
    assertEquals(ratios, { "nt.rows16": 1 });
    assertEquals(Object.keys(refused), ["nt.rows8", "nt.rows32"]);
    assertMatch(refused["nt.rows8"]!, /^differs from nt\.rows16 by \d/);
    assertMatch(refused["nt.rows32"]!, /does not compile/);
  }
  assertEquals(gpu.counters.bytesAllocated, 0);
});

test.onGpu("products with weights in f16 are measured as such", async (gpu) => {
  const task = tinyTask();
  const config = resolveConfig({ vocabSize: 8, hiddenSize: 32, numHiddenLayers: 1, eosTokenId: 1 });
  const operations = await tunableOperations(gpu, config, task, task.defaults.rl, undefined, {
    dtype: "f16",
  });
  const halves = operations.filter(({ key }) => key.dtype === "f16");
  for (const layout of gpu.adapter.subgroupSize > 0 ? ["nn", "nt"] : []) {
    const operation = halves.find(({ key }) =>
      key.operation === "matmul" && key.layout === layout
    )!;
    const { refused } = await tuneOperation(gpu, operation, workload, quick);
    assertEquals(refused, {});
  }
  const decode = halves.find(({ key }) => key.operation === "attention_decode")!;
  assertEquals((await tuneOperation(gpu, decode, workload, quick)).refused, {});
  gpu.check();
});

test.onGpu("only kernels of sums over tokens and of attention may round in their own way", (gpu) => {
  const tolerance = (key: OperationKey) => {
    const subject = tuningSubject(gpu, key, workload);
    subject.destroy();
    return subject.tolerance;
  };
  const product = (layout: Layout, dtype: DType = "f32") =>
    tolerance({ operation: "matmul", layout, sizes: [{ upTo: 64 }, 32, 64], dtype });
  const heads = { heads: 4, keyValueHeads: 2, headDim: 16, dtype: "f32" } as const;
  assertEquals(product("nt"), 0);
  assertEquals(product("nn"), 0);
  assertEquals(product("nn", "f16"), 0);
  assertEquals(product("tn"), 1e-5);
  assertEquals(tolerance({ operation: "attention", ...heads }), 1e-5);
  assertEquals(tolerance({ operation: "attention_decode", ...heads }), 1e-5);
});
