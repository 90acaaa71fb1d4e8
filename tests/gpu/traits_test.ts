/** What kernels are chosen by, for the classes of devices that there are. */

import { assertEquals } from "@std/assert";
import type { AdapterSummary } from "../../src/gpu/adapter.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { traitsOf } from "../../src/gpu/traits.ts";

const LLVMPIPE: AdapterSummary = {
  description: "llvmpipe",
  vendor: "Mesa",
  isFallback: true,
  subgroupSize: 8,
  f16: true,
  int64: true,
  timestamps: true,
  matrixUnits: [],
};

Deno.test("a software adapter gives each lane a row of its own, and wide loads where it can", () => {
  const wide = traitsOf(LLVMPIPE);
  assertEquals(wide, {
    lanes: 8,
    subgroups: true,
    narrow: true,
    loads: [8, 4],
    shuffles: true,
    products: "lanes",
    attentionTile: 8,
    turns: 60_000,
    stepsPerSubmit: 4,
    matrixUnits: [],
    workgroupBytes: 2 ** 14,
  });
  assertEquals(traitsOf({ ...LLVMPIPE, int64: false }), { ...wide, loads: [4] });
  assertEquals(traitsOf({ ...LLVMPIPE, subgroupSize: 4 }), { ...wide, lanes: 4, attentionTile: 4 });
  assertEquals(traitsOf({ ...LLVMPIPE, subgroupSize: 0 }), {
    lanes: 64,
    subgroups: false,
    narrow: false,
    loads: [4],
    shuffles: false,
    products: "plain",
    attentionTile: 32,
    turns: 60_000,
    stepsPerSubmit: 4,
    matrixUnits: [],
    workgroupBytes: 2 ** 14,
  });
});

Deno.test("a graphics processor gets tiles in workgroup memory, and teams for rows", () => {
  const gpu = { ...LLVMPIPE, isFallback: false };
  assertEquals(traitsOf({ ...gpu, subgroupSize: 32, int64: false }), {
    lanes: 32,
    subgroups: true,
    narrow: false,
    loads: [4],
    shuffles: false,
    products: "tiled",
    attentionTile: 32,
    turns: Infinity,
    stepsPerSubmit: 16,
    matrixUnits: [],
    workgroupBytes: 2 ** 14,
  });
  assertEquals(traitsOf({ ...gpu, subgroupSize: 8 }).loads, [4, 8]);
});

Deno.test("a device can be treated as another, and its stand-in is too", async () => {
  const gpu = await openGpu({ treatAs: { isFallback: false, subgroupSize: 0 } });
  const { maxComputeWorkgroupStorageSize: room } = gpu.device.limits;
  assertEquals(gpu.traits, traitsOf({ ...gpu.adapter, isFallback: false, subgroupSize: 0 }, room));
  assertEquals(gpu.rehearsal().traits, gpu.traits);
  await gpu.close();
});
