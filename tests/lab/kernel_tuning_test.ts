import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openGpu } from "../../src/gpu/open.ts";
import { tuneOperation } from "../../src/lab/kernel_tuning.ts";
import { tunableOperations } from "../../src/lab/tunable_operations.ts";
import { tuningSubject } from "../../src/lab/tuning_subject.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { tinyTask } from "../helpers/tiny_task.ts";

const workload = { promptLength: 2, completionLength: 5, numGenerations: 4, sequences: 16 };
const quick = { rounds: 1, turn: 1e-4 };

Deno.test("what training runs is found without running it, and measured one by one", async () => {
  const gpu = await openGpu();
  const task = tinyTask();
  const config = resolveConfig({ vocabSize: 8, hiddenSize: 32, numHiddenLayers: 1, eosTokenId: 1 });
  const { rl, warmStart } = task.defaults;
  const operations = await tunableOperations(gpu, config, task, rl, warmStart);
  assertEquals(gpu.counters.bytesAllocated, 0);
  const names = operations.map(({ operation }) => operation);
  assertEquals(new Set(names).size, names.length);
  for (const { operation, candidates } of operations) {
    assertMatch(operation, /^(matmul (nn|nt|tn) |attention|attention_decode )/);
    assert(candidates.length > 1, operation);
  }
  // Where there is one kernel for everything, as without subgroups, there is nothing to measure.
  if (gpu.adapter.subgroupSize > 0) {
    for (const kind of ["matmul nt", "matmul tn", "attention ", "attention_decode "]) {
      assert(names.some((name) => name.startsWith(kind)), `${kind} in ${names}`);
    }
  }
  gpu.kernels = { "a": "b" };
  const some = operations.filter(({ operation }, i) => i < 2 || operation.startsWith("attention"));
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
  await assertRejects(
    () => tuneOperation(gpu, { operation: "softmax 3x4", candidates: ["a", "b"] }, workload),
    RangeError,
    '"softmax 3x4" names no operation with several kernels: give a name such as',
  );
  gpu.check();
  await gpu.close();
});

Deno.test("a kernel that computes something else, or does not run, is refused with the reason", async () => {
  const gpu = await openGpu();
  if (gpu.adapter.isFallback && gpu.adapter.subgroupSize >= 8) {
    const operation = "matmul nt ~64x32x64";
    // One is off by next to nothing, the other does not compile.
    const compile = gpu.kernel.bind(gpu);
    gpu.kernel = (descriptor) =>
      descriptor.entryPoint === "rows8"
        ? compile({
          ...descriptor,
          code: descriptor.code.replace("out[i] = sum;", "out[i] = sum * 1.000001;"),
        })
        : descriptor.entryPoint === "rows32"
        ? compile({ ...descriptor, code: "not WGSL" + descriptor.code })
        : compile(descriptor);
    const candidates = ["nt.rows16", "nt.rows8", "nt.rows32"];
    const { best, ratios, refused } = await tuneOperation(
      gpu,
      { operation, candidates },
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
  await gpu.close();
});

Deno.test("products with weights in f16 are measured as such", async () => {
  const gpu = await openGpu();
  const task = tinyTask();
  const config = resolveConfig({ vocabSize: 8, hiddenSize: 32, numHiddenLayers: 1, eosTokenId: 1 });
  const operations = await tunableOperations(gpu, config, task, task.defaults.rl, undefined, {
    dtype: "f16",
  });
  const halves = operations.filter(({ operation }) => operation.endsWith(" f16"));
  for (const layout of gpu.adapter.subgroupSize > 0 ? ["nn", "nt"] : []) {
    const operation = halves.find(({ operation }) => operation.startsWith(`matmul ${layout} `))!;
    const { refused } = await tuneOperation(gpu, operation, workload, quick);
    assertEquals(refused, {});
  }
  const decode = halves.find(({ operation }) => operation.startsWith("attention_decode "))!;
  assertEquals((await tuneOperation(gpu, decode, workload, quick)).refused, {});
  gpu.check();
  await gpu.close();
});

Deno.test("only kernels of sums over tokens and of attention may round in their own way", async () => {
  const gpu = await openGpu();
  const tolerance = (operation: string) => {
    const subject = tuningSubject(gpu, operation, workload);
    subject.destroy();
    return subject.tolerance;
  };
  assertEquals(tolerance("matmul nt ~64x32x64"), 0);
  assertEquals(tolerance("matmul nn ~64x32x64"), 0);
  assertEquals(tolerance("matmul nn ~64x32x64 f16"), 0);
  assertEquals(tolerance("matmul tn 32x64x~64"), 1e-5);
  assertEquals(tolerance("attention 4/2x16"), 1e-5);
  assertEquals(tolerance("attention_decode 4/2x16"), 1e-5);
  await gpu.close();
});
