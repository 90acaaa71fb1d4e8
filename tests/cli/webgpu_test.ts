/** Choosing the WebGPU to compute with: `--webgpu`, `--dawn-options`, `--matrix-units`. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { deviceOfRun } from "../../src/cli/gpu.ts";
import { test } from "../helpers/test.ts";

Deno.test("a run keeps the device it began with, unless flags say otherwise", () => {
  const recorded = { webgpu: "dawn", dawnOptions: "backend=vulkan", matrixUnits: true } as const;
  assertEquals(deviceOfRun({}), {});
  assertEquals(deviceOfRun({}, recorded), recorded);
  assertEquals(deviceOfRun({ webgpu: "dawn", matrixUnits: true }), {
    webgpu: "dawn",
    matrixUnits: true,
  });
  assertEquals(deviceOfRun({ matrixUnits: false }, recorded), { ...recorded, matrixUnits: false });
  assertEquals(deviceOfRun({ webgpu: "deno" }, recorded), { webgpu: "deno", matrixUnits: true });
  assertThrows(() => deviceOfRun({}, { webgpu: "chrome" }), RangeError, "one of deno, dawn");
});

test.inDir("--webgpu dawn without npm's package says what fetches it", async (dir) => {
  const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--allow-all",
      "--no-check",
      "--no-lock",
      "--cached-only",
      main,
      "train",
      "--webgpu=dawn",
    ],
    env: { DENO_DIR: dir, NO_COLOR: "1" },
    cwd: dir,
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 1, text);
  assertStringIncludes(text, "--webgpu dawn needs npm's package webgpu");
  assertStringIncludes(text, "deno cache npm:webgpu@");
});
