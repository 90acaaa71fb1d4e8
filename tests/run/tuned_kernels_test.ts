import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import type { Gpu } from "../../src/gpu/device.ts";
import { checkedKernels, readTuned, tunedPath, writeTuned } from "../../src/run/tuned_kernels.ts";
import { inTempDir } from "../helpers/temp_dir.ts";
import { test } from "../helpers/test.ts";

const named = (gpu: Gpu, description: string) =>
  Object.create(gpu, { adapter: { value: { ...gpu.adapter, description } } }) as Gpu;

test.onGpu("tuned kernels are kept by device, and added to", (gpu) =>
  inTempDir(async (dir) => {
    assertEquals(await readTuned(dir, gpu), undefined);
    const { path } = await writeTuned(dir, gpu, new Map([["a", "x"], ["b", "y"]]));
    assertEquals(path, tunedPath(dir, gpu));
    await writeTuned(dir, gpu, new Map([["b", "z"], ["c", "x"], ["a", undefined]]));
    assertEquals(await readTuned(dir, gpu), { path, kernels: { b: "z", c: "x" } });

    const llvmpipe = named(gpu, "llvmpipe (LLVM 15.0.6, 256 bits)");
    assertEquals(tunedPath(dir, llvmpipe), join(dir, "llvmpipe-llvm-15-0-6-256-bits.json"));
    assertEquals(tunedPath(dir, named(gpu, "…")), join(dir, "adapter.json"));

    // With matrix units other kernels are chosen between.
    const matrixUnits = [{ rows: 16, columns: 8, inner: 16 }];
    const units = Object.create(gpu, {
      adapter: { value: { ...gpu.adapter, matrixUnits } },
    }) as Gpu;
    assertEquals(await readTuned(dir, units), undefined);
    const kept = await writeTuned(dir, units, new Map([["a", "x"]]));
    assertEquals(await readTuned(dir, units), kept);
    assertEquals(await readTuned(dir, gpu), { path, kernels: { b: "z", c: "x" } });
  }));

test.onGpu("kernels of another device or version, and damaged files, are refused by name", (gpu) =>
  inTempDir(async (dir) => {
    const { path } = await writeTuned(dir, gpu, new Map([["a", "x"]]));
    const good = JSON.parse(await Deno.readTextFile(path));
    const refused = async (json: unknown, message: string) => {
      await Deno.writeTextFile(path, typeof json === "string" ? json : JSON.stringify(json));
      await assertRejects(() => readTuned(dir, gpu), Error, message);
    };
    const { measuredOn } = good;
    await refused(
      { ...good, measuredOn: { ...measuredOn, deltal: "0.0.1" } },
      `${path} was measured with deltal "0.0.1", and here it is `,
    );
    await refused(
      { ...good, measuredOn: { ...measuredOn, maxComputeWorkgroupStorageSize: 1 } },
      `${path} was measured with maxComputeWorkgroupStorageSize 1, and here it is `,
    );
    await refused({ ...good, measuredOn: {} }, `${path} was measured with deltal null`);
    await refused(
      { ...good, kernels: { a: 3 } },
      `${path} is damaged: kernels is {"a":3}, not a name for each operation`,
    );
    await refused({ ...good, measuredOn: 1 }, `${path} is not a file of tuned kernels`);
    await refused({ ...good, format: "?" }, `${path} is not a file of tuned kernels`);
    await refused("{", `${path} is not valid JSON`);
    await refused("[]", `${path} does not hold a JSON object`);
    // Measuring again mends it.
    await writeTuned(dir, gpu, new Map([["a", "y"]]));
    assertEquals((await readTuned(dir, gpu))?.kernels, { a: "y" });
  }));

Deno.test("kernels are names by operation", () => {
  assertEquals(checkedKernels({ a: "x" }, "f"), { a: "x" });
  for (const kernels of [null, 1, "a", ["a"], { a: null }, { a: {} }]) {
    let message = "";
    try {
      checkedKernels(kernels, "f");
    } catch (error) {
      message = (error as Error).message;
    }
    assertEquals(
      message,
      `f is damaged: kernels is ${JSON.stringify(kernels)}, not a name for each operation`,
    );
  }
});
